# SPDX-License-Identifier: MIT
# The iso command: a BIOS ISO from GRUB, the image, and the app as a multiboot2 module.
# shellcheck shell=bash

GRUB_FOLDER=/usr/lib/grub/i386-pc
GRUB_MODULES='normal multiboot2 serial terminal iso9660 part_msdos part_gpt fat echo halt test'
NESTIO_DEFAULT_ARGS=(--levels 6 --threads 4 --ops 20000)

help_iso() {
    cat <<'TEXT'
usage: ./spillway iso [-o FILE] [--app ELF] [--append 'PARAMS'] [-- APP ARGS]

Makes an ISO that boots from a PC's BIOS (default: build/spillway.iso).
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
        --uefi) die 2 "--uefi is not in this version" ;;
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
    if ! grub-mkrescue -d "$GRUB_FOLDER" -o "$stage/out.iso" --install-modules="$GRUB_MODULES" \
            --locales= --fonts= --themes= "$stage/tree" >"$stage/log" 2>&1 ||
        [ ! -s "$stage/out.iso" ]; then
        tail -n 20 "$stage/log" >&2
        note "grub-mkrescue failed"
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
