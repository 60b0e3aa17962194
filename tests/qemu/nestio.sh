# SPDX-License-Identifier: MIT
# The main job: reads and writes through nested filesystems on small stacks, every byte checked, from the ISO and
# directly; refusals lose nothing; depth without probes ends in a guard page.
# shellcheck shell=bash
# timeout: 900
. "$(dirname "$0")/../lib.sh"

verdict() { grep -a '^nestio: verdict=' "$OUT" | tail -n 1 | tr ' ' '\n' | sed -n "s/^$1=//p"; }
level_column() { awk -v l="$1" -v c="$2" '$1 == l && NF == 8 { print $c }' "$OUT" | tail -n 1; }

# all_good LABEL LEVELS: what every run that had stacks enough must show.
all_good() {
    assert_status "$1: exit 0" 0
    assert_equal "$1: levels up" "$(verdict up)" $(($2 + 1))
    assert_equal "$1: wrong" "$(verdict wrong)" 0
    assert_equal "$1: refused" "$(verdict refused)" 0
    assert_at_least "$1: switches" "$(last_field switches)" 1
    assert_equal "$1: every stack went home" "$(last_field free)" "$(last_field total)"
}

# The demonstration, as the README gives it.
GUEST_TIMEOUT=300 run_guest
all_good 'the demonstration' 6
assert_equal 'the demonstration: operations' "$(verdict ops)" 20000
assert_at_least 'the demonstration: level-6 operations that reached the disk' "$(verdict deepest_reached_disk)" 500
check_tower 'the demonstration: e2fsck of every level' "$BUILD/run/tower-6.img" 6

# The same directly, with 1 KiB blocks, then again on the used disk, then only verified.
make_tower "$TMP/1k.img" --levels 6 --block 1K
GUEST_TIMEOUT=200 run_guest --kernel --disk "$TMP/1k.img" -- --levels 6 --threads 4 --ops 4000
all_good 'direct boot, 1 KiB blocks' 6
GUEST_TIMEOUT=200 run_guest --kernel --disk "$TMP/1k.img" -- --levels 6 --threads 2 --ops 1000 --seed 2
all_good 'a second run on the same disk' 6
GUEST_TIMEOUT=200 run_guest --kernel --disk "$TMP/1k.img" -- --levels 6 --verify
assert_status 'verified after two boots' 0
check_tower 'e2fsck of every level, 1 KiB blocks' "$TMP/1k.img" 6

# Every probe switches.
make_tower "$TMP/force.img" --levels 6
GUEST_TIMEOUT=200 run_guest --kernel --disk "$TMP/force.img" --append 'stack.need=force stack.extra=64' -- \
    --levels 6 --threads 4 --ops 2000
all_good 'stack.need=force' 6
assert_at_least 'stack.need=force: most stacks held by one thread' "$(verdict stack_most_held)" 12
while read -r _ name _ need _ deepest _; do
    if [ "${deepest%,}" -le "${need%,}" ]; then
        ok "depth below ${name%:} is within its need"
    else
        not_ok "depth below ${name%:} is within its need" "${deepest%,} bytes of ${need%,}"
    fi
done < <(grep -a '^probe [a-z_]*: need ' "$OUT")
assert_equal 'all probes report their depth' "$(grep -ac '^probe [a-z_]*: need ' "$OUT")" \
    "$(grep -c '^PROBE(' "$ROOT/src/probes.def")"

# Refusals: nothing is lost, level 0 is not touched.
for extra in 0 1; do
    make_tower "$TMP/refuse.img" --levels 6
    GUEST_TIMEOUT=200 run_guest --kernel --disk "$TMP/refuse.img" \
        --append "stack.size=8K stack.extra_size=8K stack.need=4K stack.extra=$extra" -- \
        --levels 6 --threads 4 --ops 2000
    if [ "$extra" = 0 ] || [ "$STATUS" != 0 ]; then
        assert_status "stack.extra=$extra: exit 3" 3
        assert_at_least "stack.extra=$extra: refusals" "$(last_field refusals)" 1
        assert_contains "stack.extra=$extra: the verdict says so" 'refused for want of a stack, no data lost'
    fi
    assert_equal "stack.extra=$extra: wrong" "$(verdict wrong)" 0
    assert_equal "stack.extra=$extra: level 0 was not refused" "$(level_column 0 6)" 0
    assert_at_least "stack.extra=$extra: level 0 worked" "$(level_column 0 3)" 100
    assert_equal "stack.extra=$extra: every stack went home" "$(last_field free)" "$extra"
    check_tower "stack.extra=$extra: e2fsck of every level" "$TMP/refuse.img" 6
    GUEST_TIMEOUT=200 run_guest --kernel --disk "$TMP/refuse.img" -- --levels 6 --verify
    assert_status "stack.extra=$extra: a boot with enough stacks verifies" 0
    assert_equal "stack.extra=$extra: verified, wrong" "$(verdict wrong)" 0
