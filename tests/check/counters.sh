#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a taken probe counts, as it was compiled: words of its own CPU, each changed by one instruction that an interrupt
# or a move cannot cut in two, and without a lock prefix. Locked instructions are left to the pool's words.
. "$(dirname "$0")/../lib.sh"

IMAGE=$BUILD/kernel_pass1
[ -f "$IMAGE" ] || { "$ROOT/spillway" build >"$TMP/build.log" 2>&1 || { cat "$TMP/build.log"; exit 1; }; }
objdump -d --no-show-raw-insn -M intel "$IMAGE" >"$TMP/code"
body() { sed -n "/^[0-9a-f]* <$1>:$/,/^$/p" "$TMP/code"; }

for function in xstack_take xstack_give; do
    body "$function" >"$TMP/body"
    assert_at_least "$function is found" "$(wc -l <"$TMP/body")" 20
    assert_equal "$function: locked instructions" "$(grep -cE '\<lock\>|\<xchg\>.*\[' "$TMP/body")" 0
    # A word of the CPU that is loaded, changed and stored back would be two accesses: only adds are there, the probe's
    # base is stored, and what was seen of other CPUs is loaded.
    assert_equal "$function: stores to the CPU's area but for the base (gs:0x8)" \
        "$(grep -cE '\<mov +QWORD PTR gs:' <(grep -vF 'gs:0x8,' "$TMP/body"))" 0
done
assert_at_least "xstack_take counts on its own CPU" "$(body xstack_take | grep -cE '\<(add|sub|inc|dec) +QWORD PTR gs:')" 5
assert_at_least "xstack_give counts on its own CPU" "$(body xstack_give | grep -cE '\<(add|sub|inc|dec) +QWORD PTR gs:')" 2
if body xstack_pool_give | grep -q '\<lock\>'; then ok "the check can fail"; else not_ok "the check can fail" "it finds no lock"; fi
finish
