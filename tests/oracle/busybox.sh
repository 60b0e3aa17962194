# SPDX-License-Identifier: MIT
# Debian's busybox, unmodified, on a mounted ext2: what it prints here is what it prints on Linux on a copy of the disk,
# and what it leaves on the disk is what Linux leaves. One boot for each command, and without a shell: there is no fork.
# shellcheck shell=bash
# timeout: 400
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/oracle/support/linux.sh"
. "$ROOT/tests/oracle/support/tree.sh"
BUSYBOX=/bin/busybox
GUEST_TIMEOUT=60

DEEPEST=/m/deep/$(seq -s / -f 'level%g' 20)

# In the order of the disk's folders, not sorted, where a command gives that.
READING=(
    'ls -lAR /m'
    'ls -liARn /m'
    'ls -1Uf /m/many'
    'find /m'
    'find /m -type l'
    'find /m -type f -size +40k'
    'find /m -name "*9*" -newer /m/text/tabs -links 1'
    'find /m -samefile /m/links/one'
    'find -L /m/links -type f'
    'du -a /m'
    'du -skl /m/sparse /m/sizes /m/many /m'
    'stat -c "%n %i %F %a %h %u %g %s %b %B %t %T %X %Y %Z" /m /m/sizes/big /m/sparse/holes /m/links/long'
    'stat -f -c "%n %l %s %S %b %f %a %c %d %T" /m'
    'readlink /m/links/long'
    'readlink -f /m/links/long'
    'realpath /m/links/folder/../deep/./level1/level2'
    'cat /m/text/words /m/text/unended'
    "cat $DEEPEST/bottom"
    'cat /m/links/broken'
    'cat /m/many'
    'ls /m/nowhere'
    'sha256sum -c SUMS'
    'md5sum sizes/0 sizes/1 sizes/4097 sizes/big sparse/holes sparse/4144'
    'sha512sum sizes/big'
    'crc32 sizes/big'
    'cmp sparse/267 sparse/268'
    'cmp -l sizes/4095 sizes/4096'
    'diff -r many sizes'
    'wc sizes/big text/words text/unended sparse/holes'
    'head -n 3 sizes/big text/words'
    'tail -n 3 sizes/big text/words'
    'tail -c 20 sparse/holes'
    'sort text/words'
    'sort -n -k 1 -r text/words'
    'sort -u -t " " -k 2,2 text/words'
    'sed -n "/line 1[0-9]/s/words/WORDS/p" text/words'
    'awk "{ sum += \$1; last = \$2 } END { print NR, sum, last; printf \"%.3f\\n\", sum / NR }" text/words'
    'awk -F "\t" "{ print NF \":\" \$2 }" text/tabs'
    'grep -rc 7 many'
    'grep -n -E "^(1|2)0[0-9] .* line" text/words'
    'cut -d " " -f 2,4 text/words'
    'paste text/tabs text/unended'
    'expand -t 4 text/tabs'
    'fold -w 30 text/words'
    'tac text/words'
    'nl text/words'
    'uniq -c text/words'
    'od -A d -t x1 -j 66000 -N 3000 sizes/70001'
    'hexdump -C sparse/12'
    'xxd -s 26666000 -l 64 sparse/holes'
    'base64 sizes/1025'
    'strings sizes/1025'
    'tar -cf /dev/null text'
    'test -L links/broken'
    'test -e links/broken'
    'test text/words -nt text/tabs'
)

# Each on what the ones before it left.
WRITING=(
    'mkdir -p w/one/two/three'
    'cp -a text sizes links w'
    'cp -r many w/copies'
    'cp sparse/holes w/holes'
    'mv w/copies w/moved'
    'mv w/moved/file-7 w/moved/file-8 w/moved/file-9 w/one'
    'mv w/one/file-7 w/one/file-8'
    'rm w/moved/file-1 w/moved/file-10 w/moved/file-100'
    'rm -r w/moved/file-2 many'
    'rm w/nowhere'
    'rmdir w/one'
    'rmdir w/one/two/three'
    'ln w/text/words w/hard'
    'ln -s ../text/words w/soft'
    'ln -sf nowhere w/soft'
    'touch -d "2020-01-02 03:04:05" w/touched'
    'chmod -R go-rwx w/links'
    'truncate -s 100000 w/sizes/4096'
    'truncate -s 5000 w/sizes/big'
    'truncate -s 0 w/sizes/70001'
    'dd if=sizes/big of=w/pieces bs=1000 skip=10 seek=300 count=4000 conv=notrunc'
    'dd if=text/words of=sizes/big bs=1 seek=4999 count=3 conv=notrunc'
    'sed -i s/words/changed/ w/text/words'
    'sort -o w/sorted text/words'
    'tar -cf w/all.tar text links deep sizes/70001 sparse/48'
    'tar -xf w/all.tar -C w/one'
    'gzip w/all.tar'
    'gunzip -k w/all.tar.gz'
    'tar -tvf w/all.tar'
    'bzip2 -k w/sorted'
    'bunzip2 -c w/sorted.bz2'
    'dd if=sizes/big of=w/synced bs=4k count=10 seek=3 conv=fsync'
    'dd if=text/words of=w/synced bs=512 count=1 seek=24 conv=notrunc,fsync oflag=append'
    'unlink w/hard'
    'rm -rf w/moved/file-3 w/one/links'
    'sync'
)

