#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The linked image: no segment both writable and executable, a PVH note QEMU accepts, a sound table of symbols, debug
# information outside.
. "$(dirname "$0")/../lib.sh"
ELF=$BUILD/spillway.elf
if [ ! -f "$ELF" ]; then
    not_ok "there is an image" "$ELF does not exist"
    finish
fi

segments=$(readelf -lW "$ELF")
assert_equal "no segment is writable and executable" \
    "$(echo "$segments" | grep -cE '^ *(LOAD|TLS|GNU_STACK).* R?WE ')" 0
assert_equal "the PVH note's segment is aligned to 4" \
    "$(echo "$segments" | awk '$1 == "NOTE" { print $NF; exit }')" 0x4
assert_equal "the image holds no debug information" "$(readelf -SW "$ELF" | grep -c '\.debug_')" 0
assert_at_least "spillway.debug holds it" "$(readelf -SW "$BUILD/spillway.debug" | grep -c '\.debug_info')" 1
assert_equal "no instruction uses floating point or vector registers" \
    "$(objdump -d --no-show-raw-insn "$ELF" | grep -v fx | grep -cE '%(x|y|z)mm[0-9]')" 0

# The table of symbols (tools/ksyms.sh has the format), cut out of whatever section the linker script puts it in.
address() { echo $((16#$(nm "$ELF" | awk -v name="$1" '$3 == name { print $1 }'))); }
start=$(address ksyms_start)
size=$(($(address ksyms_end) - start))
while read -r base offset bytes; do
    if [ $((16#$base)) -le "$start" ] && [ "$start" -lt $((16#$base + 16#$bytes)) ]; then
        tail -c +$((start - 16#$base + 16#$offset + 1)) "$ELF" | head -c "$size" >"$TMP/table"
    fi
done < <(readelf -SW "$ELF" | sed 's/^ *\[ *[0-9]*\] *//' | awk '$2 == "PROGBITS" { print $3, $4, $5 }')
count=$(od -An -tu4 -N4 "$TMP/table" | tr -d ' ')
assert_at_least "the table of symbols is there" "$count" 1

od -An -v -tu4 -w8 -j4 -N$((8 * count)) "$TMP/table" | awk '{ print $1 }' >"$TMP/offsets"
if sort -n -c "$TMP/offsets"; then ok "the table is sorted"; else not_ok "the table is sorted"; fi
# Each line: address - KERNEL_BASE (0xffffffff80000000), name. nm must know it.
tail -c +$((4 + 8 * count + 1)) "$TMP/table" | tr '\0' '\n' | paste -d' ' "$TMP/offsets" - | sort >"$TMP/got"
nm "$ELF" | while read -r at _ name; do
    echo "$((16#$at - 16#ffffffff80000000)) $name"
done | sort >"$TMP/known"
assert_equal "the table agrees with the image" "$(comm -23 "$TMP/got" "$TMP/known" | head -n 3)" ""
finish
