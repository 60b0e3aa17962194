# SPDX-License-Identifier: MIT
# A program of the user's own, compiled outside the tree, by both boot ways; its status reaches the shell.
# shellcheck shell=bash
. "$(dirname "$0")/../lib.sh"

mkdir "$TMP/own" && cd "$TMP/own" || exit 1
cat >own.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
    char line[100] = "";
    FILE *f = argc > 1 ? fopen(argv[1], "r+") : NULL;
    if (!f || !fgets(line, sizeof(line), f))
        return perror("own"), 9;
    printf("read: %s", line);
    fputs("written by own\n", f);
    if (fclose(f))
        return 8;
    for (int i = 2; i < argc; i++)
        printf("argument %d: <%s>\n", i, argv[i]);
    printf("environment: %s\n", getenv("COLOUR") ? getenv("COLOUR") : "none");
    return argc > 2 ? atoi(argv[2]) : 0;
}
C
build_app own.c own
truncate -s 4M disk.img
mkdir content && echo 'first line' >content/file
mke2fs -q -F -t ext2 -d content -O none,filetype,sparse_super,large_file disk.img

run_guest --app own --disk disk.img --append 'mount=/dev/vda:/m env=COLOUR=blue' -- /m/file 42 'two words' 'a"b\c' '$x'
assert_status 'its exit status reaches the shell' 42
assert_contains 'it reads the disk' 'read: first line'
assert_contains 'arguments keep their blanks' 'argument 3: <two words>'
assert_contains 'arguments keep quotes and backslashes' 'argument 4: <a"b\c>'
assert_contains 'arguments are not expanded' 'argument 5: <$x>'
assert_contains 'it has its environment' 'environment: blue'
assert_equal 'what it wrote is on the disk' "$(debugfs -R 'cat /file' disk.img 2>/dev/null | tail -n 1)" 'written by own'
check_tower 'e2fsck is clean' disk.img 0

run_guest --app own --iso --disk disk.img --append 'mount=/dev/vda:/m' -- /m/file 7 'two words' 'a"b\c' '$x'
assert_status 'the same from an ISO' 7
assert_contains 'from an ISO: quotes and backslashes' 'argument 4: <a"b\c>'
assert_contains 'from an ISO: no expansion' 'argument 5: <$x>'

"$ROOT/spillway" iso --app own -o own.iso --append 'mount=/dev/vda:/m' -- /m/file 5 >iso.log 2>&1
assert_equal 'an ISO of its own is made' "$?" 0
timeout 60 qemu-system-x86_64 -accel tcg -cpu max -m 128M -cdrom own.iso -boot d -display none -serial stdio -no-reboot \
    -device isa-debug-exit,iobase=0xf4,iosize=4 -drive if=none,id=d,format=raw,file=disk.img \
    -device virtio-blk-pci,drive=d,disable-legacy=on </dev/null >"$OUT" 2>&1
assert_contains 'the ISO boots under plain QEMU' 'spillway: exit=5 app=own'

# From the mounted disk itself.
mkdir -p content && cp own content/ && mke2fs -q -F -t ext2 -d content -O none,filetype,sparse_super,large_file disk.img
run_guest --disk disk.img --append 'mount=/dev/vda:/m app=/m/own' -- /m/file 3
assert_status 'a program on the mounted disk runs' 3

run_guest --app own --disk disk.img --append 'mount=/dev/vda:/m' -- /m/file 200
assert_status 'a status above 123 is 123' 123
assert_contains 'and is told in the last line' 'app_status=200'

cat >crash.c <<'C'
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
    volatile int zero = argc - 2;
    if (!strcmp(argv[1], "null")) *(volatile char *)0 = 1;
    if (!strcmp(argv[1], "divide")) return argc / zero;
    if (!strcmp(argv[1], "text")) *(volatile char *)main = 0;
    if (!strcmp(argv[1], "kill")) abort();
    return 0;
}
C
musl-gcc -static -O1 -w -o crash crash.c
for how in null:11 divide:8 text:11 kill:6; do
    run_guest --app crash -- "${how%:*}"
    assert_status "a crash (${how%:*}) is 204" 204
    assert_contains "a crash (${how%:*}) names its signal" " signal=${how#*:}"
done

cat >spin.c <<'C'
int main(void) { for (;;) __asm__ volatile(""); }
C
build_app spin.c spin
GUEST_TIMEOUT=3 run_guest --app spin
assert_status 'an endless program ends by the timeout' 124
assert_contains 'the timeout has the last line' 'spillway: exit=124 app=spin total=-'
gcc -o dynamic spin.c
GUEST_TIMEOUT=30 run_guest --app dynamic
assert_status 'a dynamic program is refused' 125
assert_contains 'and the message says what to do' '-static'
finish
