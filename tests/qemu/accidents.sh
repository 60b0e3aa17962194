# SPDX-License-Identifier: MIT
# Disks that fail half-way (QEMU's blkdebug) or stop answering (QEMU's throttling): -EIO where it belongs and nowhere
# else, at the level it belongs to, then an end in order and a clean e2fsck; and memory that runs out.
# shellcheck shell=bash
# timeout: 400
. "$(dirname "$0")/../lib.sh"

# sector_of FILE-BLOCK PATH IMAGE... : the sector of the first image (a disk) where that block of PATH lies; the images
# are the levels of a tower, from outside inwards, and PATH is in the last one.
sector_of() {
    local block=$1 path=$2 images=("${@:3}") i
    for ((i = ${#images[@]} - 1; i >= 0; i--)); do
        block=$(debugfs -R "bmap $path $block" "${images[i]}" 2>/dev/null)
        [ "${block:-0}" -gt 0 ] || { echo "no block of $path" >&2; return 1; }
        path=/next.img
    done
    echo $((block * 8))
}

# on_bad_disk IMAGE RULES APPEND STEPS...: runs apps/tests/steps with IMAGE behind blkdebug. Each of RULES, words such
# as write:SECTOR:once or flush::ever, becomes a rule that makes such requests fail with EIO.
on_bad_disk() {
    local image=$1 rules=$2 append=$3 rule kind sector how args index=0
    shift 3
    args="driver=blkdebug,node-name=bad,image.driver=file,image.filename=$image"
    for rule in $rules; do
        IFS=: read -r kind sector how <<<"$rule"
        args+=",inject-error.$index.event=none,inject-error.$index.iotype=$kind"
        args+="${sector:+,inject-error.$index.sector=$sector},inject-error.$index.errno=5"
        args+=",inject-error.$index.once=$([ "$how" = once ] && echo on || echo off)"
        index=$((index + 1))
    done
    GUEST_TIMEOUT=60 run_guest --app "$APPS/tests/steps" --append "$append" \
        --qemu "-blockdev $args -device virtio-blk-pci,drive=bad,disable-legacy=on" -- "$@"
}

# on_slow_disk IMAGE THROTTLING APPEND STEPS...: the same behind QEMU's throttling.
on_slow_disk() {
    local image=$1 throttling=$2 append=$3
    shift 3
    GUEST_TIMEOUT=60 run_guest --app "$APPS/tests/steps" --append "$append" \
        --qemu "-drive if=none,id=slow,format=raw,file=$image,$throttling -device virtio-blk-pci,drive=slow,disable-legacy=on" -- "$@"
}

# step NAME STEP RESULT [NTH]: what the program said of STEP (the NTH time that it was done).
step() {
    local got
    got=$(grep -aF -- "$2: " "$OUT" | sed -n "${4:-1}p")
    got=${got#"$2: "}
    if [ "${got%%,*}" = "$3" ]; then ok "$1"; else not_ok_out "$1" "$2 gave '$got', expected '$3'"; fi
}

# all_but NAME RESULTS...: every other step went well.
all_but() {
    local bad
    bad=$(grep -aE '^[a-z]+:/[^ ]*: (E|wrong|ends)' "$OUT" | grep -avFf <(printf '%s\n' "${@:2}") | head -n 1)
    if [ -z "$bad" ]; then ok "$1"; else not_ok "$1" "$bad"; fi
}

fsck_clean() {
    if e2fsck -fn "$2" >"$TMP/fsck" 2>&1; then
        ok "$1"
    else
        not_ok "$1" "$(grep -v '^Pass\|^e2fsck' "$TMP/fsck" | head -n 1)"
    fi
}

# repairable NAME IMAGE LEVELS: `e2fsck -fy` ends with 0 or 1, level by level, and then with 0.
repairable() {
    local image=$TMP/repair level
    cp "$2" "$image"
    for ((level = 0; level <= $3; level++)); do
        e2fsck -fy "$image" >"$TMP/fsck" 2>&1
        if [ $? -gt 1 ] || ! e2fsck -fn "$image" >/dev/null 2>&1; then
            not_ok "$1" "level $level: $(grep -v '^Pass\|^e2fsck' "$TMP/fsck" | head -n 1)"
            return
        fi
        [ "$level" -eq "$3" ] || debugfs -R "dump /next.img $image.next" "$image" >/dev/null 2>&1
        [ "$level" -eq "$3" ] || mv "$image.next" "$image"
    done
    ok "$1"
}

mkdir "$TMP/tree"
for name in a b c; do
    head -c 200000 /dev/urandom >"$TMP/tree/$name"
done
mke2fs -q -F -t ext2 -b 4096 -O none,filetype,sparse_super,large_file -d "$TMP/tree" "$TMP/fresh" 16M || exit 1
A3=$(sector_of 3 /a "$TMP/fresh")
MOUNT='mount=/dev/vda:/m'
disk() { cp "$TMP/fresh" "$TMP/disk"; }

# ---- errors ----

# Written again within the same fsync: nobody has to know.
disk
on_bad_disk "$TMP/disk" "write:$A3:once" "$MOUNT" write:/m/a:0:100000 fsync:/m/a check:/m/a:0:100000
assert_status 'one failed write: status 0' 0
assert_contains 'one failed write: the log names disk and sector' 'vda: write at sector'
all_but 'one failed write is done again'
fsck_clean 'one failed write: e2fsck' "$TMP/disk"

# A bad sector: an error for its file, each time; no error for anybody else, new files included.
disk
on_bad_disk "$TMP/disk" "write:$A3:ever" "$MOUNT" write:/m/a:0:100000 write:/m/b:0:100000 write:/m/new:0:100000 \
    fsync:/m/a fsync:/m/b fsync:/m/new mkdir:/m/d fsync:/m/d rename:/m/c:/m/d/c fsync:/m/d fsync:/m/a check:/m/a:0:100000 \
    check:/m/b:0:100000
step 'a sector that cannot be written: fsync' fsync:/m/a EIO
step 'a sector that cannot be written: fsync again' fsync:/m/a EIO 2
all_but 'a sector that cannot be written: no error for others' fsync:/m/a
assert_status 'a sector that cannot be written: status 125 for what is lost' 125
assert_contains 'a sector that cannot be written: what is lost is named' '/dev/vda: not unmounted, what is not written is lost: EIO'
fsck_clean 'a sector that cannot be written: e2fsck' "$TMP/disk"
debugfs -R "dump /new $TMP/got" "$TMP/disk" >/dev/null 2>&1
assert_equal 'a sector that cannot be written: a new file is on the disk' "$(stat -c %s "$TMP/got")" 100000

# The file is gone: so is the trouble.
disk
on_bad_disk "$TMP/disk" "write:$A3:ever" "$MOUNT" write:/m/a:0:100000 fsync:/m/a close:/m/a unlink:/m/a sync write:/m/b:0:100 \
    fsync:/m/b
step 'a bad sector of a file to be deleted: fsync' fsync:/m/a EIO
all_but 'a bad sector of a file to be deleted: no error for others' fsync:/m/a
assert_status 'a bad sector of a file that was deleted: status 0' 0
fsck_clean 'a bad sector of a file that was deleted: e2fsck' "$TMP/disk"

# Write-back meets the error, fsync tells it, once; the write is done again.
disk
on_bad_disk "$TMP/disk" "write:$A3:once write:$A3:once write:$A3:once" "$MOUNT" write:/m/a:12288:4096 sleep:5000 fsync:/m/a fsync:/m/a \
    check:/m/a:12288:4096
step 'an error of write-back: the next fsync tells it' fsync:/m/a EIO
step 'an error of write-back: told once' fsync:/m/a ok 2
assert_status 'an error of write-back: status 0, it was written' 0
fsck_clean 'an error of write-back: e2fsck' "$TMP/disk"

# Reading.
disk
on_bad_disk "$TMP/disk" "read:$A3:ever" "$MOUNT" check:/m/a:0:1 check:/m/a:12288:4096 write:/m/a:12288:4096 check:/m/a:12288:4096 \
    write:/m/b:0:100000 fsync:/m/b fsync:/m/a
step 'a sector that cannot be read' check:/m/a:12288:4096 EIO
step 'a sector that cannot be read can be written' check:/m/a:12288:4096 ok 2
assert_status 'a sector that cannot be read: status 0' 0
fsck_clean 'a sector that cannot be read: e2fsck' "$TMP/disk"
disk
on_bad_disk "$TMP/disk" "read:$A3:once" "$MOUNT" check:/m/a:12288:1 check:/m/a:12288:1
assert_status 'a read that fails once: status 0' 0
assert_matches 'a read that fails once: the same read, again, gives the data' '^check:/m/a:12288:1: (ok|wrong)'

# Flushes.
disk
on_bad_disk "$TMP/disk" 'flush::ever' "$MOUNT" write:/m/a:0:4096 fsync:/m/a check:/m/a:0:4096
assert_status 'a disk that never flushes cannot be mounted' 125
on_bad_disk "$TMP/disk" 'flush::once' "$MOUNT" write:/m/a:0:4096 fsync:/m/a
assert_status 'a flush that fails once: status 0' 0
fsck_clean 'a flush that fails once: e2fsck' "$TMP/disk"

# A tower: the bad sector belongs to one level.
make_tower "$TMP/tower" --levels 3 || exit 1
TOWER='mount=/dev/vda:/0 mount=/0/next.img:/1 mount=/1/next.img:/2 mount=/2/next.img:/3'
FILES=()
for level in 0 1 2 3; do
    FILES+=("write:/$level/f:0:60000" "fsync:/$level/f")
done
GUEST_TIMEOUT=60 run_guest --app "$APPS/tests/steps" --disk "$TMP/tower" --append "$TOWER" -- "${FILES[@]}"
assert_status 'a tower is filled' 0
cp "$TMP/tower" "$TMP/image0"
for level in 1 2 3; do
    debugfs -R "dump /next.img $TMP/image$level" "$TMP/image$((level - 1))" >/dev/null 2>&1
done
for level in 0 1 2 3; do
    images=()
    for ((i = 0; i <= level; i++)); do images+=("$TMP/image$i"); done
    sector=$(sector_of 5 /f "${images[@]}") || continue
    for how in once ever; do
        cp "$TMP/tower" "$TMP/disk"
        name="a bad sector of level $level of 3, $how"
        on_bad_disk "$TMP/disk" "write:$sector:$how" "$TOWER" "${FILES[@]}" "fsync:/$level/f" check:/0/f:0:60000 \
            check:/1/f:0:60000 check:/2/f:0:60000 check:/3/f:0:60000 \
            write:/0/g:0:9000 fsync:/0/g write:/1/g:0:9000 fsync:/1/g write:/2/g:0:9000 fsync:/2/g write:/3/g:0:9000 fsync:/3/g
        if [ $how = once ]; then
            all_but "$name: nobody has to know"
            assert_status "$name: status 0" 0
            check_tower "$name: e2fsck of every level" "$TMP/disk" 3
        else
            # A disk in a file that cannot be written whole cannot say which of its blocks it is: so all who stand on
            # that file are told that what they wrote may not be there, each time. What is below works.
            step "$name: fsync" "fsync:/$level/f" EIO
            if [ "$level" -eq 0 ]; then
                all_but "$name: no error elsewhere" "fsync:/$level/f"
            else
                all_but "$name: no error at level 0" fsync:/1/ fsync:/2/ fsync:/3/
            fi
            assert_contains "$name: what is lost is named" ': not unmounted, what is not written is lost: EIO'
            fsck_clean "$name: e2fsck of level 0" "$TMP/disk"
            repairable "$name: e2fsck -y of every level" "$TMP/disk" 3
        fi
        assert_matches "$name: every stack went home" '^spillway: exit=.* total=64 free=64 '
    done
done

# ---- no answer ----

for how in read write; do
    disk
    on_slow_disk "$TMP/disk" "throttling.bps-$how=1,throttling.bps-$how-max=120000" "$MOUNT disk.timeout=2" \
        check:/m/a:0:1 write:/m/a:0:40000 fsync:/m/a write:/m/b:0:200000 fsync:/m/b check:/m/c:0:200000 write:/m/new:0:100 \
        fsync:/m/new sync list:/m size:/m/b
    assert_matches "no answer to a $how: the message names it" "^vda: no answer to a $how at sector [0-9]+ for 2 s: the disk is given up"
    step "no answer to a $how: an error afterwards" fsync:/m/new EIO
    step "no answer to a $how: what is cached can be read" size:/m/b '200000 bytes'
    assert_matches "no answer to a $how: the run ends in order" '^spillway: exit=125 '
    e2fsck -fn "$TMP/disk" >"$TMP/fsck" 2>&1
    assert_equal "no answer to a $how: what is on the disk is consistent" $? 0
done
# Slow is not dead.
disk
on_slow_disk "$TMP/disk" 'throttling.iops-write=4' "$MOUNT disk.timeout=20" write:/m/a:0:40000 fsync:/m/a
assert_status 'a slow disk is waited for' 0
fsck_clean 'a slow disk: e2fsck' "$TMP/disk"
# Two disks: the other one works on.
disk
cp "$TMP/fresh" "$TMP/disk2"
GUEST_TIMEOUT=60 run_guest --app "$APPS/tests/steps" --disk "$TMP/disk2" --append 'mount=/dev/vda:/m mount=/dev/vdb:/n disk.timeout=2' \
    --qemu "-drive if=none,id=slow,format=raw,file=$TMP/disk,throttling.bps-write=1,throttling.bps-write-max=60000 -device virtio-blk-pci,drive=slow,disable-legacy=on" -- \
    write:/n/a:0:200000 fsync:/n/a write:/m/a:0:200000 fsync:/m/a sync check:/m/a:0:200000
step 'one disk of two does not answer: its error' fsync:/n/a EIO
all_but 'one disk of two does not answer: the other one works' fsync:/n/a check:/n/a
assert_contains 'one disk of two does not answer: it is named' 'vdb: no answer'
fsck_clean 'one disk of two does not answer: e2fsck of the other' "$TMP/disk2"

# ---- no memory ----

# The program takes all there is, in large and then in single pages; then I/O at every level works with what the mounts
# keep for it, or says ENOMEM. Memory given back, all of it works.
cp "$TMP/tower" "$TMP/disk"
WORK=() CHECK=()
for level in 0 1 2 3; do
    WORK+=("write:/$level/f:0:60000:2" "fsync:/$level/f" "write:/$level/g:0:60000" "fsync:/$level/g" "mkdir:/$level/d" "check:/$level/f:0:60000:2")
    CHECK+=("write:/$level/f:0:60000:3" "fsync:/$level/f" "write:/$level/h:0:60000" "fsync:/$level/h" "check:/$level/h:0:60000"
        "check:/$level/f:0:60000:3")
done
GUEST_TIMEOUT=100 run_guest -m 24M --app "$APPS/tests/steps" --disk "$TMP/disk" --append "$TOWER" -- hoard:65536 hoard:4096 \
    "${WORK[@]}" many:/tmp/x:100000 sync release:0 sync "${CHECK[@]}"
assert_status 'no memory: status 0' 0
assert_matches 'no memory: the program is told' '^hoard:4096: ENOMEM after [0-9]+'
bad=$(sed '/^release:0/,$d' "$OUT" | grep -aE '^(write|fsync|mkdir|check):.*: (E|wrong|ends)' | grep -avE ': (ENOMEM|ENOSPC)' | grep -avE '^check:.*:2: (wrong|ends|EN)' | head -n 1)
assert_equal 'no memory: nothing but ENOMEM' "$bad" ''
bad=$(sed -n '/^release:0/,$p' "$OUT" | grep -aE '^(write|fsync|check):.*: (E|wrong|ends)' | head -n 1)
assert_equal 'memory again: everything works' "$bad" ''
check_tower 'no memory: e2fsck of every level' "$TMP/disk" 3
# More to work on than there is memory: 4 MB at each level, which each level below caches again.
make_tower "$TMP/disk" --levels 3 --data 16M || exit 1
GUEST_TIMEOUT=200 run_guest -m 24M --kernel --disk "$TMP/disk" -- --levels 3 --threads 4 --ops 3000 --blocks 1024
assert_status '40 MB to cache in 24 MB of memory' 0
assert_matches '40 MB to cache in 24 MB of memory: the verdict' '^nestio: verdict=ok .* wrong=0 '
check_tower '40 MB to cache in 24 MB of memory: e2fsck of every level' "$TMP/disk" 3
finish
