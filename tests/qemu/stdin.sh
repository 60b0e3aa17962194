# SPDX-License-Identifier: MIT
# timeout: 200
# The console as a terminal: what is piped in is typed; lines, keys that edit them, signals, raw mode. 20 s on two cores.
# shellcheck shell=bash
. "$(dirname "$0")/../lib.sh"

# typed TEXT ARGS...: run_guest with TEXT on stdin, as it is (printf).
typed() {
    local text=$1
    shift
    echo "run: spillway run$(printf ' %q' "$@") with stdin"
    # shellcheck disable=SC2059
    printf "$text" | "$ROOT/spillway" run --timeout "${GUEST_TIMEOUT:-120}" "$@" >"$OUT.raw" 2>&1
    STATUS=${PIPESTATUS[1]}
    tr -d '\r' <"$OUT.raw" >"$OUT"
}

musl-gcc -static -O2 -D_GNU_SOURCE -Wall -Werror -o "$TMP/keys" "$ROOT/tests/qemu/apps/keys.c" || not_ok 'keys builds'

# ---- a pipe of the host ----
run_guest --app "$TMP/keys" -- sum
assert_status 'no input is the end of the file at once' 0
assert_contains 'nothing was read' 'keys: 0 bytes, 0 reads, sum 0'
seq 20000 >"$TMP/numbers"
"$ROOT/spillway" run --timeout 120 --append log=error --app "$TMP/keys" -- sum <"$TMP/numbers" >"$OUT.raw" 2>&1
STATUS=$?
tr -d '\r' <"$OUT.raw" >"$OUT"
assert_status 'a large input' 0
assert_contains 'all of it arrives' "keys: $(stat -c %s "$TMP/numbers") bytes, 20000 reads, sum $(
    od -An -v -tu1 "$TMP/numbers" | tr -s ' ' '\n' | awk '{ s += $1 } END { print s }')"
typed 'a\003b\004c\177d\026e\025\r\n' --app "$TMP/keys" -- hex
assert_contains 'keys that a terminal would take arrive as data' 'keys: 61 03 62 04 63 7f 64 16 65 15 0d 0a'
typed 'echo one; read -r x; echo "got <$x>"; exit 7\nsome words\n' --app /bin/busybox -- sh
assert_status 'a shell reads its commands' 7
assert_contains 'and what they read' 'got <some words>'

# ---- as a terminal ----
export SPILLWAY_STDIN=raw
typed 'abX\177c dd ee\027ff\nkilled\025ok\n\004' --app "$TMP/keys" -- lines
assert_status 'lines' 0
assert_contains 'backspace and ^W edit' 'keys: line <abc dd ff>'
assert_contains '^U takes the line back' 'keys: line <ok>'
assert_contains 'the echo shows it' $'abX\b \bc dd ee'
assert_contains '^D ends the file' 'keys: end'
typed 'one\ntwo\n' --app "$TMP/keys" -- poll
assert_status 'poll, FIONREAD and O_NONBLOCK on the console' 0
assert_matches 'all checks hold' '^keys: ok'
typed 'part\004 rest\n\004' --app "$TMP/keys" -- reads
assert_contains '^D passes a part of a line on' 'keys: read 4 <part>'
assert_contains 'and the rest follows' 'keys: read 6 < rest'
typed 'a\003' --app "$TMP/keys" -- lines
assert_status '^C ends the app' 204
assert_matches '^C is SIGINT' ' signal=2$'
assert_contains '^C is echoed' '^C'
export SPILLWAY_STDIN_AFTER='keys: ready'
typed 'a\003b\n\004' --app "$TMP/keys" -- handler
assert_status 'a handler for ^C' 0
assert_contains 'the handler ran' 'keys: SIGINT'
assert_contains 'what was typed before is gone' 'keys: line <b>'
typed '\003' --app "$TMP/keys" -- spin
assert_status '^C ends a program that computes' 204
typed 'x\003\004y\rq' --app "$TMP/keys" -- raw
assert_status 'raw mode' 0
assert_contains 'every key is a character' 'keys: 78 03 04 79 0d 71'
assert_lacks 'raw mode does not echo' '^C'
typed 'z' --app "$TMP/keys" -- timed
assert_contains 'VMIN 0 and VTIME' 'keys: timed 0, then 1'
unset SPILLWAY_STDIN SPILLWAY_STDIN_AFTER

# ---- a terminal of the host ----
# on_terminal KEYS ARGS...: a run on a terminal of its own; KEYS are typed when the program waits for them.
on_terminal() {
    local keys=$1 waited=0
    shift
    : >"$OUT.raw"
    until grep -qa '^keys: ready' "$OUT.raw" || [ "$waited" -ge 600 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done | cat - <(printf '%b' "$keys") <(sleep 2) |
        script -qefc "$(printf '%q ' "$ROOT/spillway" run --timeout 60 "$@")" /dev/null >"$OUT.raw" 2>&1
    STATUS=${PIPESTATUS[2]}
    tr -d '\r' <"$OUT.raw" >"$OUT"
}
on_terminal '\003' --app "$TMP/keys" -- spin
assert_status '^C on a terminal reaches the app' 204
on_terminal '\001x' --app "$TMP/keys" -- spin
assert_status '^A x ends the machine: interrupted' 130
assert_contains '^A x: the last line says so' 'spillway: exit=130 app=keys '
finish
