# SPDX-License-Identifier: MIT
# Every kind of stack, hit on both sides and overflowed by running on it (tests/guest/deaths_stacks.c): the report names
# the stack, the side and the distance, and the status is the contract's. The names are those of Linux's lkdtm tests.
# shellcheck shell=bash
# timeout: 600
. "$(dirname "$0")/../lib.sh"

build_variant guest-tests

# dies NAME STATUS APPEND CPUS TEXT...: the guest case NAME ends with STATUS, and every TEXT stands in its report.
dies() {
    local name=$1 status=$2 append=$3 cpus=$4 text missing=
    wanted "$name" || return 0
    shift 4
    GUEST_TIMEOUT=60 run_guest --append "app=$name $append" -c "$cpus"
    for text; do
        grep -qaF -- "$text" "$OUT" || missing=$text
    done
    if [ "$STATUS" != "$status" ]; then
        not_ok_out "$name ${append:-}" "status $STATUS, expected $status"
    elif [ -n "$missing" ]; then
        not_ok_out "$name ${append:-}" "the report lacks: $missing"
    elif ! tail -n 1 "$OUT" | grep -q "^spillway: exit=$status app=$name total="; then
        not_ok_out "$name ${append:-}" "the last line is not the contract's"
    else
        ok "$name${append:+ with $append}"
    fi
}

# both_sides KIND LABEL [CPUS]
both_sides() {
    dies "STACK_GUARD_PAGE_LEADING-$1" 200 '' "${3:-1}" 'GUARD HIT: stack overflow: write' ", 1 bytes below the $2 stack"
    dies "STACK_GUARD_PAGE_TRAILING-$1" 200 '' "${3:-1}" 'GUARD HIT: stack underflow: write' ", 1 bytes above the $2 stack"
}

# overflows KIND LABEL [CPUS]
overflows() {
    dies "overflow-$1" 200 '' "${3:-1}" 'GUARD HIT: stack overflow: write' "below the $2 stack"
}

both_sides home home
both_sides extra extra
both_sides private private
both_sides irq interrupt
both_sides report report
both_sides ist-page-fault 'page fault'
both_sides ist-double-fault 'double fault'
both_sides ist-nmi NMI
both_sides ist-machine-check '#MC'
both_sides ist-exception exception
both_sides ist-debug debug
both_sides boot boot
both_sides ap-idle idle 2
both_sides own-static 'own static'
both_sides own-mapped 'own mapped'
dies STACK_GUARD_PAGE_LEADING-buffer 200 '' 1 'GUARD HIT: buffer overflow: write' ', 1 bytes below the guarded buffer'
dies STACK_GUARD_PAGE_TRAILING-buffer 200 '' 1 'GUARD HIT: buffer underflow: write' ', 1 bytes above the guarded buffer'
dies STACK_GUARD_PAGE_TRAILING-aligned-buffer 200 '' 1 'GUARD HIT: buffer underflow: write' ', 1 bytes above the guarded buffer'

overflows extra extra
overflows private private
overflows irq interrupt
overflows report report
overflows ist-page-fault 'page fault'
overflows ist-double-fault 'double fault'
overflows ist-nmi NMI
overflows ist-machine-check '#MC'
overflows ist-exception exception
overflows ist-debug debug
overflows boot boot
overflows ap-idle idle 2
overflows own-static 'own static'
overflows own-mapped 'own mapped'

dies overflow-inside-report 202 '' 1 'PANIC: a fault inside a report'
dies overflow-plain 202 '' 1 '"plain-below" wrote beyond an end of its plain stack'
dies underflow-plain 202 '' 1 '"plain-above" wrote beyond an end of its plain stack'
dies touch-freed 200 '' 1 'GUARD HIT: freed stack: write' 'where the own mapped stack was' 'last owner: thread ' '"the-last-guest"'
dies double-fault 202 '' 1 'PANIC: double fault, vector 8' 'double_fault+0x'

for grow in fault prefill; do
    dies overflow-home 200 "stack.grow=$grow" 1 'GUARD HIT: stack overflow' 'below the home stack' '"init"' 'go_deeper+0x'
    dies overflow-in-thread 200 "stack.grow=$grow" 1 'GUARD HIT: stack overflow' '"digger"'
    dies STACK_GUARD_PAGE_LEADING-home 200 "stack.grow=$grow" 1 ', 1 bytes below the home stack'
    dies STACK_GUARD_PAGE_TRAILING-home 200 "stack.grow=$grow" 1 ', 1 bytes above the home stack'
    dies overflow-own-static 200 "stack.grow=$grow" 1 'GUARD HIT: stack overflow' 'below the own static stack'
    dies STACK_GUARD_PAGE_TRAILING-own-mapped 200 "stack.grow=$grow" 1 ', 1 bytes above the own mapped stack'
    dies overflow-plain 202 "stack.grow=$grow" 1 '"plain-below" wrote beyond an end of its plain stack'
    dies overflow-extra 200 "stack.grow=$grow" 1 'GUARD HIT: stack overflow' 'below the extra stack'
done
dies double-fault-in-growth 202 stack.grow=fault 1 'PANIC: double fault, vector 8' 'double_fault_in_growth+0x'
dies grow-another 202 stack.grow=fault 1 'kernel page fault: write' '(a page that a stack does not have)' '"trespasser"'
finish
