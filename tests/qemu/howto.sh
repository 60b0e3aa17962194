# SPDX-License-Identifier: MIT
# The examples of docs/howto-*.md, as they stand there, put into a copy of the tree, compiled and run.
# shellcheck shell=bash
# timeout: 600
. "$(dirname "$0")/../lib.sh"

COPY=$TMP/tree
mkdir "$COPY"
tar -C "$ROOT" --exclude=./build --exclude=./.git -cf - . | tar -C "$COPY" -xf -

# apply PAGE: files (```c file=PATH) are written, edits (```sed file=PATH) are made.
apply() {
    awk -v copy="$COPY" -v tmp="$TMP" '
        /^```(c|sed) file=/ { kind = $1; sub(/^```/, "", kind); path = $2; sub(/^file=/, "", path); open = 1; text = ""; next }
        /^```/ && open {
            open = 0
            target = copy "/" path
            if (kind == "c") {
                folder = target; sub(/\/[^\/]*$/, "", folder)
                system("mkdir -p \"" folder "\"")
                printf "%s", text > target
                close(target)
            } else {
                script = tmp "/edit.sed"
                printf "%s", text > script
                close(script)
                if (system("cp \"" target "\" \"" tmp "/before\" && sed -i -f \"" script "\" \"" target "\" && ! cmp -s \"" target "\" \"" tmp "/before\""))
                    print "no change: " path
            }
            count++
            next
        }
        open { text = text $0 "\n" }
        END { print count + 0 " pieces" }' "$ROOT/docs/$1.md"
}

for page in howto-driver:3 howto-filesystem:3 howto-syscall:3 howto-probe:3; do
    assert_equal "${page%:*}: its pieces fit the tree" "$(apply "${page%:*}")" "${page#*:} pieces"
done
export SPILLWAY_BUILD=$TMP/build
if "$COPY/spillway" build >"$TMP/build.log" 2>&1; then
    ok "the examples compile"
else
    not_ok "the examples compile" "$(grep -m 3 error: "$TMP/build.log" | tr '\n' ' ')"
    finish
fi
export SPILLWAY_NO_BUILD=1
ROOT=$COPY
BUILD=$SPILLWAY_BUILD

cat >"$TMP/try.c" <<'C'
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t fnv(const unsigned char *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    while (n--)
        h = (h ^ *p++) * 0x100000001b3u;
    return h;
}

int main(void)
{
    static unsigned char data[100000], back[sizeof(data)];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * i >> 7);
    int fd = open("/m/file", O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, data, sizeof(data)) != sizeof(data) || fsync(fd))
        return perror("try: /m/file"), 1;
    if (pread(fd, back, sizeof(back), 0) != sizeof(back) || memcmp(data, back, sizeof(data)))
        return puts("try: other bytes"), 2;
    puts("try: the file is whole");

    uint64_t sum = 0;
    if (syscall(900, fd, &sum))
        return perror("try: digest"), 3;
    printf("try: digest %s\n", sum == fnv(data, sizeof(data)) ? "agrees" : "differs");
    printf("try: bad pointer %s\n", syscall(900, fd, (void *)8) < 0 ? strerror(errno) : "passed");
    printf("try: bad descriptor %s\n", syscall(900, 99, &sum) < 0 ? strerror(errno) : "passed");

    char text[64] = "";
    int up = open("/time/uptime", O_RDONLY);
    if (up < 0 || read(up, text, sizeof(text) - 1) <= 0)
        return perror("try: /time/uptime"), 4;
    printf("try: uptime %s\n", strtoull(text, NULL, 10) > 0 ? "is a number" : text);
    printf("try: writing the time: %s\n", open("/time/wall", O_WRONLY) < 0 ? strerror(errno) : "allowed");
    return 0;
}
C
build_app "$TMP/try.c" "$TMP/try"
run_try() { run_guest --app "$TMP/try" --disk "$TMP/disk" --append "mount=/dev/$1:/m mount=none:/time:timefs $2"; }
mke2fs -q -t ext2 "$TMP/disk" 8M 2>/dev/null
run_try inv1 stack.need=force
assert_status "driver: ext2 on a disk that is inverted twice" 0
assert_contains "driver: what is written is read" "try: the file is whole"
assert_contains "syscall: the digest agrees with the program's own" "try: digest agrees"
assert_contains "syscall: a bad pointer" "try: bad pointer Bad address"
assert_contains "syscall: a bad descriptor" "try: bad descriptor Bad file descriptor"
assert_contains "filesystem: a file is read" "try: uptime is a number"
assert_contains "filesystem: it is read-only" "try: writing the time: Read-only file system"
need=$(sed -nE 's/^probe digest_file: need ([0-9]+), deepest.*/\1/p' "$OUT")
deepest=$(sed -nE 's/^probe digest_file: need [0-9]+, deepest ([0-9]+), switches [1-9].*/\1/p' "$OUT")
assert_at_least "probe: its depth was measured" "${deepest:-0}" 3072
assert_at_least "probe: and fits its need" "$need" "${deepest:-99999}"
check_tower "driver: e2fsck is clean without the driver: twice is not at all" "$TMP/disk" 0
if dd if="$TMP/disk" bs=4096 2>/dev/null | LC_ALL=C tr '\000-\377' "$(printf '\\%o' $(seq 255 -1 0))" >"$TMP/inverted"; then
    cp "$TMP/inverted" "$TMP/disk"
fi
run_try inv0 ''
assert_status "driver: the same disk inverted outside, inverted once inside" 0
run_try vda ''
assert_status "driver: without the driver it is no filesystem" 125
run_guest --app "$TMP/try" --disk "$TMP/disk" --append 'mount=/dev/inv0:/m mount=none:/time:timefs stack.extra=0'
assert_equal "probe: without extra stacks nothing switches" "$(last_field switches)" 0
assert_contains "probe: the digest is refused" "try: digest: I/O error"
finish
