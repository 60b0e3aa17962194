# SPDX-License-Identifier: MIT
# The edges of ext2, with blocks of 1, 2 and 4 KiB: triple indirect blocks, long names, directories with 10000 names,
# hashed directories, a full disk with reserved blocks, read-only mounts and disks, sync; and features of ext3 and ext4,
# refused by name with a mke2fs line that works. Judged by e2fsck and debugfs.
# shellcheck shell=bash
# timeout: 400
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/oracle/support/linux.sh"
GUEST_TIMEOUT=60

steps() { # IMAGE[,ro] STEPS...
    local image=$1
    shift
    run_guest --app "$APPS/tests/steps" --disk "$image" --append 'mount=/dev/vda:/m log=error' -- "$@" >/dev/null
}

# said NAME STEP RESULT: what the program said of STEP.
said() {
    local got
    got=$(grep -aF -- "$2: " "$OUT" | head -n 1)
    got=${got#"$2: "}
    if [ "${got%%, [0-9]*ms*}" = "$3" ]; then ok "$1"; else not_ok_out "$1" "$2 gave '$got', expected '$3'"; fi
}

all_ok() {
    local bad
    bad=$(grep -aE '^[a-z]+:/.*: (E[A-Z]|wrong|ends)' "$OUT" | head -n 1)
    assert_equal "$1" "$STATUS${bad:+ $bad}" 0
}

fsck_clean() {
    if e2fsck -fn "$2" >"$TMP/fsck" 2>&1; then
        ok "$1"
    else
        not_ok "$1" "$(grep -v '^Pass\|^e2fsck' "$TMP/fsck" | head -n 1)"
    fi
}

long=$(printf 'n%.0s' $(seq 255))
for block in 1024 2048 4096; do
    name="blocks of $block"
    ext2_image "$TMP/disk" $block 64M
    # Behind the double indirect blocks begin the triple ones; the last byte that pointers or the sector count allow.
    n=$((block / 4))
    triple=$(((12 + n + n * n) * block))
    steps "$TMP/disk" "write:/m/t:$((triple - 30000)):60000" "write:/m/t:$((triple + n * n * block + 5000)):9000" fsync:/m/t \
        "check:/m/t:$((triple - 30000)):60000" "check:/m/t:$((triple + n * n * block + 5000)):9000" \
        "write:/m/$long:0:100" "rename:/m/$long:/m/x$long" "link:/m/$long:/m/l" "symlink:$long:/m/s" \
        write:/m/old:0:5000 write:/m/new:0:9000:2 close:/m/old close:/m/new rename:/m/new:/m/old check:/m/old:0:9000:2 sync
    said "$name: a name of 256 bytes" "rename:/m/$long:/m/x$long" ENAMETOOLONG
    assert_equal "$name: nothing else failed" "$(grep -aE '^[a-z]+:/.*: (E[A-Z]|wrong|ends)' "$OUT" | grep -avc ENAMETOOLONG)" 0
    fsck_clean "$name: triple indirect blocks and long names: e2fsck" "$TMP/disk"
    assert_equal "$name: debugfs finds the triple indirect block" "$(debugfs -R 'stat /t' "$TMP/disk" 2>/dev/null | grep -c '(TIND)')" 1
    at=$(debugfs -R "bmap /t $((triple / block))" "$TMP/disk" 2>/dev/null)
    dd if="$TMP/disk" of="$TMP/piece" bs=$block skip="${at:-0}" count=1 2>/dev/null
    # The same program makes the same bytes on the host.
    "$APPS/tests/steps" "write:$TMP/host:$((triple - 30000)):60000" >/dev/null
    dd if="$TMP/host" bs=$block skip=$((triple / block)) count=1 2>/dev/null | cmp -s - "$TMP/piece"
    assert_equal "$name: debugfs finds the data behind it" $? 0
    rm -f "$TMP/host"
    assert_equal "$name: debugfs reads the long symlink" "$(debugfs -R 'stat /s' "$TMP/disk" 2>/dev/null | grep -c 'Type: symlink')" 1
    assert_equal "$name: debugfs counts the links" "$(debugfs -R 'stat /l' "$TMP/disk" 2>/dev/null | sed -n 's/^Links: \([0-9]*\) .*/\1/p')" 2
    steps "$TMP/disk" unlink:/m/t "unlink:/m/$long" unlink:/m/l unlink:/m/s unlink:/m/old sync
    all_ok "$name: all of it is removed"
    fsck_clean "$name: after that: e2fsck" "$TMP/disk"
done

# 10000 names; then the same in a directory with hashes, made by mke2fs and e2fsck -D.
ext2_image "$TMP/disk" 4096 64M -N 12000
steps "$TMP/disk" mkdir:/m/d many:/m/d/a-file-with-number-:10000 have:/m/d/a-file-with-number-:10000 list:/m/d
said '10000 names: made' many:/m/d/a-file-with-number-:10000 ok
said '10000 names: found' have:/m/d/a-file-with-number-:10000 ok
said '10000 names: listed' list:/m/d '10002 names'
fsck_clean '10000 names: e2fsck' "$TMP/disk"
assert_equal '10000 names: debugfs lists them' "$(debugfs -R 'ls -p /d' "$TMP/disk" 2>/dev/null | grep -c a-file-with-number-)" 10000
mkdir -p "$TMP/tree/d"
(cd "$TMP/tree/d" && seq 0 9999 | sed 's/^/a-file-with-number-/' | xargs touch)
rm -f "$TMP/hashed"
truncate -s 64M "$TMP/hashed"
mke2fs -q -F -t ext2 -b 1024 -N 14000 -O none,filetype,sparse_super,large_file,dir_index -d "$TMP/tree" "$TMP/hashed" >/dev/null
e2fsck -fyD "$TMP/hashed" >/dev/null 2>&1
assert_equal 'a hashed directory: it is one' "$(debugfs -R 'htree /d' "$TMP/hashed" 2>/dev/null | grep -c 'Root node dump')" 1
cp "$TMP/hashed" "$TMP/disk"
steps "$TMP/disk" have:/m/d/a-file-with-number-:10000 list:/m/d
said 'a hashed directory: every name is found' have:/m/d/a-file-with-number-:10000 ok
said 'a hashed directory: listed' list:/m/d '10002 names'
fsck_clean 'a hashed directory, read: e2fsck' "$TMP/disk"
steps "$TMP/disk" many:/m/d/new-:300 drop:/m/d/a-file-with-number-:5000 have:/m/d/new-:300 write:/m/d/big:0:50000 fsync:/m/d/big
all_ok 'a hashed directory, changed'
fsck_clean 'a hashed directory, changed: e2fsck' "$TMP/disk"
assert_equal 'a hashed directory, changed: debugfs lists it' \
    "$(debugfs -R 'ls -p /d' "$TMP/disk" 2>/dev/null | grep -v '^/0/' | grep -cE '/(a-file-with-number-|new-|big)')" 5301
e2fsck -fyD "$TMP/disk" >/dev/null 2>&1
steps "$TMP/disk" have:/m/d/new-:300 check:/m/d/big:0:50000 list:/m/d
all_ok 'a hashed directory, hashed again by e2fsck'
said 'a hashed directory, hashed again: listed' list:/m/d '5303 names'

# A full disk. Everything runs as root here: reserved blocks may be used, statfs counts them apart.
rm -f "$TMP/disk"
truncate -s 8M "$TMP/disk"
mke2fs -q -F -t ext2 -b 1024 -m 10 -O none,filetype,sparse_super,large_file "$TMP/disk"
steps "$TMP/disk" free:/m write:/m/f:0:20000000 fsync:/m/f free:/m many:/m/x:3000 write:/m/g:0:9000 close:/m/f unlink:/m/f sync mkdir:/m/d \
    write:/m/g:0:5000 fsync:/m/g check:/m/g:0:5000
free=$(dumpe2fs -h "$TMP/disk" 2>/dev/null | sed -n 's/^Reserved block count: *//p')
assert_matches 'a full disk: reserved blocks are counted apart' "^free:/m: [0-9]+ blocks free, [0-9]+ for all"
read -r all most < <(sed -nE 's/^free:\/m: ([0-9]+) blocks free, ([0-9]+) for all.*/\1 \2/p' "$OUT" | head -n 1)
assert_equal 'a full disk: as many as mke2fs reserved' $((all - most)) "$free"
said 'a full disk: write' write:/m/f:0:20000000 ENOSPC
# A page of 4 KiB gets all of its blocks or none.
assert_matches 'a full disk: none is left' '^free:/m: [0-3] blocks free, 0 for all'
said 'a full disk: a small file' write:/m/g:0:9000 ENOSPC
said 'a full disk: inodes too' many:/m/x:3000 'ENOSPC at '"$(sed -n 's/^many:.*ENOSPC at //p' "$OUT" | sed 's/,.*//')"
said 'a full disk: room again' check:/m/g:0:5000 ok
said 'a full disk: room again for a folder' mkdir:/m/d ok
fsck_clean 'a full disk: e2fsck' "$TMP/disk"

# Read-only: the disk, the mount, a mount that becomes so.
ext2_image "$TMP/disk" 4096 16M -N 12000 -d "$TMP/tree"
sum=$(sha256sum <"$TMP/disk")
steps "$TMP/disk,ro" list:/m/d write:/m/f:0:10 mkdir:/m/e unlink:/m/d/a-file-with-number-1 rename:/m/d:/m/e sync
said 'a read-only disk: read' list:/m/d '10002 names'
for step in write:/m/f:0:10 mkdir:/m/e unlink:/m/d/a-file-with-number-1 rename:/m/d:/m/e; do
    case $step in write:*) expected='E' ;; *) expected=EROFS ;; esac
    assert_contains "a read-only disk: ${step%%:*}" "$step: $expected"
