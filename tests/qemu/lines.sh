# SPDX-License-Identifier: MIT
# Backtraces on the console have files and lines, of the kernel and of the program, and so has the kept log.
# shellcheck shell=bash
. "$(dirname "$0")/../lib.sh"

cat >"$TMP/fall.c" <<'C'
#include <stdio.h>
static int *volatile nowhere;
__attribute__((noinline)) static void third(void)
{
    *nowhere = 1;
}
__attribute__((noinline)) static void second(void) { third(); puts("not here"); }
int main(int argc, char **argv)
{
    (void)argv;
    printf("no newline ");
    fflush(stdout);
    if (argc > 1)
        puts("    #7 0x401000");
    second();
    return 0;
}
C
for pie in -static -static-pie; do
    gcc $pie -g -O0 -o "$TMP/fall" "$TMP/fall.c" || not_ok "fall.c compiles" "$pie"
    run_guest --app "$TMP/fall"
    assert_status "$pie: a program that falls" 204
    assert_matches "$pie: the line that wrote" '^    #0 0x[0-9a-f]+ .*fall\.c:5$'
    assert_matches "$pie: the line that called it" '^    #1 0x[0-9a-f]+ .*fall\.c:7$'
    assert_matches "$pie: the line in main" '^    #2 0x[0-9a-f]+ .*fall\.c:15$'
    assert_contains "$pie: what had no end of line stays" "no newline "
    log=$(sed -n "s/^spillway: the console's log: //p" "$OUT")
    assert_equal "$pie: the log has the lines too" "$(grep -cE '^    #[0-9]+ 0x[0-9a-f]+ .*fall\.c:(5|7|15)' "$log")" 3
done

# The pipe itself: bytes pass as they are, and at once.
printf 'a\0b\r\n  #x\n    # 1\nrip 12\n  #1 \nend' >"$TMP/in"
"$ROOT/tools/lines" "$BUILD/spillway.debug" <"$TMP/in" >"$TMP/copy"
if cmp -s "$TMP/in" "$TMP/copy"; then ok "other bytes pass unchanged"; else not_ok "other bytes pass unchanged"; fi
prompt=$({ printf 'name? '; sleep 3; } | "$ROOT/tools/lines" "$BUILD/spillway.debug" |
    { read -r -t 2 -n 5 answer; printf '%s' "$answer"; cat >/dev/null; })
assert_equal "a prompt does not wait for the end of its line" "$prompt" "name?"

build_variant no-probes
GUEST_TIMEOUT=120 run_guest --kernel -- --levels 32 --threads 1 --ops 100
assert_status "without probes 32 levels hit the guard" 200
frames=$(grep -cE '^  #[0-9]+ ' "$OUT")
assert_at_least "the report has a long backtrace" "$frames" 30
# NASM's routines have no lines.
assert_at_least "its frames have files and lines" "$(grep -cE '^  #[0-9]+ +[0-9a-f]{16} [^ ]+ src/[^ ]+:[0-9]+$' "$OUT")" \
    "$((frames - 6))"
assert_matches "a caller's line is the call's" '^  #[0-9]+ .* loop_submit_stacked\+0x[0-9a-f]+ src/drivers/stacked/loop\.c:[0-9]+$'
finish
