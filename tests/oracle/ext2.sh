# SPDX-License-Identifier: MIT
# ext2 as e2fsprogs has it, with blocks of 1, 2 and 4 KiB: what mke2fs made is read right, what was written here is
# what debugfs reads, e2fsck finds nothing, and what was synced survives the loss of power.
# shellcheck shell=bash
# timeout: 400
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/oracle/support/linux.sh"
. "$ROOT/tests/oracle/support/tree.sh"
GUEST_TIMEOUT=60

# on_disk IMAGE APP ARGS...: runs a program with IMAGE mounted; FOUND gets what it printed.
FOUND=$TMP/found
on_disk() {
    local image=$1 app=$2
    shift 2
    run_guest --app "$app" --disk "$image" --append 'mount=/dev/vda:/m cwd=/m log=error' -- "$@"
    sed -e '1,/^memory: /d' -e '/^spillway: exit=/d' "$OUT" >"$FOUND"
}

# same NAME WANTED GOT: two files.
same() {
    if diff -a "$2" "$3" >"$TMP/diff"; then
        ok "$1"
    else
        not_ok "$1" "$(wc -l <"$TMP/diff") lines differ from what is wanted (<)"
        head -n 20 "$TMP/diff" | cut -c 1-200 | sed 's/^/    /'
    fi
}

# dump IMAGE FOLDER: all of it, as debugfs reads it.
dump() {
    rm -rf -- "$2"
    mkdir "$2"
    debugfs -R "rdump / $2" "$1" >"$TMP/debugfs.log" 2>&1
    rm -rf -- "$2/lost+found"
}

# describe FOLDER: kinds, modes, sizes, targets and names of what is in it.
describe() { (cd "$1" && find . -mindepth 1 \( -type d -printf '%y %m %p\n' -o -printf '%y %m %s %l %p\n' \) | sort); }

# same_tree NAME WANTED-FOLDER GOT-FOLDER
same_tree() {
    describe "$2" >"$TMP/wanted.list"
    describe "$3" >"$TMP/got.list"
    same "$1: names, kinds, modes, sizes" "$TMP/wanted.list" "$TMP/got.list"
    if diff -rq --no-dereference "$2" "$3" >"$TMP/diff" 2>&1; then
        ok "$1: contents"
    else
        not_ok "$1: contents" "$(head -n 1 "$TMP/diff")"
    fi
}

# fsck_clean NAME IMAGE
fsck_clean() {
    if e2fsck -fn "$2" >"$TMP/fsck" 2>&1; then
        ok "$1: e2fsck"
    else
        not_ok "$1: e2fsck" "status $?: $(grep -vE '^(e2fsck|Pass)' "$TMP/fsck" | head -n 1)"
        sed 's/^/    /' "$TMP/fsck" | head -n 20
    fi
}

# free_counts IMAGE: free blocks as the superblock, the groups and the bitmaps have them; then the same of inodes.
free_counts() {
    dumpe2fs "$1" 2>/dev/null | awk '
        function count(list, parts, ends, n, i, sum) {
            n = split(list, parts, /, */)
            for (i = 1; i <= n; i++)
                if (split(parts[i], ends, "-") == 2) sum += ends[2] - ends[1] + 1
                else if (parts[i] != "") sum++
            return sum + 0
        }
        /^Free blocks:/ { blocks = $3 }
        /^Free inodes:/ { inodes = $3 }
        /^  [0-9]+ free blocks, / { group_blocks += $1; group_inodes += $4 }
        /^  Free blocks: / { sub(/^  Free blocks: /, ""); map_blocks += count($0) }
        /^  Free inodes: / { sub(/^  Free inodes: /, ""); map_inodes += count($0) }
        END { print blocks, group_blocks, map_blocks, inodes, group_inodes, map_inodes }'
}

# counts_agree NAME IMAGE
counts_agree() {
    local sb gd map isb igd imap
    read -r sb gd map isb igd imap < <(free_counts "$2")
    assert_equal "$1: free blocks of dumpe2fs agree" "$sb $gd" "$map $map"
    assert_equal "$1: free inodes of dumpe2fs agree" "$isb $igd" "$imap $imap"
}

