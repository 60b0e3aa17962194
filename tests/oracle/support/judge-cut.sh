#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# judge-cut.sh DISK NOTES LEVELS WORK DURABLE NAME: what a power cut left of a tower. At every level `e2fsck -fy` must
# find no more than leaks (ext2 has no journal: room that was not given back, a file without a name, a count to be set
# right), and every file that NOTES says is safe must be there. Prints a line for what is wrong; then the status is 1.
set -u
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
disk=$1 notes=$2 levels=$3 work=$4 durable=$5 name=$6
HARM='multiply-claimed|deleted/unused|illegal|invalid|corrupt|bad |clear\?|salvage'
image=$disk
bad=0
for ((level = 0; level <= levels; level++)); do
    e2fsck -fy "$image" >"$work/fsck" 2>&1
    status=$?
    # A file without a name that is empty is cleared: also a leak.
    sed -i '/^Unattached zero-length inode/d' "$work/fsck"
    if [ $status -gt 1 ] || grep -qiE "$HARM" "$work/fsck"; then
        echo "$name: level $level: e2fsck -fy gives $status: $(grep -iE "$HARM" "$work/fsck" | head -n 1)"
        bad=1
        [ $status -le 1 ] || break
    fi
    rm -rf "$work/tree"
    mkdir "$work/tree"
    debugfs -R "rdump / $work/tree" "$image" >/dev/null 2>&1
    if ! "$durable" check "$work/tree" "$level" <"$notes" >"$work/said"; then
        echo "$name: level $level: $(grep '^lost' "$work/said" | head -n 3 | tr '\n' ' ')"
        bad=1
    fi
    [ "$level" -lt "$levels" ] || break
    if [ ! -s "$work/tree/next.img" ]; then
        echo "$name: level $level: next.img cannot be read"
        bad=1
        break
    fi
    mv "$work/tree/next.img" "$work/next.$level"
    [ "$image" = "$disk" ] || rm -f "$image"
    image=$work/next.$level
done
[ "$image" = "$disk" ] || rm -f "$image"
exit $bad
