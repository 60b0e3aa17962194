# SPDX-License-Identifier: MIT
# The test command: runs families of tests, counts, and ends with `N passed, N failed`.
#   check   tests/check/*.sh   rules about the source         qemu    tests/qemu/*.sh     in the guest
#   host    tests/host/*.c     unit tests under CTest          oracle  tests/oracle/*.sh   judged by others' tools
#   exhaust tests/exhaust/*.sh every k of exhaustion; only when it is named
#   fuzz    tests/fuzz/*.sh    by coverage, with clang; only when it is named
# A script prints a line `ok NAME` or `not ok NAME: reason` for each case (tests/lib.sh helps). It fails as a whole
# when it prints neither, ends with another status than 0, or runs too long; a comment `# timeout: SECONDS` in it
# changes the 300 seconds it has.
# shellcheck shell=bash

TEST_FAMILIES=(check host qemu oracle)
TEST_TIMEOUT=300

help_test() {
    cat <<'TEXT'
usage: ./spillway test [check|host|qemu|oracle|exhaust|fuzz]... [NAME]...
       ./spillway test sources NUMBER:LINE...

Builds, runs the families of tests that are named (when none is, all but exhaust and fuzz), prints the time of each, and ends with
the line `N passed, N failed`. With NAMEs, only test files whose name contains one of them run: ./spillway test qemu exit.
exhaust refuses every single stack, page and device request that a scenario asks for: it takes long. exhaust crowd has
10000 threads inside a read at the same time. fuzz needs clang.
sources runs the tests that docs/sources.md names for these lines of the source texts: ./spillway test sources 003:162.
TEXT
}

