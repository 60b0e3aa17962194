# SPDX-License-Identifier: MIT
# 45 wrecked ext2 images in the guest, made by tests/host/test_ext2_wrecked.c (which tries 10000 natively): all of them
# lie as files on one disk, between files that must not change, and are mounted through loop devices, read, changed
# and unmounted; then some as disks. Errors and data, and the end: no hang, no panic, nothing written outside of an image.
# WRECK_SEED=N makes others.
# shellcheck shell=bash
# timeout: 400
. "$(dirname "$0")/../lib.sh"
SEED=${WRECK_SEED:-$((50000 + 1))}
EACH=15

export SPILLWAY_BUILD=$BUILD
if ! ninja -C "$BUILD" test_ext2_wrecked >"$TMP/ninja.log" 2>&1; then
    not_ok 'the program that wrecks builds' "$(tail -n 1 "$TMP/ninja.log")"
    finish
fi
mkdir -p "$TMP/wrecks" "$TMP/tree"
EXT2_WRECK_KEEP=$TMP/wrecks EXT2_WRECK_SEED=$SEED EXT2_WRECK_COUNT=$EACH "$BUILD/tests/test_ext2_wrecked" >"$TMP/made.log" 2>&1
count=$(find "$TMP/wrecks" -type f | wc -l)
echo "seed $SEED: $count images"
assert_at_least 'wrecked images' "$count" 40

# Between two images lies a file of zeroes' opposites: what is written too far meets one of them.
for image in "$TMP"/wrecks/*; do
    number=$(basename "$image")
    cp "$image" "$TMP/tree/$number"
    head -c 40000 /dev/urandom >"$TMP/tree/guard-$number"
done
(cd "$TMP/tree" && sha256sum guard-*) >"$TMP/sums"
rm -f "$TMP/disk"
truncate -s 160M "$TMP/disk"
mke2fs -q -F -t ext2 -b 4096 -O none,filetype,sparse_super,large_file -d "$TMP/tree" "$TMP/disk" || not_ok 'the outer disk' 'mke2fs'
GUEST_TIMEOUT=200 run_guest --app "$APPS/tests/wrecks" --disk "$TMP/disk" --append 'mount=/dev/vda:/m log=error' -- /m
assert_status "seed $SEED: all are tried and unmounted" 0
assert_contains "seed $SEED: to the last" "wrecks: $count files, 0 bad"
assert_at_least "seed $SEED: many could be mounted" "$(grep -ac ' calls, ' "$OUT")" $((count / 2))
assert_at_least "seed $SEED: errors were met" "$(sed -nE 's/.* calls, ([0-9]+) errors$/\1/p' "$OUT" | awk '{ s += $1 } END { print s + 0 }')" $((count / 2))
assert_equal "seed $SEED: every stack went home" "$(last_field free)" "$(last_field total)"
check_tower "seed $SEED: e2fsck of the disk below" "$TMP/disk" 0
mkdir "$TMP/after"
debugfs -R "rdump / $TMP/after" "$TMP/disk" >/dev/null 2>&1
(cd "$TMP/after" && sha256sum --status -c "$TMP/sums")
assert_equal "seed $SEED: what lies between them is as it was" $? 0
assert_equal "seed $SEED: no image has another size" "$(cd "$TMP/after" && stat -c '%n %s' [0-9]* | sort)" \
    "$(cd "$TMP/wrecks" && stat -c '%n %s' * | sort)"

# As disks, a dozen at a time, mounted by the program, so that a refused mount ends nothing.
disks=() steps=()
index=0
for image in $(find "$TMP/wrecks" -type f | sort | awk 'NR % 4 == 0' | head -n 11); do
    name=$(printf "\\x$(printf %x $((98 + index)))")
    disks+=(--disk "$image")
    steps+=("mkdir:/$name" "mount:/dev/vd$name:/$name" "list:/$name" "list:/$name/d1" "write:/$name/new:0:20000" "fsync:/$name/new"
        "unlink:/$name/middle" "close:/$name/new" "umount:/$name")
    index=$((index + 1))
done
ext2=$TMP/first
truncate -s 1M "$ext2"
run_guest --app "$APPS/tests/steps" --disk "$ext2" "${disks[@]}" --append 'log=error' -- "${steps[@]}"
assert_status "seed $SEED: $index of them as disks" 0
assert_lacks "seed $SEED: $index of them as disks: nothing stays mounted" 'not unmounted'
finish
