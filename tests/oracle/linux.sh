# SPDX-License-Identifier: MIT
# Linux as the judge: towers written by one system and read by the other, and the same programs on both.
# shellcheck shell=bash
# timeout: 400
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/oracle/support/linux.sh"
GUEST_TIMEOUT=120
LEVELS=6

# verdict FIELD: of the last verdict line in OUT.
verdict() { grep -a '^nestio: verdict=' "$OUT" | tail -n 1 | tr ' ' '\n' | sed -n "s/^$1=//p"; }

# verified NAME: the nestio that OUT is of found every level and every block that was acknowledged.
verified() {
    assert_status "$1: status 0" 0
    assert_equal "$1: levels up" "$(verdict up)" $((LEVELS + 1))
    assert_equal "$1: nothing is wrong" "$(verdict wrong),$(verdict errors),$(verdict unchecked)" 0,0,0
    assert_at_least "$1: blocks were checked" "$(verdict checked)" $(((LEVELS + 1) * 256))
}

need_linux

for block in 1K 4K; do
    # Written here, read by Linux.
    make_tower "$TMP/here.img" --levels $LEVELS --block $block
    run_guest --kernel --disk "$TMP/here.img" -- --levels $LEVELS --threads 4 --ops 2000
    verified "written by Spillway, blocks of $block"
    run_linux --disk "$TMP/here.img" --file "$APPS/nestio" -- "nestio --levels $LEVELS --verify"
    verified "written by Spillway, verified by Linux, blocks of $block"
    check_tower "written by Spillway, read by Linux, blocks of $block: e2fsck" "$TMP/here.img" $LEVELS

    # Written by Linux, read here, written on here, read by Linux.
    make_tower "$TMP/there.img" --levels $LEVELS --block $block
    run_linux --disk "$TMP/there.img" --file "$APPS/nestio" -- "nestio --levels $LEVELS --threads 4 --ops 3000"
    verified "written by Linux, blocks of $block"
    assert_contains "on Linux the stack columns read - ($block)" \
        'stacks: total -, free -, low water -, requests -, switches -, refusals -,'
    assert_equal "on Linux the verdict's stack fields read - ($block)" \
        "$(verdict stack_total),$(verdict stack_free),$(verdict stack_switches),$(verdict stack_most_held)" '-,-,-,-'
    run_guest --kernel --disk "$TMP/there.img" -- --levels $LEVELS --verify
    verified "written by Linux, verified by Spillway, blocks of $block"
    run_guest --kernel --disk "$TMP/there.img" -- --levels $LEVELS --threads 4 --ops 1000 --seed 2
    verified "written by Linux, written on by Spillway, blocks of $block"
    check_tower "written by both, blocks of $block: e2fsck" "$TMP/there.img" $LEVELS
    run_linux --disk "$TMP/there.img" --file "$APPS/nestio" -- "nestio --levels $LEVELS --verify"
    verified "written by both, verified by Linux, blocks of $block"
done

# The programs of apps/tests check calls and errno against what Linux does: so they must pass there too.
FOLDER_APPS=(fsops links bigfile mem threads clock pipes signals locks mapped vdso)
linux_files=()
for app in "${FOLDER_APPS[@]}" fill; do
    linux_files+=(--file "$APPS/tests/$app")
done
ext2_image "$TMP/linux.img" 4096 32M
ext2_image "$TMP/linux-fill.img" 1024 4M
run_linux --disk "$TMP/linux.img" --disk "$TMP/linux-fill.img" "${linux_files[@]}" -- "
    mkdir /m /f && mount -t ext2 /dev/vda /m && mount -t ext2 /dev/vdb /f || exit 99
    for app in ${FOLDER_APPS[*]}; do \$app /m; echo \"status of \$app: \$?\"; done
    fill /f; echo \"status of fill: \$?\"
    umount /m /f"
assert_status 'the programs ran on Linux' 0
for app in "${FOLDER_APPS[@]}" fill; do
    assert_contains "$app passes on Linux" "status of $app: 0"
done
check_tower 'the programs on Linux: e2fsck' "$TMP/linux.img" 0

ext2_image "$TMP/here.img" 4096 32M
for app in "${FOLDER_APPS[@]}"; do
    run_guest --app "$APPS/tests/$app" --disk "$TMP/here.img" --append 'mount=/dev/vda:/m' -- /m
    assert_status "$app passes on Spillway" 0
done
check_tower 'the programs on Spillway: e2fsck' "$TMP/here.img" 0
ext2_image "$TMP/fill.img" 1024 4M
run_guest --app "$APPS/tests/fill" --disk "$TMP/fill.img" --append 'mount=/dev/vda:/m' -- /m
assert_status 'fill passes on Spillway' 0
check_tower 'fill on Spillway: e2fsck' "$TMP/fill.img" 0
finish
