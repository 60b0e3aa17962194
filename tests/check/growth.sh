#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The path of a growth fault, as it was compiled: from the exception's entry to the iretq there is no locked
# instruction, no exchange with memory, no wait, and no call that leads to one.
. "$(dirname "$0")/../lib.sh"

. "$(dirname "$0")/../code.sh"

# forbidden: reads instructions; prints those that lock the bus, exchange with memory, wait or let interrupts in.
# `lock` is also implied by xchg with memory.
forbidden() {
    grep -E '\<lock\>|\<(cmpxchg|xadd)[0-9a-z]*\>|\<xchg\>.*\[|\<(pause|hlt|monitor|mwait|sti|mfence|lfence|sfence|cpuid|wbinvd|rep)\>|\<call +(QWORD|r[a-z0-9]+)'
}

fault_path() { closure "$1" stack_grow_fault; }

functions=$(fault_path "$TMP/code")
echo "functions: $functions"
if [ -n "$(body stack_grow_fault "$TMP/code")" ]; then ok "the fault path is found"; else not_ok "the fault path is found" "no stack_grow_fault"; fi
for name in $functions; do
    body "$name" "$TMP/code" | forbidden | sed "s/^/$name: /"
done >"$TMP/found"
if [ -s "$TMP/found" ]; then
    not_ok "no lock, no wait in the fault path" "$(wc -l <"$TMP/found") instructions"
    cat "$TMP/found"
else
    ok "no lock, no wait in the fault path"
fi
case $functions in
*spin_* | *mutex* | *page_alloc* | *page_try* | *thread_* | *panic* | *assertion*)
    not_ok "it calls no lock, no allocator, no scheduler" "$functions" ;;
*) ok "it calls no lock, no allocator, no scheduler" ;;
esac

# Around it: the entry, x86_exception up to the call through arch_upcalls, and the way back.
for name in exception_entry arch_restore_frame; do
    if body "$name" "$TMP/code" | grep -v 'sti' | forbidden | grep -v '\<rep\>' | grep -q .; then
        not_ok "$name has none either" "$(body "$name" "$TMP/code" | forbidden | head -n 1)"
    else
        ok "$name has none either"
    fi
done
body x86_exception "$TMP/code" | sed -n '1,/\<call +*QWORD\|call   QWORD/p' >"$TMP/head"
if grep -qE 'call +QWORD' "$TMP/head" && [ -z "$(forbidden <"$TMP/head" | grep -vE 'call +QWORD')" ]; then
    ok "x86_exception has none before it calls the runtime"
else
    not_ok "x86_exception has none before it calls the runtime" "$(forbidden <"$TMP/head" | head -n 3)"
fi

# The check can fail: the reclaimer's code has all of it, and so has whoever takes a spin lock.
if body spin_lock "$TMP/code" | forbidden | grep -q . &&
    for name in $(closure "$TMP/code" stack_grow_reclaim); do body "$name" "$TMP/code"; done | forbidden | grep -q cmpxchg; then
    ok "the check can fail"
else
    not_ok "the check can fail" "it finds nothing in spin_lock"
fi
finish
