# SPDX-License-Identifier: MIT
# run --sweep: the same run once for each value of one boot parameter, and a table of what came of it.
# shellcheck shell=bash

SWEEP_RUNS_MAX=1000

# is_sweep ARGS...: does a run ask for one? What follows -- is the app's.
is_sweep() {
    local word
    for word; do
        case $word in
        --) return 1 ;;
        --sweep) return 0 ;;
        esac
    done
    return 1
}

# sweep_values SPEC: fills SWEEP_NAME and the array SWEEP_VALUES from NAME=A..B or NAME=A,B,...
sweep_values() {
    local list first last unit value
    [[ $1 =~ ^([a-z][a-z_.]*)=(.+)$ ]] || die 125 "--sweep $1: NAME=A..B or NAME=A,B,... is wanted"
    SWEEP_NAME=${BASH_REMATCH[1]} SWEEP_VALUES=() list=${BASH_REMATCH[2]}
    if [[ $list =~ ^([0-9]{1,9})([KMG]?)\.\.([0-9]{1,9})([KMG]?)$ ]]; then
        first=$((10#${BASH_REMATCH[1]})) last=$((10#${BASH_REMATCH[3]})) unit=${BASH_REMATCH[4]}
        [ "${BASH_REMATCH[2]}" = "$unit" ] || die 125 "--sweep $1: both ends want the same unit"
        [ "$first" -le "$last" ] || die 125 "--sweep $1: the range is empty"
        [ $((last - first)) -lt "$SWEEP_RUNS_MAX" ] || die 125 "--sweep $1: more than $SWEEP_RUNS_MAX runs"
        for ((value = first; value <= last; value++)); do
            SWEEP_VALUES+=("$value$unit")
        done
    elif [[ $list == *..* ]]; then
        die 125 "--sweep $1: the ends of a range are whole numbers, as in stack.extra=0..8"
    else
        IFS=, read -r -a SWEEP_VALUES <<<"$list"
    fi
}

# command_sweep ARGS...: run's arguments, --sweep among them. Its status is 0 when every run ended by itself (0 to
# 123: the app's own), else that of the first one that did not.
command_sweep() {
    local -a words=()
    local spec='' value status worst=0 log start last
    while [ $# -gt 0 ]; do
        case $1 in
        --sweep) option_value "$1" $#; [ -z "$spec" ] || die 125 "--sweep: one parameter at a time"; spec=$2; shift ;;
        --stats) die 125 "--stats with --sweep: one file cannot hold several runs" ;;
        --) words+=(--qemu -snapshot "$@"); break ;;
        *) words+=("$1") ;;
        esac
        shift
    done
    case " ${words[*]} " in *' --qemu -snapshot -- '*) ;; *) words+=(--qemu -snapshot) ;; esac
    sweep_values "$spec"
    build_for_run
    export SPILLWAY_NO_BUILD=1
    mkdir -p "$BUILD/logs"
    note "${#SWEEP_VALUES[@]} runs, $SWEEP_NAME from ${SWEEP_VALUES[0]} to ${SWEEP_VALUES[-1]}; disks are not changed"
    printf '%-12s %5s %10s %10s %10s %10s %8s %8s\n' "$SWEEP_NAME" exit requests switches refusals low_water deepest seconds
    for value in "${SWEEP_VALUES[@]}"; do
        log=$BUILD/logs/sweep-$SWEEP_NAME-$value.log
        start=$(now_ms)
        "$ROOT/spillway" run --append "$SWEEP_NAME=$value" "${words[@]}" </dev/null >"$log" 2>&1
        status=$?
        last=$(tr -d '\r' <"$log" | grep -a '^spillway: exit=' | tail -n 1)
        printf '%-12s %5d %10s %10s %10s %10s %8s %8s\n' "$value" "$status" "$(field requests "$last")" \
            "$(field switches "$last")" "$(field refusals "$last")" "$(field low_water "$last")" \
            "$(field deepest "$last")" "$(seconds_since "$start")"
        if [ "$status" -gt 123 ]; then
            note "$SWEEP_NAME=$value ended with $status: $(tr -d '\r' <"$log" | grep -a '^spillway: ' |
                grep -av '^spillway: exit=' | tail -n 1 | cut -c11-); see $log"
            [ "$worst" -ne 0 ] || worst=$status
            # Interrupted, or there was no machine at all: the next ones would say the same.
            if [ "$status" -eq 130 ] || [[ $status == 125 && $last == *' total=- '* ]]; then break; fi
        fi
    done
    return "$worst"
}

# field NAME LINE: its value in the contract's last line.
field() {
    local value=${2#* "$1"=}
    [ "$value" != "$2" ] || value=-
    printf '%s' "${value%% *}"
}
