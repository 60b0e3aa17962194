# SPDX-License-Identifier: MIT
# One run of QEMU: streams the console, keeps a copy, ends the machine on a timeout or Ctrl-C, and finds the status.
# shellcheck shell=bash

# What the guest writes to isa-debug-exit when it ends cleanly is 0x10; QEMU makes (0x10 << 1) | 1 of it.
QEMU_CLEAN=33
KEEP_LOGS=20

# run_machine SECONDS: runs the array QEMU (made by qemu_command) and ends the script with the guest's status.
run_machine() {
    local seconds=$1 status interrupted=0 terminal='' typist='' runner lines
    mkdir -p "$BUILD/logs"
    RUN_LOG=$BUILD/logs/run-$(date +%Y%m%d-%H%M%S)-$$.log
    : >"$RUN_LOG" || die 125 "cannot write $RUN_LOG"
    qemu_log_to "$RUN_LOG"
    drop_old_logs
    lines_tool
    note "$RUN_APP_NAME on $RUN_MACHINE"
    note "the console's log: $RUN_LOG"

    # The guest's console gets our terminal, with Ctrl-C and all; what is not a terminal is typed for it.
    exec 4<&0
    if [ -t 0 ]; then
        exec 3<&0
        terminal=$(stty -g 2>/dev/null) || terminal=''
        qemu_console_is_terminal
    else
        exec 3< <(trap 'exit 0' TERM; trap 'kill $(jobs -p)' EXIT; exec 2>/dev/null; type_input "$seconds")
        typist=$!
    fi
    exec 5> >(exec "${LINES_TOOL[@]}" 3<&- 4<&-)
    lines=$!
    timeout --foreground -k 5 "$seconds" "${QEMU[@]}" <&3 >&5 2>"$RUN_LOG.qemu" 4<&- 5>&- &
    runner=$!
    exec 5>&-
    trap 'interrupted=1; kill "$runner" 2>/dev/null' INT TERM HUP
    while :; do
        wait "$runner"
        status=$?
        # A trap ends `wait` early; go on until the machine is gone.
        kill -0 "$runner" 2>/dev/null || break
    done
    wait "$lines"
    trap - INT TERM HUP
    exec 3<&- 4<&-
    [ -z "$typist" ] || kill "$typist" 2>/dev/null
    [ -z "$terminal" ] || stty "$terminal" 2>/dev/null
    # Ctrl-A x; QEMU ends this line of its own with \n\r, so for tail it is not the last one.
    ! tail -n 2 "$RUN_LOG" | grep -qa '^QEMU: Terminated' || interrupted=1
    [ -z "$RUN_ISO" ] || rm -f -- "$RUN_ISO" "$RUN_VARS"
    run_verdict "$status" "$interrupted" "$seconds"
}

# lines_tool: the command that adds file:line to the backtraces of a console, as the array LINES_TOOL.
lines_tool() {
    LINES_TOOL=("$ROOT/tools/lines" "$BUILD/spillway.debug")
    [ -z "$RUN_APP" ] || LINES_TOOL+=("$RUN_APP" "$(app_base)")
}

# app_base: where the program lies when it is position-independent; 0 when it is not.
app_base() {
    local base=0
    if [ "$(od -An -tu2 -j16 -N2 -- "$RUN_APP" | tr -d ' ')" = 3 ]; then
        base=$(sed -nE 's/^#define PIE_BASE .*(0x[0-9a-fA-F]+).*$/\1/p' "$ROOT/src/abi/load.c")
    fi
    echo "$base"
}

# type_input SECONDS: stdin (descriptor 4) as somebody would type it, once the kernel listens; at its end ^D, more than once because a
# line without its newline takes one for itself. Keys that a terminal takes for itself are quoted with ^V.
# SPILLWAY_STDIN=raw: every byte as it is, and no ^D. SPILLWAY_STDIN_AFTER=REGEX: not before the console shows it.
type_input() {
    local tries=0
    until grep -qa -e "${SPILLWAY_STDIN_AFTER:-^memory: }" "$RUN_LOG"; do
        tries=$((tries + 1))
        [ "$tries" -lt $(($1 * 10)) ] || return
        sleep 0.1
    done
    if [ "${SPILLWAY_STDIN:-}" = raw ]; then
        cat <&4 &
        wait $!
        return
    fi
    sed -u $'s/[\x03\x04\x0d\x0f\x11\x12\x13\x15\x16\x17\x1a\x1c\x7f]/\x16&/g' <&4 &
    wait $!
    printf '\4\4\4'
    sleep "$1" & # QEMU's end of the pipe stays open
    wait $!
}