done

# Contention: three threads, stacks for about one; the refused operations fail, all others are right.
make_tower "$TMP/few.img" --levels 6
GUEST_TIMEOUT=200 run_guest --kernel --disk "$TMP/few.img" --append 'stack.extra=3' -- --levels 6 --threads 8 --ops 4000
assert_equal 'few stacks: wrong' "$(verdict wrong)" 0
assert_equal 'few stacks: every stack went home' "$(last_field free)" 3
assert_equal 'few stacks: low water' "$(last_field low_water)" 0
check_tower 'few stacks: e2fsck of every level' "$TMP/few.img" 6

# Depth. First every level by itself: a file is written and synced there in one boot, read in the next and written over;
# and what lies at the last level is taken out with debugfs, level by level.
each_level() {
    local levels=$1 block=$2 name="$1 levels, blocks of $2" mounts='mount=/dev/vda:/0' level image=$TMP/each.img
    local -a first=(write:/0/f:0:20000 fsync:/0/f) second=(check:/0/f:0:20000 write:/0/f:5000:9000:2 fsync:/0/f)
    make_tower "$image" --levels "$levels" --block "$block"
    for ((level = 1; level <= levels; level++)); do
        mounts+=" mount=/$((level - 1))/next.img:/$level"
        first+=("write:/$level/f:0:20000" "fsync:/$level/f")
        second+=("check:/$level/f:0:20000" "write:/$level/f:5000:9000:2" "fsync:/$level/f")
    done
    run_guest --app "$APPS/tests/steps" --disk "$image" --append "$mounts" -- "${first[@]}" >/dev/null
    assert_status "$name: status" 0
    assert_equal "$name: written and synced at every level" "$(grep -aEc '^(write|fsync):/[0-9]+/f[:0-9]*: ok' "$OUT")" $((2 * levels + 2))
    check_tower "$name: e2fsck of every level" "$image" "$levels"
    run_guest --app "$APPS/tests/steps" --disk "$image" --append "$mounts" -- "${second[@]}" >/dev/null
    assert_equal "$name: read and written over at every level" "$(grep -aEc '^(check|write|fsync):/[0-9]+/f[:0-9]*: ok' "$OUT")" $((3 * levels + 3))
    check_tower "$name: e2fsck of every level, after the second boot" "$image" "$levels"
    for ((level = 0; level < levels; level++)); do
        debugfs -R "dump /next.img $TMP/inner.new" "$image" >/dev/null 2>&1
        image=$TMP/inner.img
        mv -f "$TMP/inner.new" "$image"
    done
    debugfs -R "dump /f $TMP/last" "$image" >/dev/null 2>&1
    assert_equal "$name: debugfs reads the file at the last one" \
        "$("$APPS/tests/steps" "check:$TMP/last:0:5000" "check:$TMP/last:5000:9000:2" "check:$TMP/last:14000:6000" | grep -c ': ok')" 3
}
each_level 12 1K
each_level 32 4K
make_tower "$TMP/deep.img" --levels 12
GUEST_TIMEOUT=200 run_guest --kernel --disk "$TMP/deep.img" -- --levels 12 --threads 4 --ops 1000 --blocks 32
all_good '12 levels' 12
check_tower '12 levels: e2fsck of every level' "$TMP/deep.img" 12
make_tower "$TMP/deep.img" --levels 32
GUEST_TIMEOUT=300 run_guest --kernel --disk "$TMP/deep.img" -- --levels 32 --threads 4 --ops 400 --blocks 16
all_good '32 levels' 32
assert_at_least '32 levels: most stacks held by one thread' "$(verdict stack_most_held)" 6
check_tower '32 levels: e2fsck of every level' "$TMP/deep.img" 32

build_variant no-probes
make_tower "$TMP/deep.img" --levels 32
GUEST_TIMEOUT=100 run_guest --kernel --disk "$TMP/deep.img" -- --levels 32 --threads 1 --ops 100
assert_status 'without probes 32 levels end in the guard' 200
assert_contains 'without probes: the report names the guard' 'GUARD HIT: stack overflow'
assert_contains 'without probes: the report names the stack' 'below the home stack'
assert_contains 'without probes: the backtrace shows the loop' 'loop_submit_stacked+0x'
assert_equal 'without probes: nothing was switched' "$(last_field switches)" 0
finish
