#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# docs/sources.md: every row has the right form; no line of a source text is left out; every file, function, test and case
# that it names exists. Whether the tests pass is judged at the end of a whole `./spillway test`.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tools/lib/sources.sh"

# What is wrong with the rows themselves, and which lines have none.
source_rows_wrong() {
    awk -F' \\| ' '
        /^\| [0-9][0-9][0-9] \| .* \| [0-9]+ \|$/ {
            number = substr($1, 3); last = $3; sub(/ \|$/, "", last)
            lines[number] = last + 0
            order[++sources] = number
        }
        /^\| [0-9][0-9][0-9]:/ {
            if (NF != 4 || $1 !~ /^\| [0-9][0-9][0-9]:[0-9]+(-[0-9]+)?$/ || $4 !~ / \|$/ || length($2) < 5) {
                print "not of the form | NNN:LINE-LINE | statement | where | test |: " $0
                next
            }
            split(substr($1, 3), p, ":")
            parts = split(p[2], r, "-")
            first = r[1] + 0; end = (parts > 1 ? r[2] : r[1]) + 0
            if (!(p[1] in lines) || first < 1 || end < first || end > lines[p[1]])
                print "no such lines: " substr($1, 3)
            else
                for (i = first; i <= end; i++)
                    covered[p[1] ":" i] = 1
            here = $3 !~ /^not here/
            if (!here && $3 !~ /^not here[a-z ]*[,:] .../)
                print substr($1, 3) ": it does not say why it does not apply"
            if (here && $3 !~ /`[A-Za-z_0-9.\/-]+:[A-Za-z_0-9]+`/)
                print substr($1, 3) ": no place in the tree is named"
            if (here && $4 !~ /`[a-z]+\/[a-z_0-9-]+: [^`]+`/)
                print substr($1, 3) ": no test is named"
            if (!here && $4 !~ /^–/ && $4 !~ /`[a-z]+\/[a-z_0-9-]+: [^`]+`/)
                print substr($1, 3) ": neither a test nor –"
        }
        END {
            if (!sources)
                print "no table of source texts"
            for (s = 1; s <= sources; s++)
                for (i = 1; i <= lines[order[s]]; i++)
                    if (!((order[s] ":" i) in covered))
                        print "no row for line " order[s] ":" i
        }' "$SOURCES_MD"
}

# FILE:NAME in backquotes, anywhere in a row: the file has the name as a word.
source_places_wrong() {
    sources_rows | grep -oE '`[A-Za-z_0-9./-]+\.[a-z]+:[A-Za-z_0-9]+`' | tr -d '`' | sort -u | while IFS=: read -r file name; do
        if [ ! -f "$ROOT/$file" ]; then
            echo "$file: no such file"
        elif ! grep -qwF -- "$name" "$ROOT/$file"; then
            echo "$file: there is no $name"
        fi
    done
}

# The names of the checks and deaths in tests/guest.
guest_cases() {
    sed -nE 's/^ +\{"([A-Za-z0-9_-]+)", [a-z_0-9]+\}.*/\1/p
        s/^ +SIDES\([a-z_0-9]+, "([a-z0-9-]+)"\).*/STACK_GUARD_PAGE_LEADING-\1\nSTACK_GUARD_PAGE_TRAILING-\1/p' "$ROOT"/tests/guest/*.c
}