done
assert_equal 'a read-only disk is not written' "$(sha256sum <"$TMP/disk")" "$sum"
run_guest --app "$APPS/tests/steps" --disk "$TMP/disk" -- mkdir:/n romount:/dev/vda:/n list:/n/d mkdir:/n/e umount:/n >/dev/null
said 'a read-only mount: mount' romount:/dev/vda:/n ok
said 'a read-only mount: read' list:/n/d '10002 names'
said 'a read-only mount: mkdir' mkdir:/n/e EROFS
assert_equal 'a read-only mount does not write' "$(sha256sum <"$TMP/disk")" "$sum"

# sync(2): what was written before is there, also without an end in order.
ext2_image "$TMP/disk" 4096 16M
GUEST_TIMEOUT=4 steps "$TMP/disk" mkdir:/m/d write:/m/d/f:0:100000 write:/m/g:0:7000 sync sleep:600000
assert_status 'sync: the machine was stopped' 124
e2fsck -fy "$TMP/disk" >/dev/null 2>&1
assert_equal 'sync: e2fsck' "$(($? <= 1))" 1
debugfs -R "dump /d/f $TMP/f" "$TMP/disk" >/dev/null 2>&1
assert_equal 'sync: the file is there' "$("$APPS/tests/steps" "check:$TMP/f:0:100000")" "check:$TMP/f:0:100000: ok"

