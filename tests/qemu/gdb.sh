# SPDX-License-Identifier: MIT
# ./spillway gdb: stops inside a nested read, goes through the extra stacks to the system call and into the program.
# shellcheck shell=bash
. "$(dirname "$0")/../lib.sh"

# stop_in ARGS...: what gdb says, in OUT.
stop_in() {
    timeout 150 "$ROOT/spillway" gdb --batch --kernel "$@" </dev/null >"$OUT" 2>&1
    STATUS=$?
}
# frame_of FUNCTION: the number of its (outermost) frame, or nothing.
frame_of() { sed -nE "s/^#([0-9]+) +(0x[0-9a-f]+ in )?$1 \(.*/\1/p" "$OUT" | tail -n 1; }

stop_in --append stack.need=force --ex 'break bio_submit if $held() >= 2 && $_any_caller_is("sys_pread64", 60)' \
    --ex continue --ex bt --ex stacks --ex 'stacks 99' --ex probes --ex threads -- --levels 3 --threads 2 --ops 200
assert_status "gdb: its own status" 0
assert_contains "gdb: stops at the breakpoint" "Breakpoint 1, bio_submit"
crossed=$(grep -cE '^#[0-9]+ .* __morestack \(\)' "$OUT")
assert_at_least "gdb: the backtrace crosses two extra stacks" "$crossed" 2
assert_matches "gdb: the file and line of the system call" '^#[0-9]+ .*sys_pread64 \(.* at src/abi/io\.c:[0-9]+$'
below=$(frame_of __morestack) call=$(frame_of sys_pread64) entry=$(frame_of x86_syscall_entry)
assert_at_least "gdb: the system call is below the last switch" "${call:-0}" "$((${below:-999} + 1))"
assert_at_least "gdb: its entry is below that" "${entry:-0}" "$((${call:-999} + 1))"
assert_matches "gdb: stacks names the probe of each" \
    '^  #0 extra +0x[0-9a-f]+-0x[0-9a-f]+, 4096 bytes, taken at probe [a-z_]+$'
assert_equal "gdb: stacks lists as many extra stacks as are crossed" "$(grep -cE '^  #[0-9]+ extra ' "$OUT")" \
    "$crossed"
assert_matches "gdb: stacks ends at home" '^  #[0-9]+ home +0x'
assert_matches "gdb: probes" '^  vfs_read +[0-9]+ +[1-9][0-9]* +0 +[1-9][0-9]*$'
assert_matches "gdb: threads marks the one that runs" '^\* +[0-9]+ .* running +0 +[2-9] '
assert_contains "gdb: a thread that is not there" "no thread 99"

# The program's own symbols: non-PIE and PIE, stopped at main.
printf 'int main(void) { return 7; }\n' >"$TMP/seven.c"
for pie in -no-pie -static-pie; do
    kind=-static
    [ "$pie" = -no-pie ] || kind=-static-pie
    gcc "$kind" $pie -g -o "$TMP/seven" "$TMP/seven.c"
    stop_in --app "$TMP/seven" --ex 'break main' --ex continue --ex 'info line' --ex continue
    assert_matches "gdb: stops in the main of a program, $pie" 'Breakpoint 1, main \(\) at .*seven\.c:1'
done

stop_in --app "$TMP/none"
assert_status "gdb: a missing program" 125
assert_contains "gdb: a missing program is named" "$TMP/none: no such file"
finish
