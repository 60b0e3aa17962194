# SPDX-License-Identifier: MIT
# timeout: 600
# Static Linux programs: the test programs on tmpfs and on ext2, both C libraries, how a program ends and dies, and
# files that cannot be run. The programs of its own lie in tests/qemu/apps.
# shellcheck shell=bash
. "$(dirname "$0")/../lib.sh"

SOURCES=$ROOT/tests/qemu/apps
HEADERS=$TMP/headers
mkdir "$HEADERS"
ln -s /usr/include/linux /usr/include/asm-generic "$HEADERS"
ln -s /usr/include/x86_64-linux-gnu/asm "$HEADERS/asm"

# own NAME: builds tests/qemu/apps/NAME.c to $TMP/NAME
own() {
    musl-gcc -static -O2 -pthread -D_GNU_SOURCE -Wall -Werror -I"$ROOT/apps" -idirafter "$HEADERS" \
        -o "$TMP/$1" "$SOURCES/$1.c" || not_ok "$1 builds"
}
for name in crash ends futex many vm; do
    own "$name"
done

# ---- how it starts ----
run_guest --app "$APPS/hello" --append 'env=A=1 env=EMPTY=' -- one 'two words' 'a"b'
assert_status 'hello ends with 0' 0
assert_contains 'argv[0] is its name' "argv[0] = 'hello'"
assert_contains 'arguments with blanks' "argv[2] = 'two words'"
assert_contains 'an argument with a quote' "argv[3] = 'a\"b'"
assert_contains 'its environment' "env 'A=1'"
assert_contains 'an empty variable' "env 'EMPTY='"

# ---- the test programs ----
new_disk() {
    rm -f "$TMP/disk"
    mke2fs -q -t ext2 -b "$1" "$TMP/disk" 64M
}
for name in mem threads clock console links fsops bigfile pipes signals locks mapped vdso; do
    run_guest --app "$APPS/tests/$name" -- /tmp
    assert_status "$name" 0
    assert_matches "$name: all checks hold" "^$name: ok"
done
run_guest --app "$APPS/tests/fill"
assert_status 'fill: a full tmpfs' 0
for block in 1024 4096; do
    for name in mem links fsops bigfile; do
        new_disk "$block"
        run_guest --app "$APPS/tests/$name" --disk "$TMP/disk" --append 'mount=/dev/vda:/m' -- /m
        assert_status "$name on ext2, blocks of $block" 0
        check_tower "$name: e2fsck is clean, blocks of $block" "$TMP/disk" 0
    done
done
for block in 1024 4096; do
    new_disk "$block"
    run_guest --app "$APPS/tests/mapped" --disk "$TMP/disk" --append 'mount=/dev/vda:/m' -- /m
    assert_status "mapped on ext2, blocks of $block" 0
    check_tower "mapped: e2fsck is clean, blocks of $block" "$TMP/disk" 0
    assert_equal "what was written through the mapping is on the disk, blocks of $block" \
        "$(debugfs -R 'cat /kept' "$TMP/disk" 2>/dev/null | sha256sum)" \
        "$(for c in {a..t}; do head -c 4096 /dev/zero | tr '\0' "$c"; done | sha256sum)"
done
run_guest --app "$TMP/futex"
assert_status 'futex operations' 0
new_disk 4096
run_guest --app "$TMP/vm" --disk "$TMP/disk" --append 'mount=/dev/vda:/m' -- /m
assert_status 'the address space' 0
run_guest --app "$TMP/vm" -m 24M -- /tmp
assert_status 'the address space with little memory' 0

run_guest --app "$TMP/many" -m 64M
assert_status 'as many threads as fit' 0
assert_equal 'both rounds are told of' "$(grep -c '^many: [0-9]* threads, then error 11' "$OUT")" 2

