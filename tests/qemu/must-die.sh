# SPDX-License-Identifier: MIT
# What must die (tests/guest/deaths.c): the report names the cause, and the status is the contract's.
# shellcheck shell=bash
# timeout: 400
. "$(dirname "$0")/../lib.sh"

build_variant guest-tests
truncate -s 1M "$TMP/disk.img"

# dies NAME STATUS TEXT...: the guest case NAME ends with STATUS, and every TEXT stands in its report.
dies() {
    local name=$1 status=$2 text missing=
    wanted "$name" || return 0
    shift 2
    GUEST_TIMEOUT=30 run_guest --append "app=$name" --disk "$TMP/disk.img"
    for text; do
        grep -qaF -- "$text" "$OUT" || missing=$text
    done
    if [ "$STATUS" != "$status" ]; then
        not_ok_out "$name" "status $STATUS, expected $status"
    elif [ -n "$missing" ]; then
        not_ok_out "$name" "the report lacks: $missing"
    elif ! tail -n 1 "$OUT" | grep -q "^spillway: exit=$status app=$name total="; then
        not_ok_out "$name" "the last line is not the contract's"
    else
        ok "$name"
    fi
}

dies overflow-home 200 'GUARD HIT: stack overflow' 'below the home stack' '"init"' 'go_deeper+0x' \
    'init_run+0x'
dies overflow-in-thread 200 'GUARD HIT: stack overflow' 'below the home stack' '"digger"' 'overflow_in_thread_run+0x'
dies guard-leading 200 'GUARD HIT: stack overflow: write' ', 1 bytes below the home stack' 'guard_leading+0x'
dies guard-trailing 200 'GUARD HIT: stack underflow: write' ', 1 bytes above the home stack' 'guard_trailing+0x'
dies guard-extra 200 'GUARD HIT: stack overflow: write' ', 8 bytes below the extra stack' 'probe: vfs_read' \
    'taken at probe vfs_read' '  on home stack' 'guard_extra+0x'
dies guard-irq 200 'GUARD HIT: stack underflow: write' 'above the interrupt stack'
dies null-read 202 'PANIC: kernel page fault: read at 0000000000000008 (null pointer)' 'null_read+0x'
dies null-call 202 'PANIC: kernel page fault: read' '(null pointer)' 'null_call+0x'
dies text-write 202 'PANIC: kernel page fault: write' 'text_write+0x'
dies text-alias-write 202 'PANIC: kernel page fault: write' 'text_alias_write+0x'
dies const-write 202 'PANIC: kernel page fault: write' 'const_write+0x'
dies data-execute 202 'PANIC: kernel page fault: fetch' 'data_execute+0x'
dies assertion 202 'PANIC: ' 'assertion failed: sink == 12345 (a case that must die)' 'assertion+0x'
dies panic 202 'PANIC: value 42, name forty-two' 'plain_panic+0x'
dies undefined-instruction 202 'PANIC: exception, vector 6' 'undefined_instruction+0x'
dies divide-by-zero 202 'PANIC: exception, vector 0' 'divide_by_zero+0x'
dies sleep-under-spinlock 202 'thread_block may sleep, but was called with a spin lock held' 'sleep_under_spinlock+0x'
dies sleep-in-interrupt 202 'thread_block may sleep, but was called from an interrupt'
dies probe-in-interrupt 202 'no probe with interrupts off or a spin lock held'
dies double-give 202 'assertion failed' 'who gives a stack back holds it' 'double_give+0x'
dies probe-under-spinlock 202 'no probe with interrupts off or a spin lock held' 'probe_under_spinlock+0x'
dies recursive-mutex 202 'a mutex is not recursive' 'recursive_mutex+0x'
dies device-buffer-on-stack 202 'assertion failed' 'stack' 'device_buffer_on_stack+0x'
dies double-free 202 'free of an object that is in use' 'double_free+0x'
finish