# What mke2fs -d made.
reading() {
    local block=$1 image=$TMP/read.img name="mke2fs -d, blocks of $1"
    ext2_image "$image" "$block" 64M -d "$TMP/tree"
    on_disk "$image" /bin/busybox sha256sum -c SUMS
    assert_status "$name: every sum is the host's" 0
    assert_equal "$name: every file has a sum" "$(grep -c ': OK$' "$FOUND")" "$(wc -l <"$TMP/tree/SUMS")"
    on_disk "$image" /bin/busybox find . -path ./lost+found -prune -o -print
    sort "$FOUND" >"$TMP/got.list"
    (cd "$TMP/tree" && find . | sort) >"$TMP/wanted.list"
    same "$name: every name" "$TMP/wanted.list" "$TMP/got.list"
    on_disk "$image" /bin/busybox stat -c '%N %s %h %a %Y' links/short links/long links/broken links/folder links/one \
        links/two sparse/holes sizes/0
    (cd "$TMP/tree" && for file in links/short links/long links/broken links/folder links/one links/two sparse/holes \
        sizes/0; do
        target=$(readlink "$file") && target="'$file' -> '$target'"
        echo "${target:-$file} $(stat -c '%s %h %a %Y' "$file")"
    done) >"$TMP/wanted.list"
    same "$name: links, sizes, modes, times" "$TMP/wanted.list" "$FOUND"
    fsck_clean "$name" "$image"
}

# The same random series of calls on the host's filesystem and here.
writing() {
    local block=$1 seed=$2 image=$TMP/write.img name="changes, seed $2, blocks of $1"
    rm -rf "$TMP/host" "$TMP/empty"
    mkdir "$TMP/host" "$TMP/empty" "$TMP/empty/w"
    ext2_image "$image" "$block" 64M -d "$TMP/empty"
    "$TMP/change" "$TMP/host" "$seed" 4000 >"$TMP/wanted"
    on_disk "$image" "$TMP/change" /m/w "$seed" 4000
    assert_status "$name: status 0" 0
    same "$name: every call gives what it gives on the host" "$TMP/wanted" "$FOUND"
    fsck_clean "$name" "$image"
    counts_agree "$name" "$image"
    dump "$image" "$TMP/dumped"
    same_tree "$name: debugfs reads what the host has" "$TMP/host" "$TMP/dumped/w"
}

# debugfs_size IMAGE PATH, debugfs_links IMAGE PATH
debugfs_size() { debugfs -R "stat $2" "$1" 2>/dev/null | sed -n 's/.*Size: \([0-9]*\).*/\1/p' | head -n 1; }
debugfs_links() { debugfs -R "stat $2" "$1" 2>/dev/null | sed -n 's/^Links: \([0-9]*\) .*/\1/p'; }

# Single steps, each judged; then all is removed, and every block and inode is free again.
steps() {
    local block=$1 image=$TMP/steps.img name="blocks of $1" before
    ext2_image "$image" "$block" 64M -d "$TMP/tree"
    before=$(free_counts "$image")
    on_disk "$image" /bin/busybox cp -a sizes sparse links text copies-are-not-here w
    assert_status "$name: cp of what is not there fails" 1
    on_disk "$image" /bin/busybox mkdir w
    on_disk "$image" /bin/busybox cp -a sizes sparse links w
    assert_status "$name: cp -a" 0
    fsck_clean "$name: after cp -a" "$image"
    dump "$image" "$TMP/dumped"
    for folder in sizes sparse links; do
        same_tree "$name: debugfs reads the copy of $folder" "$TMP/tree/$folder" "$TMP/dumped/w/$folder"
    done
    debugfs -R "dump /w/sizes/big $TMP/big" "$image" >/dev/null 2>&1
    assert_equal "$name: debugfs dumps a big file" "$(sha256sum <"$TMP/big")" "$(sha256sum <"$TMP/tree/sizes/big")"

    on_disk "$image" /bin/busybox truncate -s 400001 w/sizes/big
    assert_equal "$name: debugfs sees it cut" "$(debugfs_size "$image" /w/sizes/big)" 400001
    debugfs -R "dump /w/sizes/big $TMP/big" "$image" >/dev/null 2>&1
    assert_equal "$name: debugfs reads what is left" "$(sha256sum <"$TMP/big")" \
        "$(head -c 400001 "$TMP/tree/sizes/big" | sha256sum)"
    fsck_clean "$name: after truncate" "$image"

    on_disk "$image" /bin/busybox mv w/sizes/big w/links/moved
    on_disk "$image" /bin/busybox ln w/links/moved w/second
    assert_equal "$name: debugfs counts two names" "$(debugfs_links "$image" /w/second)" 2
    assert_equal "$name: debugfs lists the new names and not the old one" \
        "$(debugfs -R 'ls -p /w/links' "$image" 2>/dev/null | grep -c '/moved/'),$(
            debugfs -R 'ls -p /w/sizes' "$image" 2>/dev/null | grep -c '/big/')" 1,0
    fsck_clean "$name: after rename and link" "$image"

    on_disk "$image" /bin/busybox rm -r w
    assert_status "$name: rm -r" 0
    fsck_clean "$name: after rm -r" "$image"
    assert_equal "$name: every block and inode is free again" "$(free_counts "$image")" "$before"
}

