# SPDX-License-Identifier: MIT
# Partition tables made by sfdisk: Linux and Spillway see the same partitions; a filesystem in one is read and written
# through it and judged by e2fsck; what is outside of it stays as it was. Broken tables are named, and cost no more
# than what is broken.
# shellcheck shell=bash
# timeout: 300
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/oracle/support/linux.sh"
GUEST_TIMEOUT=60

# table FILE SIZE <SCRIPT: a disk with what sfdisk makes of the script.
table() {
    rm -f "$1"
    truncate -s "$2" "$1"
    sfdisk -q "$1" >"$TMP/sfdisk.log" 2>&1 || not_ok "sfdisk makes $1" "$(tail -n 1 "$TMP/sfdisk.log")"
}

# seen DISK: "vda1 START SIZE" as Spillway has them, sorted.
seen() {
    run_guest --app /bin/busybox --disk "$1" -- grep -r . /sys/block/vda >/dev/null
    sed -nE 's,^/sys/block/vda/(vda[0-9]+)/(start|size):([0-9]+)$,\1 \2 \3,p' "$OUT" |
        awk '{ v[$1, $2] = $3; n[$1] } END { for (p in n) print p, v[p, "start"], v[p, "size"] }' | sort -V
}

# by_sfdisk DISK: the same as sfdisk has them, without the extended partition, which holds no data of its own.
by_sfdisk() {
    sfdisk -d "$1" 2>/dev/null | sed -nE 's/^[^ ]*[^0-9]([0-9]+) : start= *([0-9]+), size= *([0-9]+), type=([^, ]+).*/\1 \2 \3 \4/p' |
        awk '$4 != "5" && $4 != "f" { print "vda" $1, $2, $3 }' | sort -V
}

# by_linux DISK: as Linux has them.
by_linux() {
    run_linux --disk "$1",ro -- 'mkdir -p /sys; mount -t sysfs none /sys 2>/dev/null
        for p in /sys/block/vda/vda*; do echo $(basename $p) $(cat $p/start) $(cat $p/size); done' >/dev/null
    grep -aE '^vda[0-9]+ [0-9]+ [0-9]+$' "$OUT" | sort -V
}

table "$TMP/gpt" 64M <<'TABLE'
label: gpt
unit: sectors
first-lba: 34
1 : start=2048, size=40000, type=L
2 : start=45056, size=20480, type=S, name="swap of nobody"
4 : start=34, size=1000, type=L
7 : start=70000, size=60000, type=L
TABLE
table "$TMP/mbr" 64M <<'TABLE'
label: dos
unit: sectors
1 : start=2048, size=40000, type=83, bootable
2 : start=43008, size=80000, type=f
3 : start=124928, size=4096, type=83
5 : start=45056, size=20000, type=83
6 : start=67584, size=10000, type=82
7 : start=79872, size=43000, type=83
TABLE
table "$TMP/primary" 64M <<'TABLE'
label: dos
unit: sectors
4 : start=63, size=130000, type=83
TABLE

need_linux
for disk in gpt mbr primary; do
    ours=$(seen "$TMP/$disk")
    assert_equal "$disk: as sfdisk has it" "$ours" "$(by_sfdisk "$TMP/$disk")"
    # Linux has the extended partition too, with a size of 2 sectors: nobody may write more there.
    assert_equal "$disk: as Linux has it" "$ours" "$(by_linux "$TMP/$disk" | awk '$3 != 2')"
    assert_at_least "$disk: there are partitions" "$(wc -l <<<"$ours")" 1
done
run_guest --app /bin/busybox --disk "$TMP/gpt" -- ls -l /dev
assert_matches 'the device numbers are those of Linux' 'b.* 254, +7 .*vda7'

