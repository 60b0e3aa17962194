# SPDX-License-Identifier: MIT
# 1000 threads on the smallest stacks that musl allows, all inside a read at level 6 at the same time, in each mode of
# home stacks: each has reached the disk, nothing is refused when there are as many extra stacks as threads, each byte is right,
# and the memory they take is what it should be. 10000 of them: tests/exhaust/crowd.sh. (About 10 s, several
# times that on a busy host.)
# shellcheck shell=bash
# timeout: 400
. "$(dirname "$0")/../lib.sh"
THREADS=${CROWD_THREADS:-1000}
MEMORY=${CROWD_MEMORY:-256M}

verdict() { grep -a '^crowd: verdict=' "$OUT" | tail -n 1 | tr ' ' '\n' | sed -n "s/^$1=//p"; }
inside() { sed -n "s/^crowd: extra stacks while inside:.* $1 \([0-9]*\).*/\1/p" "$OUT"; }
memory() { awk -v kind="$1" '$1 == "memory:" && $2 == kind { print $4 }' "$OUT"; }

# between LABEL GOT LEAST MOST
between() {
    if [[ $2 =~ ^[0-9]+$ ]] && [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; then
        ok "$1"
    else
        not_ok_out "$1" "got '$2', expected $3 to $4"
    fi
}

# crowd LABEL STATUS OPTIONS...: one run.
crowd() {
    local label=$1 wanted=$2
    shift 2
    echo "run: crowd $THREADS $*"
    CROWD_TIMEOUT=100 "$ROOT/tools/crowd" --run "$OUT" "$THREADS" -m "$MEMORY" "$@"
    STATUS=$?
    grep -aE '^(crowd|memory):' "$OUT" | sed 's/^/  /'
    assert_status "$label: exit $wanted" "$wanted"
    assert_equal "$label: wrong" "$(verdict wrong)" 0
    assert_equal "$label: every stack went home" "$(last_field free)" "$(last_field total)"
}

# all_inside LABEL EXTRA PAGES_LEAST PAGES_MOST PARAMS [OPTIONS]: all get in; home stacks have so many pages each, and
# EXTRA extra stacks are in use.
all_inside() {
    local label=$1 extra=$2 least=$3 most=$4 params=$5
    shift 5
    crowd "$label" 0 --params "$params" "$@"
    assert_equal "$label: inside at the same time" "$(verdict inside)" "$THREADS"
    assert_equal "$label: failed" "$(verdict failed)" 0
    assert_equal "$label: extra stacks in use" "$(inside in_use)" "$extra"
    assert_equal "$label: refusals" "$(last_field refusals)" 0
    # The main thread, and the one that watches the disk.
    between "$label: /sys/stack/threads lists all" "$(sed -n 's/^crowd: .*threads lists \([0-9]*\) .*/\1/p' "$OUT")" \
        $((THREADS + 1)) $((THREADS + 2))
    between "$label: pages of home stacks" $((($(memory home) + $(memory home_kept)) / 4096)) \
        $((THREADS * least - 40)) $((THREADS * most + 40))
    between "$label: thread structures" "$(memory thread_structures)" $((THREADS * 400)) $((THREADS * 1024))
    between "$label: page tables" "$(memory stack_page_tables)" $((THREADS * 16)) $((THREADS * 128 + 65536))
    between "$label: what no kind explains" "$(memory rest)" 0 $((THREADS * 8192))
}

# With as many extra stacks as threads, to the last one; both numbers are the test's, and crowd prints them.
FIT="stack.extra=$THREADS stack.extra_max=$THREADS"
all_inside 'off, 4K' "$THREADS" 1 1 "$FIT"
assert_at_least 'off, 4K: each has asked the disk' "$(verdict asked)" "$THREADS"
assert_equal 'off, 4K: to the last stack' "$(last_field low_water)" 0
assert_equal 'off, 4K: stack.extra_max' "$(inside extra_max)" "$THREADS"
assert_equal 'off, 4K: bytes of extra stacks' "$(memory extra)" $((THREADS * 4096))

# Ten too few: these ten, and nobody else, are refused.
crowd 'ten stacks too few' 1 --params "stack.extra=$((THREADS - 10)) stack.extra_max=$((THREADS - 10))"
assert_equal 'ten stacks too few: inside' "$(verdict inside)" $((THREADS - 10))
assert_equal 'ten stacks too few: refused' "$(verdict failed)" 10
assert_contains 'ten stacks too few: as -EIO' '10 reads failed, the first with I/O error (errno 5)'

all_inside 'off, 16K' 0 4 4 'stack.size=16K'
all_inside 'fault, 16K' 0 1 2 'stack.grow=fault'
assert_at_least 'fault, 16K: each has asked the disk' "$(verdict asked)" "$THREADS"
all_inside 'prefill, 16K' 0 1 2 'stack.grow=prefill'
all_inside 'fault, 16K, level 12' 0 2 3 'stack.grow=fault' --levels 12
finish
