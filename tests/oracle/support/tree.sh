# SPDX-License-Identifier: MIT
# A folder with what a filesystem must get right; `mke2fs -d` makes a disk of it.
#
# make_tree FOLDER    300 files in one folder, deep folders, long names, short and long symbolic links, hard links,
#                     empty files, odd sizes, a big file and sparse ones (single and double indirect blocks at every
#                     block size), text for the tools; SUMS, in its root, has the sha256 of every file
# shellcheck shell=bash

# noise BYTES START: bytes that differ from place to place, the same for the same START.
noise() { seq "$2" 7 99999999 | head -c "$1"; }

make_tree() {
    local root=$1 i path name
    mkdir -p "$root"/{many,sizes,links,sparse,text,empty}
    for ((i = 0; i < 300; i++)); do
        printf 'file %d of the folder with many files\n' "$i" >"$root/many/file-$i"
    done
    for i in 0 1 511 1023 1024 1025 2048 4095 4096 4097 12288 49152 49153 70001; do
        noise "$i" "$i" >"$root/sizes/$i"
    done
    noise 5000000 7 >"$root/sizes/big"

    path=$root/deep
    for ((i = 1; i <= 20; i++)); do path+=/level$i; done
    mkdir -p "$path"
    echo 'at the bottom' >"$path/bottom"
    name=$(printf 'n%.0s' {1..255})
    echo 'a name of 255 bytes' >"$root/links/$name"
    ln -s ../text/words "$root/links/short"
    ln -s "../links/./$(printf '././%.0s' {1..60})../text/words" "$root/links/long"
    ln -s nowhere "$root/links/broken"
    ln -s ../deep/level1 "$root/links/folder"
    echo 'two names' >"$root/links/one" && ln "$root/links/one" "$root/links/two"

    # Data after a hole, at the borders of direct, indirect and double indirect blocks of every block size (in KiB).
    for i in 11 12 13 24 48 267 268 269 1047 1048 1049 4143 4144 4145; do
        printf 'at %d KiB' "$i" >"$TMP/piece"
        truncate -s 3 "$root/sparse/$i"
        dd if="$TMP/piece" of="$root/sparse/$i" bs=1024 seek="$i" conv=notrunc status=none
    done
    truncate -s 30000000 "$root/sparse/holes"
    noise 3000 9 | dd of="$root/sparse/holes" bs=1000 seek=26666 conv=notrunc status=none

    for ((i = 0; i < 400; i++)); do
        printf '%d %s line %d of words\n' $((i * 7919 % 1009)) "$(printf '%x' $((i * 104729 % 65521)))" "$i"
    done >"$root/text/words"
    printf 'no newline at the end' >"$root/text/unended"
    printf 'a\tb\tc\n1\t2\t3\nx\t\tz\n' >"$root/text/tabs"
    find "$root" -exec touch -h -d '2021-03-04 05:06:07 UTC' {} +
    touch -d '2001-02-03 04:05:06 UTC' "$root/text/tabs"
    (cd "$root" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$TMP/SUMS"
    mv "$TMP/SUMS" "$root/SUMS"
}