# A filesystem in a partition.
for disk in gpt:70000:60000:7 mbr:79872:43000:7 mbr:2048:40000:1; do
    IFS=: read -r label start size number <<<"$disk"
    name="$label, vda$number"
    cp "$TMP/$label" "$TMP/disk"
    mke2fs -q -F -t ext2 -b 4096 -O none,filetype,sparse_super,large_file -E "offset=$((start * 512))" "$TMP/disk" $((size / 8)) >/dev/null 2>&1
    head -c $((start * 512)) "$TMP/disk" | sha256sum >"$TMP/before"
    tail -c +$(((start + size) * 512 + 1)) "$TMP/disk" | sha256sum >>"$TMP/before"
    run_guest --app "$APPS/tests/fsops" --disk "$TMP/disk" --append "mount=/dev/vda$number:/m" -- /m
    assert_status "$name: the programs' calls" 0
    run_guest --app "$APPS/tests/steps" --disk "$TMP/disk" --append "mount=/dev/vda$number:/m" -- \
        write:/m/f:0:3000000 fsync:/m/f mount:/dev/vda:/n
    assert_status "$name: a file" 0
    assert_contains "$name: the disk is busy while it is mounted" 'mount:/dev/vda:/n: E'
    head -c $((start * 512)) "$TMP/disk" | sha256sum >"$TMP/after"
    tail -c +$(((start + size) * 512 + 1)) "$TMP/disk" | sha256sum >>"$TMP/after"
    assert_equal "$name: nothing else was written" "$(cat "$TMP/after")" "$(cat "$TMP/before")"
    dd if="$TMP/disk" of="$TMP/part" bs=512 skip="$start" count="$size" conv=sparse 2>/dev/null
    e2fsck -fn "$TMP/part" >"$TMP/fsck" 2>&1
    assert_equal "$name: e2fsck" $? 0
    assert_equal "$name: the file is there" "$(debugfs -R 'stat /f' "$TMP/part" 2>/dev/null | sed -n 's/.*Size: \([0-9]*\).*/\1/p' | head -n 1)" 3000000
done
# The end of a partition is the end.
run_guest --app /bin/busybox --disk "$TMP/gpt" -- dd if=/dev/zero of=/dev/vda4 bs=512 seek=999 count=2
assert_contains 'a write behind the end of a partition' 'No space left on device'
run_guest --app "$APPS/hello" --disk "$TMP/gpt" --append 'mount=/dev/vda3:/m'
assert_status 'a partition that is not there: status 125' 125
assert_contains 'a partition that is not there is named' 'mount=/dev/vda3:/m'

# Broken tables.
broken() { # NAME DISK TEXT PARTITIONS
    assert_equal "$1: what is left" "$(seen "$2" | awk '{ print $1 }' | tr '\n' ' ')" "$4"
    assert_contains "$1: it is said" "$3"
}
all='vda1 vda2 vda4 vda7 '
spoil() { # FILE OFFSET BYTES...
    printf '%b' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
cp "$TMP/gpt" "$TMP/disk"
spoil "$TMP/disk" 600 '\xff'
broken 'the header is broken' "$TMP/disk" 'vda: its GPT is broken (the header'"'"'s checksum): the backup is used' "$all"
cp "$TMP/gpt" "$TMP/disk"
spoil "$TMP/disk" 1100 '\xff'
broken 'an entry is broken' "$TMP/disk" 'vda: its GPT is broken (the entries'"'"' checksum): the backup is used' "$all"
dd if=/dev/zero of="$TMP/disk" bs=512 seek=1 count=1 conv=notrunc 2>/dev/null
broken 'the header is gone' "$TMP/disk" 'vda: its GPT is broken (no signature): the backup is used' "$all"
truncate -s 32M "$TMP/disk"
broken 'the header is gone, and the backup' "$TMP/disk" 'vda: no partitions: its GPT is broken (no signature), its backup too (no signature)' ''
cp "$TMP/gpt" "$TMP/disk"
truncate -s 32M "$TMP/disk"
broken 'the disk was cut' "$TMP/disk" 'vda: no partitions: its GPT is broken (the usable blocks)' ''
cp "$TMP/primary" "$TMP/disk"
truncate -s 32M "$TMP/disk"
broken 'a partition leaves the disk' "$TMP/disk" "vda: partition 4 left out: blocks 63 + 130000 are not inside the disk's 65536" ''
cp "$TMP/mbr" "$TMP/disk"
spoil "$TMP/disk" 486 '\x00\x10\x00' # the third begins in the middle of the first
broken 'an overlap' "$TMP/disk" 'vda: partition 3 left out: it overlaps partition 1' 'vda1 vda5 vda6 vda7 '
cp "$TMP/mbr" "$TMP/disk"
dd if=/dev/zero of="$TMP/disk" bs=512 seek=$((43008)) count=1 conv=notrunc 2>/dev/null
broken 'the chain of logical partitions is broken' "$TMP/disk" 'vda: logical partitions from 5 on are missing: no table in block 43008' 'vda1 vda3 '
finish