command_test() {
    local word family log start
    local -a families=()
    TEST_FILTER=() TEST_PASSED=0 TEST_FAILED=0 TEST_FAILURES=() TEST_TIMES=()
    [ "${1:-}" != sources ] || families=(sources)
    for word in "${@:$((1 + ${#families[@]}))}"; do
        case $word in
        check | host | qemu | oracle) families+=("$word") ;;
        exhaust | fuzz) # Alone it is the family; behind another one, the tests of that one with this name.
            if [ ${#families[@]} -eq 0 ]; then families=("$word"); else TEST_FILTER+=("$word"); fi ;;
        model | bench) die 2 "test $word is not in this version" ;;
        -*) die 2 "test: unknown option '$word'" ;;
        *) TEST_FILTER+=("$word") ;;
        esac
    done
    [ ${#families[@]} -gt 0 ] || families=("${TEST_FAMILIES[@]}")
    [ "${families[0]}" != sources ] || check_source_lines "${TEST_FILTER[@]}"
    need_packages
    mkdir -p "$BUILD/logs"
    build_targets all || count_failed build "the build failed"
    export SPILLWAY_NO_BUILD=1 SPILLWAY_BUILD=$BUILD

    for family in "${families[@]}"; do
        start=$(now_ms)
        if [ "$family" = sources ]; then
            run_sources "${TEST_FILTER[@]}"
        elif [ "$family" = host ]; then
            run_host_tests
        else
            run_script_tests "$family"
        fi
        TEST_TIMES+=("$family $(seconds_since "$start") s")
    done
    [ $((TEST_PASSED + TEST_FAILED)) -gt 0 ] || [ "$family" = sources ] || count_failed test "no test of ${families[*]} has in its name: ${TEST_FILTER[*]}"
    [ ${#families[@]} -lt ${#TEST_FAMILIES[@]} ] || [ ${#TEST_FILTER[@]} -gt 0 ] || judge_sources
    printf '\n'
    [ ${#TEST_FAILURES[@]} -eq 0 ] || printf 'failed: %s\n' "${TEST_FAILURES[@]}"
    (IFS=,; echo "time:${TEST_TIMES[*]/#/ }")
    echo "$TEST_PASSED passed, $TEST_FAILED failed"
    [ "$TEST_FAILED" -eq 0 ]
}

# count_failed NAME REASON
count_failed() {
    TEST_FAILED=$((TEST_FAILED + 1))
    TEST_FAILURES+=("$1: $2")
    echo "    not ok $1: $2"
}

# matches NAME: does the filter let it through?
matches() {
    local part
    [ ${#TEST_FILTER[@]} -gt 0 ] || return 0
    for part in "${TEST_FILTER[@]}"; do
        [[ $1 != *"$part"* ]] || return 0
    done
    return 1
}

# run_script_tests FAMILY: one line for each script, its failures below.
run_script_tests() {
    local script name
    for script in "$ROOT/tests/$1"/*.sh; do
        name=$1/$(basename "$script" .sh)
        [ -f "$script" ] && matches "$name" || continue
        run_script "$script" "$name"
    done
}

# run_script SCRIPT NAME
run_script() {
    local script=$1 name=$2 start log status limit passed line
    start=$(now_ms)
    log=$BUILD/logs/test-${name//\//-}.log
    limit=$(sed -n 's/^# timeout: \([0-9][0-9]*\)$/\1/p' "$script" | head -n 1)
    timeout -k 10 "${limit:-$TEST_TIMEOUT}" bash "$script" </dev/null >"$log" 2>&1
    status=$?
    passed=$(grep -c '^ok ' "$log")
    TEST_PASSED=$((TEST_PASSED + passed))
    echo "$name: $passed ok, $(seconds_since "$start") s"
    while IFS= read -r line; do
        line=${line#not ok }
        count_failed "$name ${line%%: *}" "${line#*: }"
    done < <(grep '^not ok ' "$log")
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        count_failed "$name" "did not end within ${limit:-$TEST_TIMEOUT} s; output in $log"
    elif [ "$status" -ne 0 ] && ! grep -q '^not ok ' "$log"; then
        count_failed "$name" "ended with status $status; output in $log"
    elif ! grep -qE '^(not )?ok ' "$log"; then
        count_failed "$name" "reported no case; output in $log"
    fi
}

# run_host_tests: CTest runs the programs; the cases are cmocka's. A program that dies counts as one failed case.
run_host_tests() {
    local log=$BUILD/logs/test-host.log pattern='' program part
    local -a failed_programs
    build_targets host_tests || count_failed host "a host test does not build; see $BUILD/logs/build.log"
    for part in ${TEST_FILTER[@]+"${TEST_FILTER[@]}"}; do
        pattern+="${pattern:+|}${part#host/}"
    done
    (cd "$BUILD" && ctest -L host -V -j "$(nproc)" -R "${pattern:-.}") >"$log" 2>&1
    part=$(grep -c '^[0-9]*: \[       OK \]' "$log")
    TEST_PASSED=$((TEST_PASSED + part))
    sed -nE 's,^ *[0-9]+/[0-9]+ Test +#[0-9]+: ([^ ]+) [. *]*([A-Z][A-Za-z ]*[a-z]) +([0-9.]+) sec.*,host/\1: \L\2\E\, \3 s,p' "$log"
    echo "host: $part ok"
    while IFS= read -r program; do
        count_failed "host/$program" "see $log"
    done < <(sed -nE 's/^[0-9]+: \[  FAILED  \] ([A-Za-z_0-9]+)$/\1/p' "$log" | sort -u)
    mapfile -t failed_programs < <(
        sed -nE '/The following tests FAILED/,$s/^[[:space:]]+[0-9]+ - ([^ ]+) \(([^)]*)\).*/\1 \2/p' "$log")
    for program in ${failed_programs[@]+"${failed_programs[@]}"}; do
        case $program in
        *' Failed') died_without_case "${program% *}" "$log" || continue ;;
        esac
        count_failed "host/${program%% *}" "${program#* }; see $log"
    done
}

# died_without_case PROGRAM LOG: true when PROGRAM failed without naming a failed case (a sanitizer stopped it).
died_without_case() {
    local number
    number=$(sed -nE "s/^ *[0-9]+\/[0-9]+ Test +#([0-9]+): $1 .*/\1/p" "$2" | head -n 1)
    ! grep -qE "^$number: \[  FAILED  \]" "$2"
}