# What is not ext2, by its name.
refused() { # FEATURE MKE2FS-OPTIONS...
    local feature=$1
    shift
    rm -f "$TMP/disk"
    truncate -s 32M "$TMP/disk"
    mke2fs -q -F "$@" "$TMP/disk" >"$TMP/mke2fs.log" 2>&1 || not_ok "mke2fs $*" "$(head -n 1 "$TMP/mke2fs.log")"
    [ "$feature" != needs_recovery ] || debugfs -w -R 'feature needs_recovery' "$TMP/disk" >/dev/null 2>&1
    run_guest --app "$APPS/hello" --disk "$TMP/disk" --append 'mount=/dev/vda:/m' >/dev/null
    assert_status "$feature: status 125" 125
    assert_matches "$feature: refused by name" "^ext2: /dev/vda: refused: .*\"$feature\""
    assert_contains "$feature: with a mke2fs line" '`mke2fs -t ext2 '
}
for feature in extents 64bit flex_bg metadata_csum huge_file dir_nlink extra_isize inline_data encrypt meta_bg mmp bigalloc \
    casefold project quota sparse_super2; do
    case $feature in
    64bit | bigalloc | inline_data | casefold | metadata_csum) refused $feature -t ext4 -O "$feature" ;;
    meta_bg) refused $feature -t ext2 -O "meta_bg,^resize_inode" ;;
    *) refused $feature -t ext2 -O "$feature" ;;
    esac
done
refused needs_recovery -t ext3
rm -f "$TMP/disk"
truncate -s 32M "$TMP/disk"
line=$(sed -nE 's/^ext2: .*`(mke2fs .*) DEVICE`.*/\1/p' "$OUT" | head -n 1)
$line -q -F "$TMP/disk" >/dev/null 2>&1
steps "$TMP/disk" write:/m/f:0:10000 fsync:/m/f
all_ok 'the mke2fs line of the message makes one that works'
fsck_clean 'the mke2fs line of the message: e2fsck' "$TMP/disk"
# A clean ext3 is an ext2 with a file more; the journal stays as it is.
rm -f "$TMP/disk"
truncate -s 32M "$TMP/disk"
mke2fs -q -F -t ext3 -O ^resize_inode "$TMP/disk"
steps "$TMP/disk" write:/m/f:0:10000 fsync:/m/f
all_ok 'an ext3 that was unmounted cleanly'
fsck_clean 'an ext3 that was unmounted cleanly: e2fsck' "$TMP/disk"
finish
