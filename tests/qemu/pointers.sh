# SPDX-License-Identifier: MIT
# Bad pointers in every system call, with Linux (the one that runs this test) as the judge, line by line; and a row in
# tests/qemu/apps/pointers.c for every call in the kernel's table.
# shellcheck shell=bash
. "$(dirname "$0")/../lib.sh"

TABLE=$ROOT/src/abi/syscall_table.c
musl-gcc -static -O2 -D_GNU_SOURCE -Wall -Werror -o "$TMP/pointers" "$ROOT/tests/qemu/apps/pointers.c" || not_ok 'it builds'

# ---- every call has a row: NUMBER NAME on both sides ----
table_rows() { sed -nE 's/^ *CALL(_AS|_MISSING)?\(([0-9]+), ([a-z0-9_]+).*/\2 \3/p' "$1" | sort -u; }
lacking() { comm -23 <(table_rows "$1") <("$TMP/pointers" --rows | sort -u); }
assert_equal 'every call of the table has a row' "$(lacking "$TABLE")" ''
assert_at_least 'the table was read' "$(table_rows "$TABLE" | wc -l)" 170
sed 's/^    CALL(0, read),/&\n    CALL(999, brand_new),/' "$TABLE" >"$TMP/table.c"
assert_equal 'a new call without a row is found' "$(lacking "$TMP/table.c")" '999 brand_new'

# ---- the same on both ----
mkdir "$TMP/linux"
timeout 60 "$TMP/pointers" "$TMP/linux" >"$TMP/linux.txt" </dev/null
assert_equal 'it runs on Linux' "$?" 0
GUEST_TIMEOUT=200 run_guest --kernel --app "$TMP/pointers" -- /tmp
assert_status 'it runs here' 0
assert_contains 'to its end' 'pointers: done'
assert_lacks 'no panic' 'PANIC'

# The calls that are served; those for extended attributes say that there are none and look at nothing.
grep -vE 'quietly_missing|no_attributes' "$TABLE" | sed -nE 's/^ *CALL(_AS)?\([0-9]+, ([a-z0-9_]+).*/\2/p' >"$TMP/served"

# What may differ: CALL ARGUMENT WAY, as a pattern, and why.
cat >"$TMP/allowed" <<'ALLOWED'
^(futex|munmap|epoll_wait|epoll_pwait) [0-9] top$  the first address above all that can be mapped: Linux changed its mind
^futex 0 read-only$           Linux wants a futex that other processes may share to be writable, even to wait
ALLOWED
sed 's/  .*//; s/\$$/ gives/' "$TMP/allowed" >"$TMP/patterns"

awk 'NF != 4 || $1 !~ /\./ { next }
    FNR == NR { linux[$1 " " $2 " " $3] = $4; next }
    ($1 " " $2 " " $3) in linux {
        name = $1; sub(/\..*/, "", name)
        print name, $2, $3, $4, linux[$1 " " $2 " " $3]
    }' "$TMP/linux.txt" "$OUT" | awk 'FNR == NR { served[$1] = 1; next } $1 in served' "$TMP/served" - >"$TMP/both"
assert_at_least 'many were compared' "$(wc -l <"$TMP/both")" 1200
awk '$4 != $5 { print $1, $2, $3, "gives", $4 ", on Linux", $5 }' "$TMP/both" >"$TMP/different"
grep -vEf "$TMP/patterns" "$TMP/different" >"$TMP/wrong"
if [ -s "$TMP/wrong" ]; then
    not_ok 'bad pointers give what Linux gives' "$(wc -l <"$TMP/wrong") lines differ"
    head -n 40 "$TMP/wrong"
else
    ok 'bad pointers give what Linux gives'
fi
assert_at_least 'of these -EFAULT' "$(grep -c ' EFAULT EFAULT$' "$TMP/both")" 1000
finish
