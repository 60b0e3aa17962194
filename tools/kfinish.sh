#!/bin/sh
# SPDX-License-Identifier: MIT
# kfinish.sh PASS1 ELF DEBUG: last steps of the kernel's link. Fails when a symbol of ELF has another address than
# in PASS1 (the table of symbols would lie); then moves the debug information of ELF to the file DEBUG.
set -eu
export LC_ALL=C
pass1=$1
elf=$2
debug=$3

nm -n "$pass1" > "$elf.nm1"
nm -n "$elf" > "$elf.nm2"
if ! cmp -s "$elf.nm1" "$elf.nm2"; then
    echo "kfinish: addresses moved between the last two links; the symbol table would be wrong:" >&2
    diff "$elf.nm1" "$elf.nm2" | head -n 10 >&2
    rm -f "$elf"
    exit 1
fi
rm -f "$elf.nm1" "$elf.nm2"

objcopy --only-keep-debug "$elf" "$debug"
objcopy --strip-debug --add-gnu-debuglink="$debug" "$elf"
