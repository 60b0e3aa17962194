# SPDX-License-Identifier: MIT
# Instruction counts are the same in two runs, byte for byte (tools/costs; the page is docs/costs.md).
# shellcheck shell=bash
. "$(dirname "$0")/../lib.sh"
if SPILLWAY_NO_BUILD=0 "$ROOT/tools/costs" --twice >"$OUT" 2>&1; then
    ok 'costs repeat exactly'
else
    not_ok_out 'costs repeat exactly' "tools/costs --twice ended with status $?"
fi
finish