# What a cut may leave is room that is not given back, a file without a name, a count to be set right. Never what is
# in use twice, or a name for what is not there.
HARM='multiply-claimed|deleted/unused|illegal|invalid|corrupt|bad |clear\?|salvage'

# A machine that is stopped in the middle of its work; what was synced must be there after a repair. (What it had given
# to the disk stays: this tests what is written when, not the flushes.)
power_cut() {
    local block=$1 seconds=$2 image=$TMP/cut.img name="power cut, blocks of $1" status
    ext2_image "$image" "$block" 64M
    GUEST_TIMEOUT=$seconds on_disk "$image" "$TMP/durable" write /m
    assert_status "$name: the machine was stopped at work" 124
    cp "$OUT" "$TMP/said"
    e2fsck -fy "$image" >"$TMP/fsck" 2>&1
    status=$?
    echo "e2fsck -fy: status $status, $(wc -l <"$TMP/fsck") lines"
    assert_equal "$name: e2fsck repairs" "$((status <= 1))" 1
    assert_equal "$name: e2fsck finds no more than leaks" "$(grep -iE "$HARM" "$TMP/fsck")" ''
    fsck_clean "$name: after the repair" "$image"
    dump "$image" "$TMP/dumped"
    "$TMP/durable" check "$TMP/dumped" <"$TMP/said" >"$OUT"
    STATUS=$?
    tail -n 1 "$OUT"
    assert_status "$name: every file that was synced is there" 0
    assert_at_least "$name: files were synced" "$(sed -n 's/^checked \([0-9]*\) files.*/\1/p' "$OUT")" 20
}

# repair IMAGE LEVELS: e2fsck -fy on every level, from the disk inwards; what it changed goes back into the level
# outside, by debugfs. Fails when a level is beyond repair, or has more than leaks.
repair() {
    local image=$1 level=0 status
    local -a images=("$1")
    for ((level = 0; level <= $2; level++)); do
        e2fsck -fy "${images[level]}" >"$TMP/fsck" 2>&1
        status=$?
        echo "e2fsck -fy of level $level: status $status"
        if [ $status -gt 1 ] || grep -qiE "$HARM" "$TMP/fsck"; then
            sed 's/^/    /' "$TMP/fsck" | head -n 20
            return 1
        fi
        [ "$level" -lt "$2" ] || break
        images+=("$TMP/level$((level + 1))")
        rm -f "${images[level + 1]}"
        debugfs -R "dump /next.img ${images[level + 1]}" "${images[level]}" >/dev/null 2>&1
        [ -s "${images[level + 1]}" ] || return 1
    done
    for ((level = $2; level > 0; level--)); do
        debugfs -w -f /dev/stdin "${images[level - 1]}" >"$TMP/debugfs.log" 2>&1 <<COMMANDS
rm /next.img
write ${images[level]} next.img
COMMANDS
    done
}

# The same with nested filesystems and four threads: what nestio counted as synced is there on every level.
nested_power_cut() {
    local block=$1 levels=$2 seconds=$3 image=$TMP/tower.img name="power cut, $2 levels, blocks of $1"
    make_tower "$image" --levels "$levels" --block "$((block / 1024))K"
    GUEST_TIMEOUT=$seconds run_guest --kernel --disk "$image" -- --levels "$levels" --ops 1000000 --threads 4
    assert_status "$name: the machine was stopped at work" 124
    assert_matches "$name: there was work" '^nestio: [0-9]+ s: [0-9]{2,} of 1000000 operations'
    if repair "$image" "$levels"; then
        ok "$name: e2fsck repairs every level"
    else
        not_ok "$name: e2fsck repairs every level" "$(grep -iE "$HARM" "$TMP/fsck" | head -n 1)"
    fi
    check_tower "$name: e2fsck after the repair" "$image" "$levels"
    run_guest --kernel --disk "$image" -- --levels "$levels" --verify
    assert_status "$name: every acknowledged block is there" 0
    assert_matches "$name: on every level" "^nestio: verdict=ok levels=$levels up=$((levels + 1)) .* wrong=0 errors=0"
}

make_tree "$TMP/tree"
build_app "$ROOT/tests/oracle/support/change.c" "$TMP/change"
build_app "$ROOT/tests/oracle/support/durable.c" "$TMP/durable"
for block in 1024 2048 4096; do
    reading $block
    writing $block $((block / 1024))
    steps $block
    power_cut $block 4
done
nested_power_cut 1024 0 3
nested_power_cut 1024 3 5
nested_power_cut 4096 6 6
finish
