# SPDX-License-Identifier: MIT
# Coverage-guided fuzzing of ext2 with clang's libFuzzer, under ASan and UBSan, on request only: the host port and
# tests/fuzz/ext2.c are compiled with clang into build/fuzz, and run for FUZZ_SECONDS (default 60) on each of three kinds
# of filesystem. The inputs that found new code stay in build/fuzz/corpus, so that the next run goes on from there; one
# that fails is kept beside them and named. FUZZ_SEED=N (default 1).
# shellcheck shell=bash
# timeout: 7200
. "$(dirname "$0")/../lib.sh"
SECONDS_EACH=${FUZZ_SECONDS:-60}
SEED=${FUZZ_SEED:-1}
FUZZ=$BUILD/fuzz

if ! command -v clang >/dev/null; then
    not_ok 'clang is there' 'install the Debian packages clang and libclang-rt-14-dev'
    finish
fi
mkdir -p "$FUZZ/objects" "$FUZZ/corpus"
cmake --build "$BUILD" --target spillway_host host_support >"$TMP/build.log" 2>&1 || not_ok 'the host port builds'
# The same flags as cmake/host.cmake, and what libFuzzer needs to see.
FLAGS=(-O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined -fno-omit-frame-pointer -fno-pie
    -fno-strict-aliasing -fno-common -w -DSPILLWAY_HOST=1 -DSPILLWAY_FAIL=1 -DSPILLWAY_LOCK_ORDER=1 -I"$ROOT/src" -I"$ROOT/src/arch/x86_64"
    -I"$BUILD/gen" -I"$ROOT/tests/host")
export FLAGS_LINE=${FLAGS[*]} OBJECTS=$FUZZ/objects
cd "$ROOT" || exit 1
# shellcheck disable=SC2016
if ! { ls src/lib/*.c src/arch/host/*.c src/rt/*.c src/block/*.c src/vfs/*.c src/drivers/ram*.c src/drivers/stacked/*.c
    find src/fs -name '*.c'; ls tests/host/support/*.c tests/fuzz/ext2.c; } |
    xargs -P "$(nproc)" -n 1 sh -c 'clang $FLAGS_LINE -c -o "$OBJECTS/$(echo "$0" | tr / -).o" "$0"' >"$TMP/clang.log" 2>&1; then
    not_ok 'clang compiles it' "$(grep -m 1 error "$TMP/clang.log")"
    finish
fi
if ! clang -fsanitize=address,undefined,fuzzer -no-pie -o "$FUZZ/ext2-fuzz" "$FUZZ"/objects/*.o \
    "$BUILD"/CMakeFiles/spillway_host.dir/src/arch/x86_64/*.o -lcmocka -lpthread >"$TMP/clang.log" 2>&1; then
    not_ok 'clang links it' "$(grep -m 1 -E 'error|undefined' "$TMP/clang.log")"
    finish
fi
number=0
for options in '-b 1024 -g 1024 -O none,filetype,sparse_super,large_file' '-b 2048 -r 0 -O none' \
    '-b 4096 -O none,filetype,dir_index,ext_attr,resize_inode,sparse_super'; do
    number=$((number + 1))
    mkdir -p "$FUZZ/corpus/$number"
    FUZZ_OPTIONS=$options timeout $((SECONDS_EACH + 120)) "$FUZZ/ext2-fuzz" -max_total_time="$SECONDS_EACH" -seed="$SEED" \
        -max_len=600 -len_control=0 -timeout=60 -rss_limit_mb=0 -artifact_prefix="$FUZZ/corpus/failed-$number-" "$FUZZ/corpus/$number" >"$TMP/fuzz.log" 2>&1
    STATUS=$?
    cp "$TMP/fuzz.log" "$OUT"
    grep -E '^(#[0-9]+\s+DONE|Done|stat::)' "$TMP/fuzz.log"
    assert_status "mke2fs $options, seed $SEED: nothing is found in $SECONDS_EACH s" 0
done
finish
