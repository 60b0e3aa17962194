# SPDX-License-Identifier: MIT
# The gdb command: the machine that `run` would boot, stopped at its first instruction, with gdb on it.
# shellcheck shell=bash

help_gdb() {
    cat <<'TEXT'
usage: ./spillway gdb [--ex 'GDB COMMAND']... [--batch] [RUN OPTIONS] [-- APP ARGS]

Boots as `run` does (same options, same defaults), but in gdb: the machine waits, the kernel's symbols and those of the
app are loaded, and the guest's console goes to a log file whose path is printed. gdb's end is the machine's end.
  --ex 'COMMAND'   a command for gdb, run in order after it is connected; may be repeated
  --batch          gdb ends after the last --ex instead of asking for more

Besides gdb's own commands there are: threads, stacks [ID], probes, and $held() for conditions. A nested read, with
two extra stacks in use, and the backtrace through both:
  ./spillway gdb --append stack.need=force --ex 'break bio_submit if $held() >= 3' --ex continue --ex bt --ex stacks
TEXT
}

command_gdb() {
    local -a gdb_words=() run_words=()
    while [ $# -gt 0 ]; do
        case $1 in
        --ex) USAGE_STATUS=125 option_value "$1" $#; gdb_words+=(-ex "$2"); shift ;;
        --batch) gdb_words+=(-batch) ;;
        --) run_words+=("$@"); break ;;
        *) run_words+=("$1") ;;
        esac
        shift
    done
    have gdb || die 125 "gdb is not installed; ./spillway setup installs it"
    RUN_DEBUGGER=gdb_session
    GDB_WORDS=(${gdb_words[@]+"${gdb_words[@]}"})
    command_run ${run_words[@]+"${run_words[@]}"}
}

# gdb_session: what command_run calls instead of run_machine; QEMU is the machine's command.
gdb_session() {
    local socket status machine console=$BUILD/logs/gdb-$$.console deadline=$((SECONDS + 20))
    mkdir -p "$BUILD/logs"
    socket=$(mktemp -u "${TMPDIR:-/tmp}/spillway-gdb-XXXXXX")
    gdb_console_to "$console"
    QEMU+=(-S -chardev "socket,path=$socket,server=on,wait=off,id=gdb" -gdb chardev:gdb)
    note "$RUN_APP_NAME on $RUN_MACHINE, in gdb; the guest's console: $console"
    "${QEMU[@]}" </dev/null >"$console.qemu" 2>&1 &
    machine=$!
    while [ ! -S "$socket" ]; do
        if ! kill -0 "$machine" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
            cat "$console.qemu" >&2
            kill "$machine" 2>/dev/null
            die 125 "QEMU could not start the machine"
        fi
        sleep 0.1
    done
    local -a symbols=()
    [ -z "$RUN_APP" ] || symbols=(-ex "add-symbol-file '$RUN_APP' -o $(app_base)")
    gdb -q -iex 'set pagination off' -iex 'set width 0' -iex 'set confirm off' -iex 'set breakpoint pending on' \
        ${symbols[@]+"${symbols[@]}"} -ex "source $ROOT/tools/gdb/spillway.py" -ex "target remote $socket" \
        ${GDB_WORDS[@]+"${GDB_WORDS[@]}"} "$BUILD/spillway.elf"
    status=$?
    kill "$machine" 2>/dev/null
    wait "$machine" 2>/dev/null
    rm -f -- "$socket" "$console.qemu"
    [ -z "$RUN_ISO" ] || rm -f -- "$RUN_ISO"
    trap - EXIT
    exit "$status"
}

# gdb_console_to FILE: the console of the array QEMU into FILE instead of the terminal, which is gdb's.
gdb_console_to() {
    local index
    for index in "${!QEMU[@]}"; do
        [ "${QEMU[index]}" != stdio,id=console ] || QEMU[index]=file,id=console,path=${1//,/,,}
    done
}
