# SPDX-License-Identifier: MIT
# The run command: boots the image in QEMU, shows the console as it comes, and ends with the guest's status.
# shellcheck shell=bash

RUN_TIMEOUT=600
RUN_MEMORY=256M
RUN_CPUS=1
OVMF_FOLDER=/usr/share/OVMF

help_run() {
    cat <<'TEXT'
usage: ./spillway run [OPTIONS] [-- APP ARGS]

Boots the image in QEMU. Without --app it makes a tower of nested ext2 images, as deep as --levels in APP ARGS says,
and runs nestio on it from an ISO; the default APP ARGS are: --levels 6 --threads 4 --ops 20000.
  --app ELF           a static Linux program to run; it becomes /app/NAME in the guest
  --disk FILE[,ro]    a raw or qcow2 disk, written in place: /dev/vda, the next /dev/vdb, ...
  --append 'PARAMS'   boot parameters, such as 'stack.extra=8 mount=/dev/vda:/m'; may be repeated
                      (app=PATH here, without --app, runs a program of a mounted filesystem)
  -m MEM              memory, such as 64M or 1G (default 256M)
  -c CPUS             processors, 1 to 64 (default 1)
  --iso, --kernel     boot from an ISO through GRUB (default without --app), or directly (default with --app)
  --uefi              boot the ISO by UEFI instead of BIOS; from 64M of memory on
  --timeout S         end the machine after S seconds (default 600)
  --qemu 'ARGS'       more arguments for QEMU
  --stats FILE        a sample of the extra stacks every second (stats=MS in PARAMS: every MS ms), as JSON lines
  --sweep NAME=A..B   one run for each value of a boot parameter (or NAME=A,B,...), such as stack.extra=0..8, and a table
                      of refusals, switches and time; what the runs write to disks is thrown away
  --dry-run           print the QEMU command and do nothing

Exit status: the app's own, 0 to 123 (123 for anything above); 124 timeout; 125 set-up trouble; 200 guard page hit;
201 proven bound exceeded; 202 panic, or death without a last line; 203 bad boot line; 204 the app crashed.
stdin is the guest's console. On a terminal Ctrl-C ends the app (SIGINT: 204 unless it has a handler) and Ctrl-A x
the machine (130); elsewhere, Ctrl-C of the script ends the machine with status 130. What is piped in is typed, then ^D.
TEXT
}

command_run() {
    USAGE_STATUS=125
    RUN_DISKS=() RUN_QEMU_ARGS=() RUN_APP_NAME='' RUN_ISO='' RUN_STATS='' RUN_UEFI=0 RUN_VARS=''
    # Whatever goes wrong before the machine runs: the contract's last line ends the output.
    trap 'status=$?; [ "$status" -ne 125 ] || last_line 125' EXIT
    if is_sweep "$@"; then
        command_sweep "$@"
        return
    fi
    local app='' append='' memory=$RUN_MEMORY boot='' seconds=$RUN_TIMEOUT dry=0
    while [ $# -gt 0 ]; do
        case $1 in
        --app) option_value "$1" $#; app=$2; shift ;;
        --disk) option_value "$1" $#; RUN_DISKS+=("$2"); shift ;;
        --append) option_value "$1" $#; append+=" $2"; shift ;;
        -m) option_value "$1" $#; memory=$2; shift ;;
        -c) option_value "$1" $#; check_cpus "$2"; shift ;;
        --iso | --kernel) boot=${1#--} ;;
        --timeout) option_value "$1" $#; seconds=$2; shift ;;
        --qemu) option_value "$1" $#; add_qemu_args "$2"; shift ;;
        --dry-run) dry=1 ;;
        --stats) option_value "$1" $#; RUN_STATS=$2; shift ;;
        --uefi) RUN_UEFI=1 ;;
        --) shift; break ;;
        *) die 125 "run: unknown option '$1'; ./spillway help run lists them" ;;
        esac
        shift
    done
    is_number "$seconds" && [ "$seconds" -gt 0 ] || die 125 "--timeout $seconds: whole seconds, at least 1, are wanted"
    [[ $memory =~ ^[0-9]{1,6}[MG]$ ]] || die 125 "-m $memory: a size such as 64M or 1G is wanted"
    [ "$RUN_UEFI" -eq 0 ] || [ "$boot" != kernel ] || die 125 "--uefi boots from an ISO; it cannot go with --kernel"
    [ "$RUN_UEFI" -eq 0 ] || boot=iso
    [ -z "$RUN_STATS" ] || append=$(stats_append "$append") || exit 125
    run_prepare "$app" "$append" "$boot" "$dry" "$@"
    qemu_command "$memory"
    if [ "$dry" -eq 1 ]; then
        echo "$(join_words shell_word "${QEMU[@]}")"
        return 0
    fi
    if [ -n "${RUN_DEBUGGER:-}" ]; then "$RUN_DEBUGGER"; else run_machine "$seconds"; fi
}

