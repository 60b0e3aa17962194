# SPDX-License-Identifier: MIT
# The tower command: an ext2 image that holds an ext2 image that holds ..., made from the innermost outwards with
# `mke2fs -d`, so without root and without mounting anything.
# shellcheck shell=bash

TOWER_MAX_LEVELS=64
# What the guest's ext2 knows; mke2fs.conf of the host must not add to it.
TOWER_MKE2FS=(-q -F -t ext2 -r 1 -I 128 -m 0 -O none,filetype,sparse_super,large_file)
TOWER_INODES=256

help_tower() {
    cat <<'TEXT'
usage: ./spillway tower -o FILE --levels N [--block 1K|2K|4K] [--data SIZE] [--put FILE]

Makes FILE, an ext2 image with N more inside: level 0 is FILE itself, level K+1 is the file /next.img of level K.
  --levels N     how many levels lie inside (0 to 64)
  --block SIZE   block size of every level (default 4K)
  --data SIZE    room left free in every level (default 2M; at least 64K; K, M and G are understood)
  --put FILE     a file to put into the deepest level, under its own name
The images are sparse files. tools/tower-check FILE runs e2fsck on every level.
TEXT
}

command_tower() {
    local output='' levels='' block=4K data=2M put='' block_bytes data_bytes
    while [ $# -gt 0 ]; do
        case $1 in
        -o) option_value "$1" $#; output=$2; shift ;;
        --levels) option_value "$1" $#; levels=$2; shift ;;
        --block) option_value "$1" $#; block=$2; shift ;;
        --data) option_value "$1" $#; data=$2; shift ;;
        --put) option_value "$1" $#; put=$2; shift ;;
        *) die 2 "tower: unknown option '$1'" ;;
        esac
        shift
    done
    [ -n "$output" ] || die 2 "tower: -o FILE is missing"
    [ -n "$levels" ] || die 2 "tower: --levels N is missing"
    is_number "$levels" && [ "$((10#$levels))" -le "$TOWER_MAX_LEVELS" ] ||
        die 2 "tower: --levels $levels: a number from 0 to $TOWER_MAX_LEVELS is wanted"
    case $block in
    1K | 1024) block_bytes=1024 ;;
    2K | 2048) block_bytes=2048 ;;
    4K | 4096) block_bytes=4096 ;;
    *) die 2 "tower: --block $block: 1K, 2K or 4K is wanted" ;;
    esac
    data_bytes=$(parse_size "$data") && [ "$data_bytes" -ge 65536 ] && [ "$data_bytes" -le $((4 << 30)) ] ||
        die 2 "tower: --data $data: a size from 64K to 4G is wanted"
    [ -z "$put" ] || [ -f "$put" ] || die 2 "tower: --put $put: no such file"
    need_packages
    make_tower "$output" "$((10#$levels))" "$block_bytes" "$data_bytes" "$put" || exit 1
    note "made $output: levels 0 to $((10#$levels)), blocks of $block_bytes bytes," \
        "$(stat -c %s -- "$output") bytes ($(($(stat -c %b -- "$output") / 2)) KiB on disk)"
}

# blocks_for BLOCK_BYTES NEXT_BYTES DATA_BYTES: blocks of a filesystem that holds a file of NEXT_BYTES and has
# DATA_BYTES free. An upper bound: every group is counted as if it held a copy of the superblock.
blocks_for() {
    local block=$1 next=$(($2 / $1)) pointers=$(($1 / 4)) free=$((($3 + $1 - 1) / $1))
    local content groups meta total
    # The file's own indirect blocks, the same for the free room, the root, lost+found, some slack.
    content=$((next + next / pointers + next / pointers / pointers + 4))
    content=$((content + free + free / pointers + 4 + 2 + 16384 / block + 8))
    total=$content
    while :; do
        groups=$(((total + 8 * block - 1) / (8 * block)))
        # Per group: both bitmaps, the inode table (rounded up), superblock and descriptors; block 0 of a 1K system.
        meta=$((groups * (2 + 1 + (groups * 32 + block - 1) / block)))
        meta=$((meta + (TOWER_INODES * 128) / block + 2 * groups + 1))
        [ $((content + meta)) -gt "$total" ] || break
        total=$((content + meta))
    done
    # mke2fs drops a last group that is too small to be of use; keep clear of that.
    local rest=$((total % (8 * block)))
    [ "$rest" -ge 64 ] || [ "$total" -lt $((8 * block)) ] || total=$((total + 64))
    # The least mke2fs takes.
    [ "$total" -ge 64 ] || total=64
    echo "$total"
}

# make_tower OUTPUT LEVELS BLOCK_BYTES DATA_BYTES [FILE]: FILE goes to the deepest level.
make_tower() {
    local output=$1 levels=$2 block=$3 data=$4 put=${5:-} work level next_bytes=0 total
    if ! work=$(mktemp -d "$(dirname -- "$output")/.tower.XXXXXX" 2>/dev/null); then
        note "tower: $output: its folder is not there or cannot be written"
        return 1
    fi
    mkdir "$work/content"
    if [ -n "$put" ]; then
        cp -- "$put" "$work/content/" || return 1
        next_bytes=$(stat -c %s -- "$put")
    fi
    for ((level = levels; level >= 0; level--)); do
        total=$(blocks_for "$block" "$next_bytes" "$data")
        if ! mke2fs "${TOWER_MKE2FS[@]}" -b "$block" -N "$TOWER_INODES" -L "level$level" -d "$work/content" \
            "$work/image" "$total" >"$work/log" 2>&1; then
            cat "$work/log" >&2
            note "mke2fs failed at level $level"
            rm -rf -- "$work"
            return 1
        fi
        if [ "$level" -gt 0 ]; then
            [ -z "$put" ] || rm -f -- "$work/content/$(basename -- "$put")"
            mv -f "$work/image" "$work/content/next.img"
            next_bytes=$(stat -c %s "$work/content/next.img")
        fi
    done
    if ! mv -f -- "$work/image" "$output"; then
        note "cannot write $output"
        rm -rf -- "$work"
        return 1
    fi
    rm -rf -- "$work"
}
