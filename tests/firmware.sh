# SPDX-License-Identifier: MIT
# For the tests that start QEMU with a firmware of their own choice.
# shellcheck shell=bash

# uefi_drives: fills the array UEFI with OVMF and a fresh copy of its variables.
uefi_drives() {
    cp /usr/share/OVMF/OVMF_VARS_4M.fd "$TMP/vars.fd"
    UEFI=(-drive if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd
        -drive "if=pflash,unit=1,format=raw,file=$TMP/vars.fd")
}

# iso_with_mode ISO OUTPUT MODE: the same ISO, with GRUB told to set the screen to MODE (1024x768x32).
iso_with_mode() {
    local stamp
    stamp=$(dd if="$1" bs=1 skip=$((16 * 2048 + 830)) count=16 status=none)
    rm -f "$2" "$TMP/grub.cfg"
    xorriso -osirrox on -indev "$1" -extract /boot/grub/grub.cfg "$TMP/grub.cfg" >"$TMP/xorriso.log" 2>&1
    chmod u+w "$TMP/grub.cfg"
    sed -i "s/^    boot\$/    set gfxpayload=$3\n&/" "$TMP/grub.cfg"
    xorriso -indev "$1" -outdev "$2" -boot_image any replay -volume_date uuid "$stamp" \
        -map "$TMP/grub.cfg" /boot/grub/grub.cfg >"$TMP/xorriso.log" 2>&1 || cat "$TMP/xorriso.log"
}
