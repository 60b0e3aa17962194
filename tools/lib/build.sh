# SPDX-License-Identifier: MIT
# The build command: CMake and Ninja in the build folder, with short progress and a log.
# shellcheck shell=bash

help_build() {
    cat <<'TEXT'
usage: ./spillway build [--no-probes | --debug | --guest-tests]

Builds spillway.elf, spillway.debug and the apps in build/. Plain CMake does the same:
cmake --workflow --preset default.
  --no-probes   compile the stack probes out; builds in build/no-probes
  --debug       extra run-time checks, lock order among them; builds in build/debug
  --guest-tests a kernel that runs tests/guest instead of an app; builds in build/guest-tests
SPILLWAY_BUILD=build/no-probes ./spillway run ... runs such a build.
TEXT
}

command_build() {
    local option folder=$BUILD
    local -a definitions=()
    for option; do
        case $option in
        --no-probes) definitions+=(-DSPILLWAY_PROBES=OFF) folder=$folder/no-probes ;;
        --guest-tests) definitions+=(-DSPILLWAY_GUEST_TESTS=ON) folder=$folder/guest-tests ;;
        --debug) definitions+=(-DSPILLWAY_DEBUG=ON) folder=$folder/debug ;;
        *) die 2 "build: unknown option '$option'" ;;
        esac
    done
    need_packages
    BUILD=$folder
    build_targets all ${definitions[@]+"${definitions[@]}"} || exit 1
    [ -f "$BUILD/spillway.elf" ] || die 1 "the build has no kernel: boot/ is empty"
    note "built ${BUILD#"$PWD"/}/spillway.elf, $(stat -c %s "$BUILD/spillway.elf") bytes, version $(version_string)"
}

# build_targets TARGET [CMAKE OPTION]...: configures once, then builds TARGET; the output goes to logs/build.log.
build_targets() {
    local target=$1 start log=$BUILD/logs/build.log
    shift
    start=$(now_ms)
    mkdir -p "$BUILD/logs" || return 1
    if [ ! -f "$BUILD/build.ninja" ] || [ $# -gt 0 ]; then
        note "configuring ${BUILD#"$PWD"/}"
        if ! cmake -S "$ROOT" -B "$BUILD" -G Ninja "$@" >"$log" 2>&1; then
            tail -n 30 "$log" >&2
            note "the configuration failed; the whole output is in $log"
            return 1
        fi
    fi
    local steps
    steps=$(cd "$BUILD" && ninja -n "$target" 2>/dev/null | grep -c '^\[') || steps=0
    [ "$steps" -le 2 ] || note "building $target ($steps steps)"
    if ! cmake --build "$BUILD" --target "$target" -- -k 0 >"$log" 2>&1; then
        grep -v '^\[' "$log" | head -n 40 >&2
        note "the build failed; the whole output is in $log"
        return 1
    fi
    [ "$steps" -le 2 ] || note "built $target in $(seconds_since "$start") s"
}

# build_for_run: what run and iso call before they use the image.
build_for_run() {
    if [ "${SPILLWAY_NO_BUILD:-0}" != 1 ]; then
        need_packages 125
        build_targets all || exit 125
    fi
    [ -f "$BUILD/spillway.elf" ] || die 125 "there is no kernel image $BUILD/spillway.elf"
}
