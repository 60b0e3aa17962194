# SPDX-License-Identifier: MIT
# Disks that are missing, empty, cut, wrecked, full or read-only: a clear errno and message, never a hang or a panic.
# shellcheck shell=bash
# timeout: 400
. "$(dirname "$0")/../lib.sh"

# mount_fails NAME IMAGE TEXT...: mount= of IMAGE gives 125 and every TEXT.
mount_fails() {
    local name=$1 image=$2 text
    shift 2
    GUEST_TIMEOUT=30 run_guest --app "$APPS/hello" --disk "$image" --append 'mount=/dev/vda:/m'
    assert_status "$name: status 125" 125
    for text in 'mount=/dev/vda:/m' "$@"; do
        assert_contains "$name: says $text" "$text"
    done
    assert_lacks "$name: the app did not start" 'hello: argv'
}

new_image() { # FILE BLOCK SIZE
    rm -f "$1"
    truncate -s "$3" "$1"
    mke2fs -q -F -t ext2 -b "$2" -O none,filetype,sparse_super,large_file "$1" >/dev/null
}

GUEST_TIMEOUT=30 run_guest --app "$APPS/hello" --disk "$TMP/nowhere.img"
assert_status 'a missing file: status 125' 125
assert_contains 'a missing file is named' "$TMP/nowhere.img: no such file"

GUEST_TIMEOUT=30 run_guest --app "$APPS/hello" --append 'mount=/dev/vda:/m'
assert_status 'no disk: status 125' 125
assert_contains 'no disk: the mount is named' 'mount=/dev/vda:/m'
assert_contains 'no disk: ENOENT' 'ENOENT'

: >"$TMP/zero.img"
truncate -s 1M "$TMP/empty.img"
mount_fails 'a disk of zeroes' "$TMP/empty.img" 'EINVAL'

new_image "$TMP/cut.img" 4096 16M
truncate -s 8M "$TMP/cut.img"
mount_fails 'a truncated image' "$TMP/cut.img" 'EINVAL' 'vda'

new_image "$TMP/wrecked.img" 1024 8M
dd if=/dev/urandom of="$TMP/wrecked.img" bs=1024 seek=1 count=1 conv=notrunc 2>/dev/null
printf '\x53\xef' | dd of="$TMP/wrecked.img" bs=1 seek=1080 conv=notrunc 2>/dev/null
mount_fails 'a wrecked superblock' "$TMP/wrecked.img" 'EINVAL'

rm -f "$TMP/ext4.img"
truncate -s 16M "$TMP/ext4.img"
mke2fs -q -F -t ext4 "$TMP/ext4.img"
mount_fails 'an ext4 filesystem' "$TMP/ext4.img" 'EINVAL' 'extent' 'mke2fs -t ext2'

# A filesystem that gets full, with programs' own checks; then e2fsck.
for block in 1024 4096; do
    new_image "$TMP/full.img" $block 4M
    run_guest --app "$APPS/tests/fill" --disk "$TMP/full.img" --append 'mount=/dev/vda:/m' -- /m
    assert_status "a full filesystem, blocks of $block" 0
    check_tower "a full filesystem, blocks of $block: e2fsck" "$TMP/full.img" 0
done

# Read-only disks.
new_image "$TMP/ro.img" 4096 4M
sum=$(sha256sum "$TMP/ro.img")
run_guest --app "$APPS/tests/fsops" --disk "$TMP/ro.img,ro" --append 'mount=/dev/vda:/m' -- /m
assert_status 'writing to a read-only disk fails' 1
assert_equal 'a read-only disk is not written' "$(sha256sum "$TMP/ro.img")" "$sum"

# A device that fails half-way: errors on some sectors are errors of some calls, and no more.
new_image "$TMP/bad.img" 4096 16M
cat >"$TMP/blkdebug.conf" <<'CONF'
[inject-error]
event = "read_aio"
errno = "5"
once = "off"
sector = "20000"
CONF
run_guest --app "$APPS/tests/fsops" --append 'mount=/dev/vda:/m' --qemu \
    "-drive if=none,id=bad,format=raw,file=blkdebug:$TMP/blkdebug.conf:$TMP/bad.img -device virtio-blk-pci,drive=bad,disable-legacy=on" -- /m
assert_matches 'a failing device: the run ends in order' '^spillway: exit=(0|1) '

# What was mounted before a set-up that fails is left clean.
mke2fs -q -t ext2 "$TMP/left.img" 4M
for bad in mount=none:/n:nofs cwd=/none; do
    GUEST_TIMEOUT=30 run_guest --app "$APPS/hello" --append "mount=/dev/vda:/m $bad" --disk "$TMP/left.img"
    assert_status "$bad after a mount: status 125" 125
    assert_contains "$bad is named" "$bad"
    assert_equal "$bad: the disk before it is left clean" \
        "$(dumpe2fs -h "$TMP/left.img" 2>/dev/null | sed -n 's/^Filesystem state: *//p')" clean
done

# Without the file that app= names; an app that is no ELF.
GUEST_TIMEOUT=30 run_guest --append 'app=/m/none mount=/dev/vda:/m' --disk "$TMP/full.img"
assert_status 'an app that is not there: status 125' 125
assert_contains 'an app that is not there is named' '/m/none'
echo '#!/bin/sh' >"$TMP/script"
GUEST_TIMEOUT=30 run_guest --app "$TMP/script"
assert_status 'an app that is no ELF: status 125' 125
assert_contains 'an app that is no ELF is named' 'script'
finish
