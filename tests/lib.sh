# SPDX-License-Identifier: MIT
# For the scripts in tests/qemu, tests/oracle and tests/check. Use:
#
#     . "$(dirname "$0")/../lib.sh"
#     run_guest --app "$APPS/hello" -- one "two words"
#     assert_status "hello ends with 0" 0
#     assert_contains "hello greets" "hello, world"
#     finish
#
# ok NAME, not_ok NAME REASON   report a case by hand
# run_guest ARGS...             ./spillway run --timeout 120 ARGS; STATUS and the file OUT (stdout and stderr, no CRs)
# assert_status NAME EXPECTED   compares STATUS
# assert_contains NAME TEXT     TEXT, as it is, stands in OUT
# assert_lacks NAME TEXT        it does not
# assert_matches NAME REGEX     a line of OUT matches the extended REGEX
# assert_equal NAME GOT WANTED
# assert_at_least NAME GOT LEAST
# last_field FIELD              its value in the guest's last line, such as: last_field free
# make_tower FILE ARGS...       ./spillway tower -o FILE ARGS
# check_tower NAME FILE LEVELS  a case: e2fsck is clean on every level
# build_app SOURCE OUTPUT       musl-gcc -static
# build_variant no-probes       builds that variant (or several in one: debug guest-tests); guests boot it from here on
#                               (see: ./spillway help build)
# wanted NAME                   false when only other cases were asked for, so that NAME need not be run (for scripts in
#                               which each case is a run of its own): ./spillway test sources names them in SPILLWAY_CASES
# finish                        ends the script: status 1 when a case failed
# A failed assertion shows the last lines of OUT. TMP is a folder of the script's own, removed at its end.
# shellcheck shell=bash
set -u
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${SPILLWAY_BUILD:-$ROOT/build}
APPS=$BUILD/apps
TMP=$(mktemp -d) || exit 1
trap 'rm -rf -- "$TMP"' EXIT
OUT=$TMP/out
STATUS=-
CASES_FAILED=0
: >"$OUT"

ok() { echo "ok $1"; }

wanted() {
    local name
    [ -n "${SPILLWAY_CASES:-}" ] || return 0
    while IFS= read -r name; do
        [[ $1 != "$name"* && $name != "$1"* ]] || return 0
    done <<<"$SPILLWAY_CASES"
    return 1
}

not_ok() {
    CASES_FAILED=$((CASES_FAILED + 1))
    echo "not ok $1: ${2:-failed}"
}

# Like not_ok, with the end of the guest's console below.
not_ok_out() {
    not_ok "$1" "$2"
    echo "  the last lines of its output:"
    tail -n 30 "$OUT" | sed 's/^/    /'
}

run_guest() {
    echo "run: spillway run$(printf ' %q' "$@")"
    "$ROOT/spillway" run --timeout "${GUEST_TIMEOUT:-120}" "$@" </dev/null >"$OUT.raw" 2>&1
    STATUS=$?
    tr -d '\r' <"$OUT.raw" >"$OUT"
}

assert_status() {
    if [ "$STATUS" = "$2" ]; then ok "$1"; else not_ok_out "$1" "status $STATUS, expected $2"; fi
}

assert_contains() {
    if grep -qaF -- "$2" "$OUT"; then ok "$1"; else not_ok_out "$1" "the output lacks: $2"; fi
}

assert_lacks() {
    if ! grep -qaF -- "$2" "$OUT"; then ok "$1"; else not_ok_out "$1" "the output has: $2"; fi
}

assert_matches() {
    if grep -qaE -- "$2" "$OUT"; then ok "$1"; else not_ok_out "$1" "no line matches: $2"; fi
}

assert_equal() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got '$2', expected '$3'"; fi
}

assert_at_least() {
    if [[ $2 =~ ^[0-9]+$ ]] && [ "$2" -ge "$3" ]; then ok "$1"; else not_ok_out "$1" "got '$2', expected $3 or more"; fi
}

last_field() { grep -a '^spillway: exit=' "$OUT" | tail -n 1 | tr ' ' '\n' | sed -n "s/^$1=//p"; }

make_tower() {
    local file=$1
    shift
    "$ROOT/spillway" tower -o "$file" "$@" 2>"$TMP/tower.log" && return
    cat "$TMP/tower.log"
    return 1
}

check_tower() {
    if "$ROOT/tools/tower-check" "$2" "$3" >"$TMP/tower.log" 2>&1; then
        ok "$1"
    else
        not_ok "$1" "$(grep -vE '^level [0-9]+: clean' "$TMP/tower.log" | head -n 1)"
        sed 's/^/    /' "$TMP/tower.log"
    fi
}

build_app() { musl-gcc -static -O2 -pthread -o "$2" "$1"; }

build_variant() {
    local variant
    if ! "$ROOT/spillway" build "${@/#/--}" >"$TMP/build.log" 2>&1; then
        not_ok "build of the variant $*" "it does not build"
        cat "$TMP/build.log"
        exit 1
    fi
    for variant; do
        BUILD=$BUILD/$variant
    done
    APPS=$BUILD/apps
    export SPILLWAY_BUILD=$BUILD
}

finish() { exit $((CASES_FAILED > 0)); }
