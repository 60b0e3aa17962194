# SPDX-License-Identifier: MIT
# Helpers that every command shares.
# shellcheck shell=bash

note() { printf 'spillway: %s\n' "$*" >&2; }

# die STATUS TEXT: an error message, then the end.
die() {
    local status=$1
    shift
    note "$*"
    exit "$status"
}

have() { command -v "$1" >/dev/null 2>&1; }

# is_number TEXT: decimal digits only, short enough for the shell's arithmetic.
is_number() { [[ $1 =~ ^[0-9]{1,15}$ ]]; }

# parse_size TEXT: prints a size in bytes; TEXT is a number with an optional K, M or G.
parse_size() {
    [[ $1 =~ ^([0-9]{1,9})([KMG]?)$ ]] || return 1
    local number=$((10#${BASH_REMATCH[1]}))
    case ${BASH_REMATCH[2]} in
    K) number=$((number << 10)) ;;
    M) number=$((number << 20)) ;;
    G) number=$((number << 30)) ;;
    esac
    echo "$number"
}

# option_value OPTION COUNT: ends the command when OPTION is the last word, so has no value.
option_value() { [ "$2" -ge 2 ] || die "${USAGE_STATUS:-2}" "$1 needs a value"; }

version_string() {
    local header=$BUILD/gen/version.h
    if [ -f "$header" ]; then
        sed -n 's/^#define SPILLWAY_VERSION "\(.*\)"$/\1/p' "$header"
        return
    fi
    local version described
    version=$(sed -n 's/^project(spillway VERSION \([0-9.]*\).*/\1/p' "$ROOT/CMakeLists.txt")
    if described=$(git -C "$ROOT" describe --always --dirty 2>/dev/null); then
        version=$version-$described
    fi
    echo "$version"
}

# seconds_since START: START is a value of $(now_ms); prints seconds with one digit.
now_ms() { echo $(($(date +%s%N) / 1000000)); }
seconds_since() {
    local passed=$(($(now_ms) - $1))
    printf '%d.%d' $((passed / 1000)) $((passed % 1000 / 100))
}
