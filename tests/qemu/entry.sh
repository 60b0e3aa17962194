# SPDX-License-Identifier: MIT
# System calls of a program whose stack pointer is nonsense, and interrupts meanwhile (tests/qemu/apps/entry.c). What the
# kernel itself shows of entry is in tests/guest/entry.c and iretq.c (tests/qemu/guest.sh, smp.sh).
# shellcheck shell=bash
. "$(dirname "$0")/../lib.sh"

build_app "$ROOT/tests/qemu/apps/entry.c" "$TMP/entry" || not_ok "entry builds"
for cpus in 1 2; do
    GUEST_TIMEOUT=60 run_guest --app "$TMP/entry" -c $cpus
    assert_status "system calls without a stack, $cpus CPUs" 0
    assert_matches "calls were made, and nothing was written, $cpus CPUs" '^entry: 2000 calls on 12 stack pointers, 0 wrong, 0 bytes'
done
for grow in fault prefill; do
    GUEST_TIMEOUT=60 run_guest --app "$TMP/entry" --append "stack.grow=$grow"
    assert_status "system calls without a stack, stack.grow=$grow" 0
done
finish
