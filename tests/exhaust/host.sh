# SPDX-License-Identifier: MIT
# Every k that the scenario reaches, on the host port under ASan and UBSan, with blocks of 1 KiB and 4 KiB.
# shellcheck shell=bash
# timeout: 21600
. "$(dirname "$0")/../lib.sh"

cmake --build "$BUILD" --target test_exhaust >"$TMP/build.log" 2>&1 || { not_ok build 'test_exhaust does not build'; exit 1; }
cd "$ROOT" || exit 1
for block in 1K 4K; do
    EXHAUST_SAMPLE=0 EXHAUST_BLOCK=$block "$BUILD/tests/test_exhaust" >"$TMP/out" 2>&1
    STATUS=$?
    cp "$TMP/out" "$OUT"
    cat "$OUT"
    assert_status "every k, blocks of $block" 0
done
finish