# last_line STATUS: the contract's last line, where the guest did not print it.
last_line() {
    printf 'spillway: exit=%s app=%s total=- free=- low_water=- requests=- switches=- refusals=- waits=- deepest=-\n' \
        "$1" "${RUN_APP_NAME:--}"
}

check_cpus() {
    is_number "$1" && [ "$((10#$1))" -ge 1 ] && [ "$((10#$1))" -le 64 ] ||
        die 125 "-c $1: a number of processors from 1 to 64 is wanted"
    RUN_CPUS=$((10#$1))
}

add_qemu_args() {
    split_words "$1" || die 125 "--qemu: a quote or backslash without its end: $1"
    RUN_QEMU_ARGS+=(${WORDS[@]+"${WORDS[@]}"})
}

# stats_append APPEND: with the parameter that turns the samples on, where APPEND has none.
stats_append() {
    { : >"$RUN_STATS"; } 2>/dev/null || die 125 "--stats $RUN_STATS: cannot be written"
    case " $1" in *' stats='*) printf '%s' "$1" ;; *) printf '%s stats=1000' "$1" ;; esac
}

# run_prepare APP APPEND BOOT DRY ARGS...: checks the files, builds, makes the tower and the ISO. Sets RUN_APP,
# RUN_APP_NAME, RUN_BOOT, RUN_ISO and BOOT_WORDS.
run_prepare() {
    local app=$1 append=$2 boot=$3 dry=$4 disk word tower=0
    shift 4
    split_words "$append" || die 125 "--append: a quote or backslash without its end: $append"
    for word in ${WORDS[@]+"${WORDS[@]}"}; do
        case $word in app=?*) [ -n "$app" ] || RUN_APP_NAME=$(basename -- "${word#app=}") ;; esac
    done
    [ -z "$app" ] || { RUN_APP_NAME=$(basename -- "$app"); check_app "$app"; }
    for disk in ${RUN_DISKS[@]+"${RUN_DISKS[@]}"}; do
        check_disk "$disk"
    done
    if [ -z "$RUN_APP_NAME" ]; then
        RUN_APP_NAME=nestio
        app=$BUILD/apps/nestio
        boot=${boot:-iso}
        [ $# -gt 0 ] || set -- "${NESTIO_DEFAULT_ARGS[@]}"
        [ ${#RUN_DISKS[@]} -gt 0 ] || tower=1
    fi
    RUN_APP=$app
    RUN_BOOT=${boot:-kernel}
    boot_words "$append" "$app" "$@"

    if [ "$dry" -eq 0 ]; then
        build_for_run
        [ -z "$app" ] || check_app "$app"
    fi
    [ "$tower" -eq 0 ] || run_tower "$dry" "$@"
    if [ "$RUN_BOOT" = iso ]; then
        RUN_ISO=$BUILD/run/$RUN_APP_NAME-$$.iso
        if [ "$dry" -eq 0 ]; then
            mkdir -p "$BUILD/run"
            make_iso "$RUN_ISO" "$app" ${BOOT_WORDS[@]+"${BOOT_WORDS[@]}"} || die 125 "the ISO could not be made"
        fi
    fi
    if [ "$RUN_UEFI" -eq 1 ]; then
        # The firmware writes to its variables; every run starts with fresh ones.
        RUN_VARS=$BUILD/run/$RUN_APP_NAME-$$.vars
        [ "$dry" -eq 1 ] || cp -- "$OVMF_FOLDER/OVMF_VARS_4M.fd" "$RUN_VARS" || die 125 "cannot write $RUN_VARS"
    fi
}

# run_tower DRY ARGS...: a fresh tower as deep as --levels in ARGS says, as the first disk.
run_tower() {
    local dry=$1 levels=6 image
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --levels=*) levels=${1#--levels=} ;;
        --levels) levels=${2:-} ;;
        esac
        shift
    done
    is_number "$levels" && [ "$((10#$levels))" -le "$TOWER_MAX_LEVELS" ] ||
        die 125 "--levels $levels: a tower of 0 to $TOWER_MAX_LEVELS levels can be made"
    levels=$((10#$levels))
    image=$BUILD/run/tower-$levels.img
    RUN_DISKS=("$image")
    [ "$dry" -eq 0 ] || return 0
    mkdir -p "$BUILD/run"
    make_tower "$image" "$levels" 4096 $((2 << 20)) || die 125 "the tower could not be made"
    note "made a fresh disk, ext2 with $levels more levels inside: $image"
}

# shell_word WORD: WORD for a shell, quoted only where it must be.
shell_word() {
    if [[ $1 =~ ^[A-Za-z0-9_./,=:@%+-]+$ ]]; then
        printf '%s' "$1"
    else
        printf "'%s'" "${1//\'/\'\\\'\'}"
    fi
}

disk_path() { printf '%s' "${1%,ro}"; }

check_disk() {
    local path
    path=$(disk_path "$1")
    [ -e "$path" ] || die 125 "disk $path: no such file"
    [ ! -d "$path" ] || die 125 "disk $path: is a directory"
    [ -r "$path" ] || die 125 "disk $path: cannot be read"
    [ "$1" != "$path" ] || [ -w "$path" ] || die 125 "disk $path: cannot be written; use $path,ro"
}

# accelerator: KVM only where the processor has it; elsewhere /dev/kvm may open and then single-step the guest.
accelerator() {
    if grep -qwE 'vmx|svm' /proc/cpuinfo 2>/dev/null && { : <>/dev/kvm; } 2>/dev/null; then
        echo kvm
    else
        echo tcg
    fi
}

# qemu_command MEMORY: fills the array QEMU.
qemu_command() {
    local disk path drive index=0 accel
    accel=$(accelerator)
    RUN_MACHINE="q35, $accel, $1, $RUN_CPUS CPUs, ${RUN_BOOT/kernel/direct} boot"
    [ "$RUN_UEFI" -eq 0 ] || RUN_MACHINE+=" by UEFI"
    QEMU=(qemu-system-x86_64 -machine q35 -accel "$accel" -cpu max -smp "$RUN_CPUS" -m "$1" -nodefaults -no-reboot
        -display none -device isa-debug-exit,iobase=0xf4,iosize=4)
    if [ "$RUN_BOOT" = iso ]; then
        QEMU+=(-boot d -cdrom "$RUN_ISO")
    else
        QEMU+=(-kernel "$BUILD/spillway.elf")
        [ -z "$RUN_APP" ] || QEMU+=(-initrd "$RUN_APP")
        QEMU+=(-append "$(join_words boot_word ${BOOT_WORDS[@]+"${BOOT_WORDS[@]}"})")
    fi
    if [ "$RUN_UEFI" -eq 1 ]; then
        QEMU+=(-drive "if=pflash,unit=0,format=raw,readonly=on,file=$OVMF_FOLDER/OVMF_CODE_4M.fd"
            -drive "if=pflash,unit=1,format=raw,file=${RUN_VARS//,/,,}")
    fi
    for disk in ${RUN_DISKS[@]+"${RUN_DISKS[@]}"}; do
        path=$(disk_path "$disk")
        drive="if=none,id=disk$index,format=$(disk_format "$path"),cache=writeback,file=${path//,/,,}"
        [ "$disk" = "$path" ] || drive+=,readonly=on
        QEMU+=(-drive "$drive" -device "virtio-blk-pci,drive=disk$index,disable-legacy=on")
        index=$((index + 1))
    done
    QEMU+=(-chardev stdio,id=console -serial chardev:console)
    [ -z "$RUN_STATS" ] || QEMU+=(-chardev "file,id=stats,path=${RUN_STATS//,/,,}" -device isa-debugcon,iobase=0xe9,chardev=stats)
    QEMU+=(${RUN_QEMU_ARGS[@]+"${RUN_QEMU_ARGS[@]}"})
}

disk_format() {
    if [ "$(head -c 4 -- "$1" 2>/dev/null | od -An -tx1 | tr -d ' \n')" = 514649fb ]; then
        echo qcow2
    else
        echo raw
    fi
}
