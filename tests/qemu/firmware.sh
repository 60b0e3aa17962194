# SPDX-License-Identifier: MIT
# The firmware: one ISO boots by BIOS and by UEFI, from a CD and from a disk that it was copied to; its size; little
# memory; the same statuses, rights of pages and processors by UEFI; PCs without the old timer and interrupt controller.
# shellcheck shell=bash
# timeout: 600
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../firmware.sh"

cd "$TMP" || exit 1

# The ISO.
"$ROOT/spillway" iso -o nestio.iso >iso.log 2>&1
assert_equal 'an ISO with nestio is made' "$?" 0
bytes=$(stat -c %s nestio.iso)
assert_equal 'its size is told' "$(sed -n 's/.* made .*, \([0-9]*\) bytes$/\1/p' iso.log)" "$bytes"
assert_equal "it has 5 MB or less: $bytes bytes" $((bytes <= 5000000)) 1
catalog=$(xorriso -indev nestio.iso -report_el_torito plain 2>/dev/null)
assert_equal 'its catalogue has an image for BIOS and one for UEFI' \
    "$(awk '/boot img : / { print $7 }' <<<"$catalog" | tr '\n' ' ')" 'BIOS UEFI '
mcopy -i "nestio.iso@@$(awk '/UEFI/ { print $NF * 2048 }' <<<"$catalog")" ::/EFI/BOOT/BOOTX64.EFI bootx64.efi
assert_equal 'UEFI finds its program at the agreed place' "$(head -c 2 bootx64.efi)" MZ

# The same file by both firmwares, as a CD and as a disk; another ISO on a second drive does not confuse GRUB.
"$ROOT/spillway" iso -o hello.iso --app "$APPS/hello" -- from here >iso.log 2>&1
"$ROOT/spillway" iso -o other.iso --app "$APPS/hello" -- wrong one >iso.log 2>&1
truncate -s 8M disk.img
dd if=hello.iso of=disk.img conv=notrunc status=none
# boots LABEL QEMU_ARGS...
boots() {
    local label=$1
    shift
    timeout 120 qemu-system-x86_64 -machine q35 -accel tcg -cpu max -m 128M -nodefaults -display none -no-reboot \
        -device isa-debug-exit,iobase=0xf4,iosize=4 -serial stdio "$@" </dev/null 2>&1 | tr -d '\r' >"$OUT"
    if grep -qa '^spillway: exit=0 app=hello ' "$OUT" && grep -qaF "argv[1] = 'from'" "$OUT"; then
        ok "$label"
    else
        not_ok_out "$label" 'it did not boot'
    fi
}
other=(-drive if=none,id=other,format=raw,readonly=on,file=other.iso -device "ide-cd,drive=other,bus=ide.5")
boots 'BIOS, from a CD' -cdrom hello.iso "${other[@]}" -boot d
boots 'BIOS, from a disk' -drive file=disk.img,format=raw,if=ide "${other[@]}" -boot c
uefi_drives
boots 'UEFI, from a CD' "${UEFI[@]}" -cdrom hello.iso "${other[@]}"
uefi_drives
boots 'UEFI, from a disk' "${UEFI[@]}" -drive if=none,id=disk,format=raw,file=disk.img \
    -device ide-hd,drive=disk,bus=ide.0,bootindex=0 "${other[@]}"
uefi_drives
boots 'UEFI, from a virtio disk, two processors' "${UEFI[@]}" -smp 2 -drive file=disk.img,format=raw,if=virtio
assert_contains 'UEFI: both processors run' 'CPUs in use: 2'

# Little memory.
for boot in kernel iso; do
    run_guest "--$boot" -m 16M --app "$APPS/hello"
    assert_status "hello in 16M, --$boot" 0
    GUEST_TIMEOUT=200 run_guest "--$boot" -m 64M -- --levels 6 --ops 2000
    assert_status "nestio with six levels in 64M, --$boot" 0
    assert_contains "nestio with six levels in 64M, --$boot: all good" 'verdict: all good: 2000 operations in 7 levels'
done

# By UEFI: the main job, and every kind of end.
GUEST_TIMEOUT=200 run_guest --uefi -m 64M -- --levels 6 --ops 2000
assert_status 'UEFI: nestio with six levels in 64M' 0
assert_contains 'UEFI: nestio is all good' 'verdict: all good: 2000 operations in 7 levels'
assert_equal 'UEFI: no copy of its variables is left' "$(find "$BUILD/run" -name '*.vars')" ''
cat >ends.c <<'C'
#include <stdlib.h>
int main(int argc, char **argv)
{
    if (argc < 2)
        *(volatile char *)0 = 1;
    return atoi(argv[1]);
}
C
build_app ends.c ends
run_guest --uefi --app ends -- 42
assert_status "UEFI: the program's own status" 42
run_guest --uefi --app ends
assert_status 'UEFI: a crash' 204
run_guest --uefi --app ends --append stack.extr=1
assert_status 'UEFI: a bad boot line' 203

# Timers and controllers that newer PCs lack.
rate() { sed -n 's/.* clock: \([0-9]*\) kHz, measured with .*/\1/p' "$OUT"; }
run_guest --app "$APPS/hello" --append log=debug
assert_contains 'the interval timer is used' 'measured with the interval timer'
usual=$(rate)
for lacking in pit=off,hpet=off pit=off,hpet=off,pic=off; do
    run_guest --app "$APPS/tests/clock" --append log=debug --qemu "-machine q35,$lacking"
    assert_status "clocks without what is off: $lacking" 0
    assert_contains "the ACPI timer is used: $lacking" 'measured with the ACPI timer'
    measured=$(rate)
    assert_equal "both give the same rate, within a twentieth: $usual and $measured kHz" \
        $((${usual:-0} > 0 && ${measured:-0} * 20 > ${usual:-0} * 19 && ${measured:-0} * 20 < ${usual:-0} * 21)) 1
done

# What must die dies by UEFI too: rights of pages, guards.
build_variant guest-tests
for case in write-xor-execute:0 text-write:202 data-execute:202 overflow-home:200; do
    run_guest --uefi --append "app=${case%:*}"
    assert_status "UEFI: ${case%:*}" "${case#*:}"
done
finish