# qemu_console_is_terminal: Ctrl-C goes to the guest; Ctrl-A x ends the machine.
qemu_console_is_terminal() {
    local index
    for index in "${!QEMU[@]}"; do
        [[ ${QEMU[index]} != stdio,id=console* ]] || QEMU[index]+=,signal=off,mux=on
    done
    QEMU+=(-mon chardev=console,mode=readline)
    note "Ctrl-C goes to the app; Ctrl-A x ends the machine"
}

# qemu_log_to FILE: gives the console of the array QEMU a log file.
qemu_log_to() {
    local index
    for index in "${!QEMU[@]}"; do
        [ "${QEMU[index]}" != stdio,id=console ] || QEMU[index]+=,logfile=${1//,/,,}
    done
}

# run_verdict QEMU_STATUS INTERRUPTED SECONDS: prints what the guest could not, and exits.
run_verdict() {
    local qemu=$1 last
    finish_line
    if grep -qa '^ *#[0-9]' "$RUN_LOG" && "${LINES_TOOL[@]}" <"$RUN_LOG" >"$RUN_LOG.lines"; then
        mv -f -- "$RUN_LOG.lines" "$RUN_LOG"
    fi
    if [ "$2" -eq 1 ]; then
        rm -f -- "$RUN_LOG.qemu"
        run_failed 130 "interrupted"
    fi
    if [ "$qemu" -eq 124 ] || [ "$qemu" -eq 137 ]; then
        rm -f -- "$RUN_LOG.qemu"
        run_failed 124 "no end after $3 seconds: the machine was stopped"
    fi
    if [ "$qemu" -ne "$QEMU_CLEAN" ] && [ ! -s "$RUN_LOG" ] && [ -s "$RUN_LOG.qemu" ]; then
        cat "$RUN_LOG.qemu" >&2
        rm -f -- "$RUN_LOG" "$RUN_LOG.qemu"
        die 125 "QEMU could not start the machine (status $qemu)"
    fi
    last=$(tr -d '\r' <"$RUN_LOG" | grep -a . | tail -n 1)
    if [ "$qemu" -eq "$QEMU_CLEAN" ] && [[ $last =~ ^spillway:\ exit=([0-9]{1,3})\  ]]; then
        rm -f -- "$RUN_LOG.qemu"
        trap - EXIT
        exit "${BASH_REMATCH[1]}"
    fi
    note "the machine ended without its last line (QEMU's status $qemu); the last 20 console lines:"
    tr -d '\r' <"$RUN_LOG" | tail -n 20 | awk '{ print "    " $0 }' >&2
    [ ! -s "$RUN_LOG.qemu" ] || sed 's/^/    /' "$RUN_LOG.qemu" >&2
    run_failed 202 "the console's log: $RUN_LOG"
}

# run_failed STATUS TEXT: the end of a run whose last line is ours to print.
run_failed() {
    note "$2"
    last_line "$1"
    trap - EXIT
    exit "$1"
}

# finish_line: our own lines start in column 0, wherever the guest stopped.
finish_line() {
    [ ! -s "$RUN_LOG" ] || [ "$(tail -c 1 "$RUN_LOG" | od -An -tx1 | tr -d ' ')" = 0a ] || echo
}

# drop_old_logs: the newest stay.
drop_old_logs() {
    local old
    find "$BUILD/logs" -maxdepth 1 -name 'run-*.log' -printf '%T@ %p\n' 2>/dev/null | sort -rn | tail -n +$((KEEP_LOGS + 1)) |
        cut -d' ' -f2- | while IFS= read -r old; do
        rm -f -- "$old" "$old.qemu"
    done
}
