# SPDX-License-Identifier: MIT
# The Debian packages that Spillway needs, and their installation.
# shellcheck shell=bash

# PACKAGE WITNESS: the package counts as present when the witness, a command or a file, is there.
PACKAGES='
cmake            cmake
ninja-build      ninja
gcc              gcc
binutils         objcopy
libc6-dev        /usr/include/stdlib.h
linux-libc-dev   /usr/include/linux/loop.h
nasm             nasm
musl-tools       musl-gcc
qemu-system-x86  qemu-system-x86_64
grub-common      grub-mkimage
grub-pc-bin      /usr/lib/grub/i386-pc/multiboot2.mod
grub-efi-amd64-bin /usr/lib/grub/x86_64-efi/multiboot2.mod
ovmf             /usr/share/OVMF/OVMF_CODE_4M.fd
xorriso          xorriso
mtools           mformat
e2fsprogs        mke2fs
fdisk            sfdisk
libcmocka-dev    /usr/include/cmocka.h
busybox-static   dpkg
qemu-utils       qemu-img
gdb              gdb
'

help_setup() {
    cat <<'TEXT'
usage: ./spillway setup

Installs the Debian packages that are missing. Without root, or without apt-get, it prints the command that would
and exits with 1. The other commands call it when something is missing.
TEXT
}

missing_packages() {
    local package witness
    while read -r package witness; do
        case $witness in
        '') ;;
        dpkg) dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || echo "$package" ;;
        /*) [ -e "$witness" ] || echo "$package" ;;
        *) have "$witness" || echo "$package" ;;
        esac
    done <<<"$PACKAGES"
}

command_setup() {
    [ $# -eq 0 ] || die 2 "setup takes no arguments"
    local missing
    missing=$(missing_packages)
    if [ -z "$missing" ]; then
        note "every package that is needed is installed"
        return 0
    fi
    install_packages "$missing" || exit 1
}

# need_packages: what every other command calls first; ends it when packages are missing and cannot be installed.
need_packages() {
    local missing
    missing=$(missing_packages)
    [ -z "$missing" ] || install_packages "$missing" || exit "${1:-1}"
}

install_packages() {
    local list log
    list=$(echo "$1" | tr '\n' ' ')
    list=${list% }
    if [ "$(id -u)" -ne 0 ] || ! have apt-get; then
        note "these Debian packages are missing; as root, run:"
        echo "apt-get update && apt-get install -y --no-install-recommends $list"
        return 1
    fi
    log=$(mktemp) || return 1
    note "installing $(echo "$1" | wc -l) packages (some minutes, the first time): $list"
    # shellcheck disable=SC2086
    if ! apt_get update >"$log" 2>&1 || ! apt_get install --no-install-recommends $list >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        note "apt-get failed; its output is in $log"
        return 1
    fi
    rm -f "$log"
    list=$(missing_packages | tr '\n' ' ')
    [ -z "$list" ] || { note "still missing after the installation: $list"; return 1; }
    note "packages installed"
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 "$@" </dev/null
}
