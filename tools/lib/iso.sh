# SPDX-License-Identifier: MIT
# The iso command: an ISO for BIOS and UEFI, as a CD and as a disk, from GRUB, the image, and the app as a multiboot2
# module. GRUB is one file for each firmware, with the modules it needs inside, so that nothing else of it is on the ISO.
# Sources: the GNU GRUB manual, "Making a GRUB bootable CD-ROM"; xorriso's manual, "mkisofs -as: bootable ISO images".
# shellcheck shell=bash

GRUB_FOLDER=/usr/lib/grub
GRUB_MODULES='normal multiboot2 boot serial terminal iso9660 part_msdos part_gpt search_fs_uuid echo halt test'
NESTIO_DEFAULT_ARGS=(--levels 6 --threads 4 --ops 20000)

help_iso() {
    cat <<'TEXT'
usage: ./spillway iso [-o FILE] [--app ELF] [--append 'PARAMS'] [-- APP ARGS]

Makes an ISO that boots by BIOS and by UEFI, from a CD or written to a disk (default: build/spillway.iso).
  -o FILE             where to write it
  --app ELF           a static Linux program; it becomes /app/NAME in the guest (default: nestio)
  --append 'PARAMS'   boot parameters, such as 'stack.extra=8 mount=/dev/vda:/m'; may be repeated
  -- APP ARGS         the app's arguments
TEXT
}

command_iso() {
    USAGE_STATUS=2
    local output=$BUILD/spillway.iso app='' append='' given=0
    while [ $# -gt 0 ]; do
        case $1 in
        -o) option_value "$1" $#; output=$2; shift ;;
        --app) option_value "$1" $#; app=$2; shift ;;
        --append) option_value "$1" $#; append+=" $2"; shift ;;
        --) shift; given=1; break ;;
        *) die 2 "iso: unknown option '$1'" ;;
        esac
        shift
    done
    [ -z "$app" ] || check_app "$app"
    build_for_run
    if [ -z "$app" ] && [[ " $append " != *" app="* ]]; then
        app=$BUILD/apps/nestio
        check_app "$app"
        [ "$given" -eq 1 ] || set -- "${NESTIO_DEFAULT_ARGS[@]}"
    fi
    boot_words "$append" "$app" "$@"
    make_iso "$output" "$app" ${BOOT_WORDS[@]+"${BOOT_WORDS[@]}"} || exit 1
    note "made $output, $(stat -c %s -- "$output") bytes"
}

# make_iso OUTPUT APP WORD...: APP may be empty; the words are the boot line.
make_iso() {
    local output=$1 app=$2 stage params module=''
    shift 2
    mkdir -p "$BUILD/tmp" && stage=$(mktemp -d "$BUILD/tmp/iso.XXXXXX") || return 1
    mkdir -p "$stage/tree/boot/grub"
    cp -- "$BUILD/spillway.elf" "$stage/tree/boot/spillway.elf" || return 1
    if [ -n "$app" ]; then
        cp -- "$app" "$stage/tree/boot/app" || return 1
        module="module2 /boot/app $(grub_word "/app/$(basename -- "$app")")"
    fi
    params=$(join_words grub_word "$@")
    grub_cfg "$params" "$module" >"$stage/tree/boot/grub/grub.cfg"
    if ! pack_iso "$stage" >"$stage/log" 2>&1 || [ ! -s "$stage/out.iso" ]; then
        tail -n 20 "$stage/log" >&2
        note "the ISO could not be made"
        rm -rf -- "$stage"
        return 1
    fi
    if ! mv -f -- "$stage/out.iso" "$output"; then
        note "cannot write $output"
        rm -rf -- "$stage"
        return 1
    fi
    rm -rf -- "$stage"
}

# pack_iso STAGE: STAGE/out.iso from STAGE/tree. By the ISO's date, given to the hundredth of a second, GRUB finds it
# among all disks.
pack_iso() {
    local stage=$1 stamp sectors grub=$1/tree/boot/grub
    stamp=$(date -u +%Y%m%d%H%M%S%2N)
    echo "search.fs_uuid $(sed -E 's/(....)(..)(..)(..)(..)(..)(..)/\1-\2-\3-\4-\5-\6-\7/' <<<"$stamp") root" >"$stage/load.cfg"
    # shellcheck disable=SC2016
    echo 'set prefix=($root)/boot/grub' >>"$stage/load.cfg"
    # shellcheck disable=SC2086
    grub-mkimage -O i386-pc-eltorito -d "$GRUB_FOLDER/i386-pc" -o "$grub/bios.img" -c "$stage/load.cfg" -p /boot/grub \
        biosdisk $GRUB_MODULES || return 1
    # shellcheck disable=SC2086
    grub-mkimage -O x86_64-efi -d "$GRUB_FOLDER/x86_64-efi" -o "$stage/bootx64.efi" -c "$stage/load.cfg" -p /boot/grub \
        efi_gop $GRUB_MODULES || return 1

    # What UEFI starts lies in a FAT of its own, whole tracks of 64 sectors, with room for its tables.
    sectors=$((($(stat -c %s "$stage/bootx64.efi") / 512 + 127) / 64 * 64 + 64))
    mformat -C -i "$grub/efi.img" -T "$sectors" -h 2 -s 32 -v SPILLWAY :: &&
        mmd -i "$grub/efi.img" ::/EFI ::/EFI/BOOT &&
        mcopy -i "$grub/efi.img" "$stage/bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI || return 1

    xorriso -as mkisofs -o "$stage/out.iso" -r -V SPILLWAY --modification-date="$stamp" \
        -b boot/grub/bios.img -no-emul-boot -boot-load-size 4 -boot-info-table --grub2-boot-info \
        --grub2-mbr "$GRUB_FOLDER/i386-pc/boot_hybrid.img" --protective-msdos-label \
        --efi-boot boot/grub/efi.img -efi-boot-part --efi-boot-image "$stage/tree"
}

# grub_cfg PARAMS MODULE: iso/grub.cfg.in with its two places filled.
grub_cfg() {
    local line
    while IFS= read -r line; do
        case $line in
        *@PARAMS@*) printf '%s\n' "${line%%@PARAMS@*}$1${line#*@PARAMS@}" ;;
        *@MODULE@*) [ -z "$2" ] || printf '%s\n' "${line%%@MODULE@*}$2" ;;
        *) printf '%s\n' "$line" ;;
        esac
    done <"$ROOT/iso/grub.cfg.in"
}
