# SPDX-License-Identifier: MIT
# Stacks that grow and stacks that come and go, in all modes, on one CPU and on four (tests/guest/stacks*.c), and what
# /sys/stack shows of it to a program.
# shellcheck shell=bash
# timeout: 900
. "$(dirname "$0")/../lib.sh"

STACK_CASES="cached-stack-is-reused-at-once many-end-at-once release-in-an-interrupt own-stacks opting-out-is-visible
    guarded-buffers own-stacks-many-at-once"
GROW_CASES="grow-instructions grow-stack-instructions grow-in-the-page-allocator grow-with-a-lock-held grow-registers
    grow-sleepers-keep-one-page grow-no-pages grow-stale-translations grow-prefill-leaves-nothing
    extra-holder-sleeps-and-moves"

# A program sees it. Debian's busybox reads the files.
for mode in off fault prefill; do
    run_guest --app /usr/bin/busybox --append "stack.grow=$mode mount=none:/sys:sysfs" -- \
        cat /sys/stack/growth/mode /sys/stack/growth/histogram /sys/stack/cache/cpus /sys/stack/threads
    assert_status "busybox shows /sys/stack, $mode" 0
    assert_matches "/sys/stack/growth/mode, $mode" "^$mode\$"
    assert_contains "/sys/stack/growth/histogram, $mode" "pages stacks_mapped stacks_kept threads_ended"
    assert_contains "/sys/stack/cache/cpus, $mode" "cpu cached most hits misses kept passed_on unmapped"
    assert_contains "/sys/stack/threads, $mode" "id name kind size guards memory growth pages kept deepest"
    case $mode in
    off) assert_matches "the app's thread, $mode" ' busybox home 4096 guarded mapped wired ' ;;
    *) assert_matches "the app's thread, $mode" ' busybox home 16384 guarded mapped grows ' ;;
    esac
    assert_matches "the log's thread is wired, $mode" ' log home [0-9]+ guarded mapped wired '
done

build_variant guest-tests

# cases MODE CPUS CASE...
cases() {
    local mode=$1 cpus=$2 name
    shift 2
    for name; do
        wanted "$name, $mode, $cpus CPUs" || continue
        GUEST_TIMEOUT=100 run_guest --append "app=$name stack.grow=$mode" -c "$cpus" -- 5
        grep -a '^  ' "$OUT"
        assert_status "$name, $mode, $cpus CPUs" 0
    done
}

for cpus in 1 4; do
    # shellcheck disable=SC2086 # the lists are split on purpose
    { cases off "$cpus" $STACK_CASES
      cases fault "$cpus" $STACK_CASES $GROW_CASES
      cases prefill "$cpus" $STACK_CASES $GROW_CASES; }
done
finish
