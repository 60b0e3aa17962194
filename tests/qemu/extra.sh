# SPDX-License-Identifier: MIT
# Extra stacks as a user meets them: turned off, used up, reported, read and resized through /sys/stack. The pool itself is
# tested in tests/guest/extra.c and tests/host/test_xstack*.c, the load in nestio.sh and torture.sh.
# shellcheck shell=bash
# timeout: 400
. "$(dirname "$0")/../lib.sh"

verdict() { grep -a '^nestio: verdict=' "$OUT" | tail -n 1 | tr ' ' '\n' | sed -n "s/^$1=//p"; }

# Off: no probe switches, however deep; then it is stack size alone that decides.
make_tower "$TMP/tower.img" --levels 6
run_guest --kernel --disk "$TMP/tower.img" --append 'stack.need=off stack.size=64K' -- --levels 6 --threads 2 --ops 400
assert_status 'stack.need=off on stacks of 64 KiB: exit 0' 0
assert_equal 'stack.need=off on stacks of 64 KiB: wrong' "$(verdict wrong)" 0
assert_equal 'stack.need=off: no switches' "$(last_field switches)" 0
make_tower "$TMP/deep.img" --levels 32
run_guest --kernel --disk "$TMP/deep.img" --append 'stack.need=off' -- --levels 32 --threads 1 --ops 100
assert_status 'stack.need=off on stacks of 4 KiB: 32 levels end in the guard' 200
assert_contains 'stack.need=off: the report names the stack' 'below the home stack'

# A shallow load needs no extra stack, even where there is none.
make_tower "$TMP/flat.img" --levels 0
run_guest --kernel --disk "$TMP/flat.img" --append 'stack.extra=0' -- --levels 0 --threads 4 --ops 1000
assert_status 'a filesystem on the disk itself needs no extra stack' 0
assert_equal 'a filesystem on the disk itself: requests' "$(last_field requests)" 0

# Used up: each refusal is an error of one call; the report comes from another context, now and then.
make_tower "$TMP/tower.img" --levels 6
start=$SECONDS
run_guest --kernel --disk "$TMP/tower.img" --append 'stack.extra=1 stack.extra_size=8K stack.size=8K stack.need=4K' -- --levels 6 --threads 8 --ops 4000
seconds=$((SECONDS - start))
lines=$(grep -acE 'stack: [0-9]+ operations refused \(-EIO\): all 1 extra stacks were in use' "$OUT")
reported=$(sed -nE 's/.*stack: ([0-9]+) operations refused.*/\1/p' "$OUT" | awk '{ sum += $1 } END { print sum + 0 }')
assert_at_least 'refusals: many' "$(last_field refusals)" 20
assert_at_least 'refusals: reported' "$lines" 1
assert_equal 'refusals: at most a line in five seconds' "$((lines <= seconds / 5 + 2))" 1
assert_equal 'refusals: no more reported than there were' "$((reported <= $(last_field refusals)))" 1
assert_equal 'refusals: wrong' "$(verdict wrong)" 0

# /sys/stack, read and written by a shell. Debian's busybox.
sys() {
    run_guest --app /usr/bin/busybox -c 2 --append "stack.extra=8 stack.extra_max=64 mount=none:/sys:sysfs" -- sh -c "$1"
}
sys 'cd /sys/stack; echo 40 >total; while read -r n; do echo "total is $n"; done <total; while read -r n; do echo "free is $n"; done <free'
assert_contains 'total is written and read' 'total is 40'
assert_contains 'free follows' 'free is 40'
assert_equal 'the last line has it too' "$(last_field total)" 40
sys 'echo lots >/sys/stack/total; echo 65 >/sys/stack/total; echo -1 >/sys/stack/total; echo 1 >/sys/stack/free; read -r n </sys/stack/total; echo "total is $n"'
assert_contains 'garbage is EINVAL' 'Invalid argument'
assert_contains 'too many is ENOMEM' 'Cannot allocate memory'
assert_contains 'free is not written' 'Permission denied'
assert_contains 'a refused resize changes nothing' 'total is 16'
sys 'echo 0 >/sys/stack/total; read -r n </sys/stack/total; echo "total is $n"'
assert_contains 'all can be given up' 'total is 0'

# What a thread of one page has in the pool for growth: 3 pages for stacks of 16 KiB.
run_guest --app /usr/bin/busybox --append 'stack.grow=fault mount=none:/sys:sysfs' -- cat /sys/stack/growth/pool_need
assert_matches 'a thread can need 3 pages more than one' '^3$'

# How many pages threads need: on the disk itself one and hardly a fault (1 in 200 threads); six levels up one more.
build_app "$ROOT/tests/qemu/apps/shallow.c" "$TMP/shallow" || not_ok 'shallow builds'
make_tower "$TMP/tower.img" --levels 6
mounts="mount=none:/sys:sysfs mount=/dev/vda:/l0"
for level in 1 2 3 4 5 6; do mounts+=" mount=/l$((level - 1))/next.img:/l$level"; done
# ended FROM TO: threads that ended with so many pages at most.
ended() { sed -nE "s/^histogram: ([0-9]+) [0-9]+ [0-9]+ ([0-9]+)$/\1 \2/p" "$OUT" | awk -v a="$1" -v b="$2" '$1 >= a && $1 <= b { n += $2 } END { print n + 0 }'; }
run_guest --kernel --app "$TMP/shallow" --disk "$TMP/tower.img" --append "stack.grow=fault $mounts" -- /l0 200
assert_status 'shallow threads' 0
assert_at_least 'shallow threads end with one page or two' "$(ended 1 2)" 200
assert_equal 'shallow threads never have a third' "$(ended 3 4)" 0
faults=$(sed -n 's/^faults: //p' "$OUT")
assert_equal 'shallow threads take at most two faults each' "$((${faults:-9999} <= 400))" 1
run_guest --kernel --app "$TMP/shallow" --disk "$TMP/tower.img" --append "stack.grow=fault $mounts" -- /l6 50
assert_status 'deep threads' 0
assert_at_least 'deep threads end with two pages or more' "$(ended 2 4)" 40

# A cached stack costs fewer instructions than one that is mapped and unmapped; a flush counts as one instruction here.
build_variant guest-tests
cost() { sed -nE "s/^  grow-cost $1 ([0-9]+)$/\1/p" "$OUT"; }
for size in 4K 16K; do
    run_guest --append "app=grow-costs stack.size=$size" --qemu '-icount shift=0,sleep=off -rtc base=2026-01-01,clock=vm -seed 1'
    cached=$(cost life-cached) mapped=$(cost life-mapped)
    echo "a stack of $size: from the cache $cached instructions, mapped and unmapped $mapped"
    assert_at_least "a cached stack of $size is dearer than nothing" "$cached" 1
    assert_at_least "a mapped stack of $size is dearer than a cached one" "$mapped" "$((${cached:-0} + 1))"
done
finish
