# SPDX-License-Identifier: MIT
# The bench command: measures natively and prints; it passes and fails nothing.
# shellcheck shell=bash

BENCH_ROUNDS=31
BENCH_CARGO=/usr/share/cargo/registry

# ROW WITNESS PACKAGE PROGRAM: what the optional programs need. All rows of a program are named, so that none is left out
# silently; without the witness they are marked as not measured.
BENCH_PEERS='
boost-context  /usr/include/boost/context/fiber.hpp              libboost-context-dev  bench_boost
ck-stack       /usr/include/ck_stack.h                           libck-dev             bench_ck
ck-stack-both  /usr/include/ck_stack.h                           libck-dev             bench_ck
urcu-lfs       /usr/include/x86_64-linux-gnu/urcu/lfstack.h      liburcu-dev           bench_urcu
urcu-lfs-both  /usr/include/x86_64-linux-gnu/urcu/lfstack.h      liburcu-dev           bench_urcu
psm-on-stack   /usr/bin/cargo                                    cargo                 bench_rust
stacker-stays  /usr/share/cargo/registry/stacker-*/Cargo.toml    librust-stacker-dev   bench_rust
stacker-grow   /usr/share/cargo/registry/psm-*/Cargo.toml        librust-psm-dev       bench_rust
'

help_bench() {
    cat <<'TEXT'
usage: ./spillway bench stacks [--rounds N] [-o FILE]

Measures, natively on this host: our probe, switch and pool; other ways to run a function on another stack; other pools
of stacks. All rows in turns, 31 rounds (or N); cycles, and ratios to a plain call and to our probe. Prints JSON lines
and then a table; -o keeps the JSON lines in FILE. Peers whose Debian package is missing are listed as not measured.
Nothing passes or fails.
TEXT
}

command_bench() {
    local what=${1:-} rounds=$BENCH_ROUNDS output=''
    [ "$what" = stacks ] || die 2 "bench: what? ./spillway bench stacks is what there is"
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --rounds) option_value "$1" $#; rounds=$2; shift ;;
        -o) option_value "$1" $#; output=$2; shift ;;
        *) die 2 "bench: unknown option '$1'" ;;
        esac
        shift
    done
    is_number "$rounds" && [ "$rounds" -ge 1 ] && [ "$rounds" -le 1001 ] || die 2 "--rounds $rounds: 1 to 1001"
    need_packages
    # An option, so that it configures again: a peer's package may have come since.
    build_targets bench_stacks -Wno-dev || exit 1
    bench_stacks "$rounds" "$output"
}

bench_stacks() {
    local rounds=$1 output=$2 folder=$BUILD/bench row witness package program reason
    local log=$BUILD/logs/bench-stacks.log
    local -a subjects=("$folder/bench_spillway:1024" "$folder/bench_spillway:48" "$folder/bench_switch"
        "$folder/bench_split" "$folder/bench_contexts" "$folder/bench_pools") missing=()
    bench_rust
    while read -r row witness package program; do
        [ -n "$row" ] || continue
        reason=''
        compgen -G "$witness" >/dev/null || reason="Debian package $package"
        [ -n "$reason" ] || [ -x "$folder/$program" ] || reason="$program was not built; see $BUILD/logs"
        if [ -n "$reason" ]; then
            missing+=(-m "$row" "$reason")
        elif [[ " ${subjects[*]} " != *" $folder/$program "* ]]; then
            subjects+=("$folder/$program")
        fi
    done <<<"$BENCH_PEERS"
    note "measuring $rounds rounds on $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
    "$folder/bench_driver" "$rounds" "${subjects[@]}" ${missing[@]+"${missing[@]}"} | tee "$log"
    [ "${PIPESTATUS[0]}" -eq 0 ] || die 1 "the benchmark ended early"
    [ -z "$output" ] || grep '^{' "$log" >"$output" || die 1 "cannot write $output"
}

# bench_rust: the Rust peers, from Debian's packages alone, without a network.
bench_rust() {
    local folder=$BUILD/bench/rust log=$BUILD/logs/bench-rust.log
    rm -f -- "$BUILD/bench/bench_rust"
    [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && [ -d "$BENCH_CARGO" ] || return 0
    mkdir -p "$folder/home"
    cp -r "$ROOT/tests/bench/rust/." "$folder/" || return 0
    if ! (cd "$folder" && CARGO_HOME=$folder/home RUSTC=/usr/bin/rustc /usr/bin/cargo build --release --offline \
        --config 'source.crates-io.replace-with="debian"' \
        --config "source.debian.directory=\"$BENCH_CARGO\"") >"$log" 2>&1; then
        return 0
    fi
    cp "$folder/target/release/bench_rust" "$BUILD/bench/"
}