# on_linux DISK SCRIPT FOLDER ARRAY: runs the commands on Linux, all in one boot; FOLDER/N has output and status of the
# N-th.
on_linux() {
    local disk=$1 folder=$2 index=0 script='mkdir /m && mount -t ext2 -o noatime /dev/vda /m && cd /m || exit 99'
    local -n commands=$3
    for command in "${commands[@]}"; do
        script+=$'\n'"echo '@@@ $index'; busybox $command; echo \"@@@ status \$?\""
        index=$((index + 1))
    done
    run_linux --disk "$disk" -- "$script"$'\ncd / && umount /m'
    assert_status "Linux ran the commands ($3)" 0
    mkdir "$folder"
    awk -v folder="$folder" '
        /^@@@ [0-9]+$/ { file = folder "/" $2; next }
        /@@@ status [0-9]+$/ {
            if (!/^@@@/) print substr($0, 1, index($0, "@@@") - 1) >file # an unended line: ended as Spillway does
            print "status " $NF >file
            close(file)
            file = ""
        }
        file { print >file }' "$OUT"
}

# on_spillway DISK COMMAND: OUT becomes what the command printed, with its status as the last line.
on_spillway() {
    local disk=$1 words
    eval "words=($2)"
    run_guest --app "$BUSYBOX" --disk "$disk" --append 'mount=/dev/vda:/m cwd=/m log=error' -- "${words[@]}"
    [ "$STATUS" -lt 124 ] || return
    sed -e '1,/^memory: /d' -e '/^spillway: exit=/d' "$OUT" >"$OUT.text"
    echo "status $STATUS" >>"$OUT.text"
}

# same_output DISK FOLDER ARRAY: the commands here, one case each.
same_output() {
    local disk=$1 folder=$2 index=0
    local -n commands=$3
    for command in "${commands[@]}"; do
        on_spillway "$disk" "$command"
        if [ "$STATUS" -ge 124 ]; then
            not_ok_out "busybox $command" "status $STATUS"
        elif diff -a "$folder/$index" "$OUT.text" >"$TMP/diff"; then
            ok "busybox $command"
        else
            not_ok "busybox $command" "other output than on Linux (<)"
            head -n 20 "$TMP/diff" | cut -c 1-200 | sed 's/^/    /'
        fi
        index=$((index + 1))
    done
}

need_linux
make_tree "$TMP/tree"
ext2_image "$TMP/disk.img" 4096 64M -d "$TMP/tree"
cp --sparse=always "$TMP/disk.img" "$TMP/linux.img"
on_linux "$TMP/linux.img" "$TMP/reading" READING
same_output "$TMP/disk.img" "$TMP/reading" READING

ext2_image "$TMP/disk.img" 1024 64M -d "$TMP/tree"
cp --sparse=always "$TMP/disk.img" "$TMP/linux.img"
on_linux "$TMP/linux.img" "$TMP/writing" WRITING
same_output "$TMP/disk.img" "$TMP/writing" WRITING
check_tower 'busybox wrote: e2fsck' "$TMP/disk.img" 0

# Both disks as Linux reads them. Times of files that were written differ; those that were kept or set do not.
run_linux --disk "$TMP/linux.img,ro" --disk "$TMP/disk.img,ro" -- '
    mkdir /a /b && mount -t ext2 -o ro /dev/vda /a && mount -t ext2 -o ro /dev/vdb /b || exit 99
    for disk in a b; do
        cd /$disk
        {
            find . -exec stat -c "%n %F %a %h %s %b %u %g" {} + | sort
            find . -type f -exec sha256sum {} + | sort -k 2
            find . -type l -exec readlink {} \; | sort
            stat -c "%n %Y" w/touched w/text/tabs w/sizes/1 w/one/text/tabs w/one/text/words
            echo "files: $(find . | wc -l)"
        } >/tmp/$disk
    done
    diff /tmp/a /tmp/b && tail -n 1 /tmp/b'
assert_status 'the disks are the same in the end' 0
assert_matches 'they have many files' '^files: [0-9]{3}'
finish