# Cases of one file, on stdin, that it does not have.
cases_missing() {
    local file=$1 path name
    if [[ $file == host/* ]]; then
        path=$ROOT/tests/$file.c
        while IFS= read -r name; do
            grep -qsE "cmocka_unit_test[a-z_]*\($name\>" "$path" || echo "$file: no case $name"
        done
        return
    fi
    path=$ROOT/tests/$file.sh
    if [ ! -f "$path" ]; then
        echo "$file: no such file"
    elif [ "$file" = qemu/guest ]; then
        # It runs all checks of the guest, and prints their names.
        grep -qF 'app=checks' "$path" || echo "$file: runs no checks"
        sed 's/ .*//' | grep -vxFf "$TMP/guest_cases" | sed "s,^,$file: no case ,"
    else
        awk -v script="$path" -f "$ROOT/tests/check/case_names.awk" | sed "s,^,$file: no case ,"
    fi
}

source_tests_wrong() {
    local file tests
    guest_cases >"$TMP/guest_cases"
    tests=$(sources_rows | sources_tests)
    cut -f1 <<<"$tests" | sort -u | while read -r file; do
        case $file in
        check/* | host/* | qemu/* | oracle/*) ;;
        *) echo "$file: no family of a whole test" && continue ;;
        esac
        if [ ! -f "$ROOT/tests/$file.sh" ] && [ ! -f "$ROOT/tests/$file.c" ] &&
            ! grep -qP "^$file\t.*\tnow$" <<<"$tests"; then
            continue                  # announced, and not there yet
        fi
        awk -F'\t' -v file="$file" '$1 == file { print $2 }' <<<"$tests" | cases_missing "$file"
    done
    # Cases that run in the guest: the kernel must have them, whatever a script calls them.
    awk -F'\t' '$1 == "qemu/must-die" || $1 == "qemu/stacks-die" { sub(/ .*/, "", $2); print $2 }' <<<"$tests" | sort -u |
        grep -vxFf "$TMP/guest_cases" | sed 's/^/tests\/guest: no case /'
}

for what in rows places tests; do
    found=$("source_${what}_wrong")
    if [ -z "$found" ]; then
        ok "the $what of docs/sources.md"
    else
        not_ok "the $what of docs/sources.md" "$(wc -l <<<"$found") mistakes"
        echo "$found"
    fi
done
echo "report: $(sources_rows | wc -l) rows, $(sources_rows | sources_tests | wc -l) cases named"
while IFS=$'\t' read -r file name when; do
    [ "$when" = now ] || [ ! -f "$ROOT/tests/$file.sh" ] || echo "report: $file has come: take later: off '$name'"
done < <(sources_rows | sources_tests)

# The checks can fail: a page with one mistake of each kind, and rows that are right.
SOURCES_MD=$TMP/bad.md
cat >"$SOURCES_MD" <<'BAD'
| 000 | a text | 9 |
| 001 | another | 2 |
| 000:1-2 | a statement | `src/rt/xstack.c:xstack_take` | `host/test_xstack: refuse_test`, later: `qemu/not-yet: x` |
| 000:3 | two cells | `src/rt/xstack.c:xstack_take` |
| 000:4 | no such function | `src/rt/xstack.c:xstack_steal` | `host/test_xstack: no_such_test` |
| 000:5 | no such file | `src/rt/ystack.c:xstack_take` | `qemu/nowhere: x` |
| 000:6 | no place | somewhere | `qemu/must-die: overflow-attic` |
| 000:7 | no test | `src/rt/xstack.c:xstack_take` | by reading |
| 000:8 | no reason | not here | – |
| 000:9-11 | too far | `src/rt/xstack.c:xstack_take` | `qemu/guest: no-such-check` |
| 001:1 | cases made of pieces | `src/rt/xstack.c:xstack_take` | `qemu/nestio: few stacks: right`, `qemu/nestio: few stacks: low water`, `qemu/growth: own-stacks, off, 4 CPUs`, `qemu/growth: own-stocks, off, 4 CPUs` |
BAD
source_rows_wrong >"$TMP/found"
source_places_wrong >>"$TMP/found"
source_tests_wrong >>"$TMP/found"
while IFS= read -r text; do
    if grep -qF -- "$text" "$TMP/found"; then ok "found: $text"; else not_ok "found: $text" "it is not"; fi
done <<'FOUND'
| 000:3 | two cells
no such lines: 000:9-11
000:8: it does not say why
000:6: no place in the tree
000:7: no test is named
no row for line 000:3
no row for line 001:2
src/rt/xstack.c: there is no xstack_steal
src/rt/ystack.c: no such file
host/test_xstack: no case no_such_test
qemu/nowhere: no such file
qemu/must-die: no case overflow-attic
tests/guest: no case overflow-attic
qemu/guest: no case no-such-check
qemu/nestio: no case few stacks: right
qemu/growth: no case own-stocks, off, 4 CPUs
FOUND
assert_equal "and nothing else" "$(grep -cvE '000:9|000:10|000:11' "$TMP/found")" 15
finish
