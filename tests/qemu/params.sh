# SPDX-License-Identifier: MIT
# The boot line: bad values stop the machine with 203 and a message that names parameter, value, what is
# allowed, and the nearest known name. And `help`.
# shellcheck shell=bash
. "$(dirname "$0")/../lib.sh"

# refused APPEND TEXT...
refused() {
    local append=$1 text missing=
    shift
    GUEST_TIMEOUT=30 run_guest --app "$APPS/hello" --append "$append"
    for text in "$@" 'allowed is' 'nearest known name: '; do
        grep -qaF -- "$text" "$OUT" || grep -qaF -- "${text/allowed is/allowed are}" "$OUT" || missing=$text
    done
    if [ "$STATUS" != 203 ]; then
        not_ok_out "$append" "status $STATUS, expected 203"
    elif [ -n "$missing" ]; then
        not_ok_out "$append" "the message lacks: $missing"
    else
        ok "refused: $append"
    fi
}

refused 'stack.extr=4' 'unknown boot parameter stack.extr' 'nearest known name: stack.extra'
refused 'stack.extra=-1' 'stack.extra=-1' 'a number from 0 to 65536'
refused 'stack.extra=' 'stack.extra='
refused 'stack.extra' 'stack.extra='
refused 'stack.extra=4x' 'stack.extra=4x'
refused 'stack.extra=99999999999999999999' 'stack.extra=99999999999999999999'
refused 'stack.extra=65537' 'stack.extra=65537'
refused 'stack.extra=2000' 'stack.extra=2000' 'stack.extra_max=1024'
refused 'stack.policy=maybe' 'stack.policy=maybe' 'one of: eio'
refused 'stack.policy=wait' 'stack.policy=wait' 'one of: eio'
refused 'stack.grow=maybe' 'stack.grow=maybe' 'one of: off fault prefill'
refused 'stack.size=1K' 'stack.size=1K' 'a size from 4K to 64K'
refused 'stack.size=9000' 'stack.size=9000' 'a multiple of 4K'
refused 'stack.extra_size=1M' 'stack.extra_size=1M'
refused 'stack.need=lots' 'stack.need=lots' 'auto, force, off'
refused 'cpus=65' 'cpus=65' 'a number from 1 to 64'
refused 'cpus=0' 'cpus=0' 'a number from 1 to 64'
refused 'disk.timeout=0' 'disk.timeout=0' 'a number from 1 to 3600'
refused 'mount=/dev/vda' 'mount=/dev/vda'
refused 'mount=:/m' 'mount=:/m'
refused 'mount=/dev/vda:m' 'mount=/dev/vda:m'
refused 'quiet' 'unknown boot parameter quiet'

GUEST_TIMEOUT=30 run_guest --app "$APPS/hello" --append help
assert_status 'help ends well' 0
for name in stack.extra stack.extra_size stack.extra_max stack.size stack.policy stack.grow stack.need app mount env \
    cwd disk.timeout mem cpus log stats help; do
    assert_matches "help lists $name" "^  $name "
done

GUEST_TIMEOUT=30 run_guest --app "$APPS/hello" --append 'stack.extra=3 stack.size=12K stack.need=512'
assert_contains 'the settings are echoed' 'settings: stack.extra=3 stack.extra_size=4K'
assert_contains 'a size is echoed as given' 'stack.size=12K'
assert_equal 'the last line shows the total' "$(last_field total)" 3
finish