# ---- other C libraries and forms ----
cat >"$TMP/both.c" <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static __thread long mine = 5;
static pthread_barrier_t barrier;
static void *run(void *argument)
{
    mine += (long)argument;
    pthread_barrier_wait(&barrier);
    char *p = malloc(100000);
    p[99999] = 1;
    free(p);
    return (void *)mine;
}
int main(int argc, char **argv)
{
    pthread_t threads[8];
    long sum = 0;
    pthread_barrier_init(&barrier, NULL, 8);
    for (long i = 0; i < 8; i++)
        if (pthread_create(&threads[i], NULL, run, (void *)i))
            return 3;
    for (int i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    printf("both: %.4f %s\n", sum / 3.0, getenv("HOME"));
    return argc == 1 && argv[0] ? (int)sum : 1;
}
C
gcc -static -O2 -pthread -o "$TMP/glibc" "$TMP/both.c" 2>/dev/null
gcc -static-pie -O2 -pthread -o "$TMP/glibc-pie" "$TMP/both.c" 2>/dev/null
musl-gcc -fPIE -nostartfiles -static -pthread -Wl,-pie,--no-dynamic-linker,-z,text -o "$TMP/musl-pie" \
    /usr/lib/x86_64-linux-musl/rcrt1.o "$TMP/both.c"
musl-gcc -static -O2 -pthread -o "$TMP/musl" "$TMP/both.c"
gcc -static -O2 -D_GNU_SOURCE -I"$ROOT/apps" -o "$TMP/glibc-vdso" "$ROOT/apps/tests/vdso.c"
run_guest --app "$TMP/glibc-vdso"
assert_status 'glibc finds the vDSO and uses it' 0
for name in glibc glibc-pie musl musl-pie; do
    run_guest --app "$TMP/$name" --append env=HOME=/h
    assert_status "$name" 68
    assert_contains "$name prints" 'both: 22.6667 /h'
done
# The same from the mounted disk, two loop devices deep.
mkdir "$TMP/content" "$TMP/outer"
cp "$TMP/glibc" "$TMP/glibc-pie" "$TMP/musl" "$TMP/musl-pie" "$TMP/content"
for depth in 2 1 0; do
    truncate -s "$((48 - depth * 8))M" "$TMP/level"
    mke2fs -q -F -t ext2 -b 4096 -d "$TMP/content" "$TMP/level"
    rm -rf "$TMP/content"
    mkdir "$TMP/content"
    mv "$TMP/level" "$TMP/content/next.img"
done
for name in glibc glibc-pie musl musl-pie; do
    run_guest --disk "$TMP/content/next.img" --append "env=HOME=/h mount=/dev/vda:/a mount=/a/next.img:/b" \
        --append "mount=/b/next.img:/c app=/c/$name cwd=/c"
    assert_status "$name from the disk at level 2" 68
done
if [ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1; then
    run_guest --app /bin/busybox -- sha256sum /app/busybox
    assert_status 'busybox' 0
    assert_contains 'busybox sums itself' "$(sha256sum </bin/busybox | cut -d ' ' -f 1)"
    run_guest --app /bin/busybox -- sh -c 'for i in 1 2 3; do echo "line $i"; done; cd /tmp && echo x >y && exit 9'
    assert_status 'a shell, as far as it goes without fork' 9
    assert_contains 'its output' 'line 3'
fi

# ---- how it ends ----
for status in 0 1 123; do
    run_guest --app "$TMP/ends" -- "$status"
    assert_status "status $status" "$status"
done
run_guest --app "$TMP/ends" -- 204
assert_status 'an app status above 123' 123
assert_contains 'is told' ' app_status=204'
run_guest --app "$TMP/ends" -- busy
assert_status 'exit with busy threads' 7
assert_contains 'they were all running' 'ends: all run'
new_disk 1024
run_guest --app "$TMP/ends" --disk "$TMP/disk" --append 'mount=/dev/vda:/m' -- waits /m/locked
assert_status 'exit with threads that wait for room in a pipe and for a lock' 9
check_tower 'the disk with the locked file is clean' "$TMP/disk" 0
run_guest --app "$TMP/ends" -- thread
assert_status 'exit from a thread' 8
for how in last raw; do
    run_guest --app "$TMP/ends" -- "$how"
    assert_status "the main thread leaves first ($how)" 0
    assert_contains "the last thread goes on ($how)" 'ends: the last one'
done
run_guest --app "$TMP/ends" -- fork
assert_status 'no fork' 6
assert_contains 'fork is named' 'the system call fork (57) does not exist'
assert_contains 'an unknown call is named' 'system call 9999 does not exist'
assert_equal 'each is named once' "$(grep -c 'does not exist' "$OUT")" 3
assert_contains 'and all are counted' '5 calls gave ENOSYS'

# ---- how it dies: WAY SIGNAL TEXT ----
while read -r way signal text; do
    run_guest --app "$TMP/crash" -- "$way"
    assert_status "crash $way is 204" 204
    if [ "$signal" = 0 ]; then
        assert_lacks "crash $way: no signal" ' signal='
    else
        assert_matches "crash $way: signal $signal" " signal=$signal\$"
    fi
    assert_contains "crash $way: the report" "$text"
done <<'TABLE'
null-read 11 tried to read 0x0
null-write 11 tried to write to 0x0
null-call 11 tried to execute 0x0
write-text 11 r-x the program
locked-write-text 11 tried to write to 0x
execute-data 11 rw- the program
divide 8 SIGFPE: division by zero
invalid 4 SIGILL: invalid instruction
breakpoint 5 SIGTRAP: breakpoint
non-canonical 11 general protection fault
kernel-call 11 tried to execute 0xffff800000000000
stack-overflow 11 just below the main stack, which has overflowed
thread-overflow 11 just below a stack, which has overflowed
halt 11 SIGSEGV: privileged instruction (hlt)
heap-twice 11 SIGSEGV: privileged instruction (hlt)
lost-stack 11 tried to write to 0xfff8
bad-stack 11 SIGSEGV
bad-return 11 tried to read 0x10000
thread 11 tried to write to 0x0
abort 6 ended by SIGABRT
terminate 15 ended by SIGTERM
ignored 12 crash: still here
blocked 1 crash: SIGHUP waits: 1
out-of-memory 0 out of memory
TABLE

at=$(nm "$BUILD/spillway.debug" | awk '$3 == "vfs_open" { print $1 }')
run_guest --kernel --app "$TMP/crash" --append "env=AT=$at" -- kernel-write
assert_status 'a write to the text of the kernel is 204' 204
assert_contains 'it is named' "tried to write to 0x$at"
assert_contains 'as the kernel'"'"'s' "it lies in the kernel's half of the address space"
assert_matches 'with a backtrace' '^    #0 0x[0-9a-f]+ kernel_write\+0x'

# Stripped: functions by .eh_frame, and a backtrace of bare addresses.
strip -o "$TMP/stripped" "$TMP/crash"
run_guest --kernel --app "$TMP/stripped" -- halt
assert_status 'hlt in a stripped program is 204' 204
assert_contains 'and SIGSEGV, as on Linux' 'SIGSEGV: privileged instruction (hlt)'
assert_matches 'its backtrace is of addresses' '^    #1 0x[0-9a-f]+ \?( |$)'
assert_lacks 'and has no names' '+0x'

# ---- who was running, and who called: WAY FUNCTION CALLER... (in this order, with others between them) ----
while read -r way names; do
    run_guest --kernel --app "$TMP/crash" -- "$way"
    assert_equal "crash $way: the backtrace names $names" "$(sed -nE 's/^    #[0-9]+ 0x[0-9a-f]+( \?)? ([a-z_0-9]+)\+0x[0-9a-f]+.*/\2/p' "$OUT" |
        grep -xE "${names// /|}" | uniq | tr '\n' ' ')" "$names "
done <<'TABLE'
divide divide main
null-call main
write-text write_text main
stack-overflow recurse stack_overflow main
thread-overflow recurse thread_overflow start
thread in_thread start
lost-stack lost_stack
out-of-memory out_of_memory main
abort raise abort aborts main
terminate kill main
heap-twice __libc_free heap_twice main
TABLE

run_guest --app "$TMP/crash" -- handled
assert_status 'a handler runs, and the program goes on' 0
assert_contains 'it was called once' 'crash: the handler saw 10'
for name in pipes signals mapped; do
    run_guest --app "$APPS/tests/$name" -c 2
    assert_status "$name on two CPUs" 0
done

# ---- what cannot be run: FILE TEXT ----
gcc -o "$TMP/dynamic" "$TMP/both.c" -pthread
gcc -c -o "$TMP/object" "$TMP/both.c"
head -c 3000 "$TMP/glibc" >"$TMP/cut"
head -c 40 "$TMP/glibc" >"$TMP/short"
echo '#!/bin/sh' >"$TMP/script"
ld -r -b binary -m elf_i386 -o "$TMP/other" "$TMP/script" 2>/dev/null
while read -r file text; do
    run_guest --kernel --app "$TMP/$file"
    assert_status "$file: 125" 125
    assert_contains "$file: the reason" "$text"
done <<'TABLE'
dynamic dynamically linked; link it with -static
cut cut off
TABLE
new_disk 4096
for file in object short script other; do
    debugfs -w -R "write $TMP/$file $file" "$TMP/disk" >/dev/null 2>&1
done
while read -r file text; do
    run_guest --disk "$TMP/disk" --append "mount=/dev/vda:/m app=/m/$file"
    assert_status "$file: 125" 125
    assert_contains "$file: the reason" "$text"
done <<'TABLE'
object app: /m/object is not an executable
short app: /m/short is cut off within its ELF header
script app: /m/script is not an ELF file
other app: /m/other is for another machine
missing app: /m/missing: cannot be opened: ENOENT
lost+found app: /m/lost+found is not a regular file
TABLE
finish
