# SPDX-License-Identifier: MIT
# timeout: 240
# Everything at once on six levels, for about a minute in all: with the default stacks nothing is refused and nothing
# goes wrong; with few stacks, or none, or with every probe switching, refusals lose nothing. The program itself finds
# what is wrong (apps/torture); here is judged that it had something to do, and what it left on the disk.
# shellcheck shell=bash
. "$(dirname "$0")/../lib.sh"

verdict() { grep -a '^torture: verdict=' "$OUT" | tail -n 1 | tr ' ' '\n' | sed -n "s/^$1=//p"; }
# The operations of a kind that were done, a column of the program's table.
done_of() { awk -v kind="$1" '$1 == kind && NF == 5 { print $2 }' "$OUT" | tail -n 1; }

# torture LABEL STATUS TOWER_ARGS... -- RUN_ARGS...: a run on a fresh tower of six levels.
torture() {
    local label=$1 wanted=$2 tower=()
    shift 2
    while [ "$1" != -- ]; do
        tower+=("$1")
        shift
    done
    shift
    make_tower "$TMP/tower.img" --levels 6 "${tower[@]}"
    GUEST_TIMEOUT=100 run_guest --app "$APPS/torture" --kernel --disk "$TMP/tower.img" "$@"
    assert_status "$label: exit $wanted" "$wanted"
    assert_equal "$label: wrong" "$(verdict wrong)" 0
    assert_equal "$label: errors" "$(verdict errors)" 0
    assert_equal "$label: levels up" "$(verdict levels)" 7
    assert_equal "$label: all that was written could be checked" "$(verdict unverified)" 0
    assert_at_least "$label: checks of the invariants" "$(verdict checks)" 100
    assert_at_least "$label: resizes of the pool" "$(verdict resizes)" 10
    assert_at_least "$label: threads came and went" "$(verdict threads)" 20
    assert_at_least "$label: switches" "$(last_field switches)" 100
    assert_equal "$label: every stack went home" "$(last_field free)" "$(last_field total)"
    check_tower "$label: e2fsck of every level" "$TMP/tower.img" 6
}

# The pool is never made so small that anybody would be refused.
torture 'default stacks' 0 --data 512K -- -c 4 -- \
    --levels 6 --threads 8 --seconds 20 --seed 1 --pool-min 48 --keep
for kind in create write read map fsync rename truncate unlink orphan folder sync mount resize memory futex lock \
    sleep threads affinity; do
    assert_at_least "default stacks: operations of the kind $kind" "$(done_of "$kind")" 1
done
assert_equal 'default stacks: refused' "$(verdict refused)" 0
assert_at_least 'default stacks: the deepest level came and went' "$(verdict unmounts)" 10

torture 'few stacks' 3 --data 256K -- -c 2 --append 'stack.extra=3 stack.need=force' -- \
    --levels 6 --threads 8 --seconds 10 --seed 2
assert_at_least 'few stacks: refused' "$(verdict refused)" 20

torture 'no stacks, little memory, 1 KiB blocks' 3 --data 256K --block 1K -- -m 24M --append 'stack.extra=0' -- \
    --levels 6 --threads 8 --seconds 10 --seed 3 --pool-max 4
assert_at_least 'no stacks: refused' "$(verdict refused)" 1

# Stacks that grow, and lose again what they do not use. They have 16 KiB; that 12 KiB are kept free makes probes switch.
torture 'growth by faults' 0 --data 256K -- -c 4 --append 'stack.grow=fault stack.need=12K' -- \
    --levels 6 --threads 8 --seconds 8 --seed 4 --pool-min 128
torture 'growth, filled ahead' 0 --data 256K -- -c 2 --append 'stack.grow=prefill stack.need=12K' -- \
    --levels 6 --threads 8 --seconds 8 --seed 5 --pool-min 128

run_guest --app "$APPS/torture" -- --seconds
assert_status 'a wrong option ends with 2' 2
run_guest --app "$APPS/torture" -- --only nonsense
assert_contains 'a wrong option is named' "option --only: 'nonsense' is no kind of operation"
finish
