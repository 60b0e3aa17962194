# SPDX-License-Identifier: MIT
# docs/sources.md and the tests that its rows name: `./spillway test sources 003:162` runs those of a line, and a whole
# `./spillway test` ends with a look at all of them. tests/check/sources.sh uses sources_rows and sources_tests too.
# shellcheck shell=bash

SOURCES_MD=$ROOT/docs/sources.md

# sources_rows [NUMBER:LINE[-LINE]]...: the rows that cover one of these lines, or all rows, as they are.
sources_rows() {
    awk -v wanted="$*" '
        BEGIN {
            count = split(wanted, w, " ")
            for (i = 1; i <= count; i++) {
                split(w[i], p, ":")
                parts = split(p[2], r, "-")
                doc[i] = p[1]; from[i] = r[1] + 0; to[i] = (parts > 1 ? r[2] : r[1]) + 0
            }
        }
        /^\| [0-9][0-9][0-9]:[0-9]/ {
            split($2, p, ":")
            parts = split(p[2], r, "-")
            last = (parts > 1 ? r[2] : r[1]) + 0
            take = count == 0
            for (i = 1; i <= count; i++)
                if (p[1] == doc[i] && r[1] + 0 <= to[i] && last >= from[i])
                    take = 1
            if (take)
                print
        }' "$SOURCES_MD"
}

# sources_tests: of rows on stdin, a line `FAMILY/FILE<tab>CASE<tab>later or now` for each test that they name, once.
sources_tests() {
    awk -F' \\| ' '{
        rest = $4
        while (match(rest, /`[a-z]+\/[a-z_0-9-]+: [^`]+`/)) {
            token = substr(rest, RSTART + 1, RLENGTH - 2)
            when = substr(rest, 1, RSTART - 1) ~ /later: $/ ? "later" : "now"
            rest = substr(rest, RSTART + RLENGTH)
            at = index(token, ": ")
            line = substr(token, 1, at - 1) "\t" substr(token, at + 2) "\t" when
            if (!seen[line]++)
                print line
        }
    }'
}

# case_result FAMILY/FILE CASE: passed, failed or missing, by the log of the last run.
case_result() {
    local log number
    if [[ $1 == host/* ]]; then
        log=$BUILD/logs/test-host.log
        number=$(sed -nE "s/^ *Start +([0-9]+): ${1#host/}\$/\1/p" "$log" 2>/dev/null | head -n 1)
        if grep -qE "^${number:-none}: \[  FAILED  \] $2\$" "$log" 2>/dev/null; then
            echo failed
        elif grep -qE "^${number:-none}: \[       OK \] $2\$" "$log" 2>/dev/null; then
            echo passed
        else
            echo missing
        fi
        return
    fi
    log=$BUILD/logs/test-${1//\//-}.log
    awk -v name="$2" '
        index($0, "not ok " name) == 1 { bad = 1 }
        index($0, "ok " name) == 1 { good = 1 }
        END { print bad ? "failed" : good ? "passed" : "missing" }' "$log" 2>/dev/null || echo missing
}

# check_source_lines WORD...: ends the command when one of them is no line that the page has.
check_source_lines() {
    local line
    [ $# -gt 0 ] || die 2 "test sources: which line? For example: ./spillway test sources 003:162"
    for line; do
        [[ $line =~ ^[0-9]{3}:[0-9]+(-[0-9]+)?$ ]] ||
            die 2 "test sources: '$line' is no line of a source; expected is one like 003:162 or 003:162-167 (docs/sources.md)"
        [ -n "$(sources_rows "$line")" ] || die 2 "test sources: docs/sources.md has no row for line $line"
    done
}

# run_sources NUMBER:LINE...: runs the tests of these lines and says what became of each.
run_sources() {
    local line rows tests file name when result script
    rows=$(sources_rows "$@")
    tests=$(sources_tests <<<"$rows")
    while read -r file; do
        [ -n "$file" ] || continue
        script=$ROOT/tests/$file.sh
        SPILLWAY_CASES=$(awk -F'\t' -v file="$file" '$1 == file { print $2 }' <<<"$tests")
        export SPILLWAY_CASES
        if [[ $file == host/* ]]; then
            TEST_FILTER=("^${file#host/}\$")
            run_host_tests
        elif [ -f "$script" ]; then
            run_script "$script" "$file"
        fi
        while IFS=$'\t' read -r name when; do
            RESULTS[$file: $name]=$(case_result "$file" "$name")
        done < <(awk -F'\t' -v file="$file" '$1 == file { print $2 "\t" $3 }' <<<"$tests")
    done < <(cut -f1 <<<"$tests" | sort -u)
    unset SPILLWAY_CASES

    TEST_PASSED=0 TEST_FAILED=0 TEST_FAILURES=()
    while IFS= read -r line; do
        printf '\n%s  %s\n' "$(cut -d' ' -f2 <<<"$line")" "$(awk -F' \\| ' '{ print $2 }' <<<"$line")"
        tests=$(sources_tests <<<"$line")
        [ -n "$tests" ] || echo "  $(awk -F' \\| ' '{ print $3 }' <<<"$line")"
        while IFS=$'\t' read -r file name when; do
            [ -n "$file" ] || continue
            result=${RESULTS[$file: $name]}
            printf '  %-8s%s: %s\n' "$result" "$file" "$name"
            if [ "$result" = passed ]; then
                TEST_PASSED=$((TEST_PASSED + 1))
            elif [ "$when" = now ]; then
                TEST_FAILED=$((TEST_FAILED + 1))
                TEST_FAILURES+=("$file: $name: $result; output in $BUILD/logs")
            fi
        done <<<"$tests"
    done <<<"$rows"
}
declare -A RESULTS=()

# judge_sources: after all families have run, every test that docs/sources.md names must have passed.
judge_sources() {
    local file name when result passed=0
    while IFS=$'\t' read -r file name when; do
        result=$(case_result "$file" "$name")
        if [ "$result" = passed ]; then
            passed=$((passed + 1))
        elif [ "$when" = now ]; then
            count_failed "sources $file" "docs/sources.md names the case '$name': $result"
        fi
    done < <(sources_rows | sources_tests)
    echo "sources: $passed tests named in docs/sources.md passed"
}
