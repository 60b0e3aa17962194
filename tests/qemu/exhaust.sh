# SPDX-License-Identifier: MIT
# Exhaustive exhaustion in the guest (tests/guest/exhaust.c): the kth take of an extra stack, page allocation and
# device request refused, for every k to 64 and a sample of the rest, and for some k all behind it too; every level of
# every tower that is left behind is judged by e2fsck. EXHAUST_ALL=1 does every k (./spillway test exhaust); EXHAUST_SEED=N is the sample's;
# EXHAUST_WORDS='take:100-120 …' does just these (the words are explained in tests/guest/exhaust.c).
# shellcheck shell=bash
# timeout: 400
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

LEVELS=6
SEED=${EXHAUST_SEED:-1}
SLOTS=400
SLOTS_ALL=1000

# judge SLOTS-FILE COUNT BYTES OUT: e2fsck on every level of every slot, two slots at a time; what is bad goes to OUT.
judge() {
    local slots=$1 count=$2
    export JUDGE_SLOTS=$1 JUDGE_BYTES=$3 JUDGE_LEVELS=$LEVELS JUDGE_CHECK=$ROOT/tools/tower-check
    # shellcheck disable=SC2016
    seq 0 $((count - 1)) | xargs -r -P 2 -n 1 bash -c '
        image=$JUDGE_SLOTS.$0
        dd if="$JUDGE_SLOTS" of="$image" bs="$JUDGE_BYTES" skip="$0" count=1 conv=sparse 2>/dev/null
        "$JUDGE_CHECK" "$image" "$JUDGE_LEVELS" >"$image.log" 2>&1 ||
            { echo "slot $0:"; grep -vE "^level [0-9]+: clean" "$image.log"; }
        rm -f "$image" "$image.log"' >"$4"
    rm -f "$slots"
}

JUDGE=
collect() {
    [ -n "$JUDGE" ] || return 0
    wait "$JUDGE"
    JUDGE=
    if [ -s "$TMP/judged" ]; then
        not_ok "$JUDGED_WORD: e2fsck at every level" "$(head -n 1 "$TMP/judged")"
        sed 's/^/    /' "$TMP/judged"
    else
        ok "$JUDGED_WORD: e2fsck at every level of $JUDGED_COUNT towers"
    fi
}

# exhaust WORD SLOTS: boots as often as it takes to do all k of WORD.
exhaust() {
    local word=$1 next count bytes line runs
    while [ -n "$word" ]; do
        truncate -s "$(($2 * TOWER_BYTES))" "$TMP/slots"
        GUEST_TIMEOUT=${EXHAUST_TIMEOUT:-180} run_guest --kernel --qemu "-initrd $TMP/tower" --disk "$TMP/slots" \
            --append 'app=exhaust stack.extra=64 stack.need=force log=error' -- "$word"
        while IFS= read -r line; do
            not_ok "${line#not ok }" "see above"
        done < <(grep -a '^not ok ' "$OUT")
        runs=$(grep -ac '^ok ' "$OUT")
        if [ "$STATUS" != 0 ]; then
            not_ok_out "$word" "status $STATUS"
        elif [ "$(last_field free)" != 64 ] || [ "$runs" -eq 0 ]; then
            not_ok_out "$word" "$runs runs, $(last_field free) of 64 stacks free"
        else
            ok "$word: $runs runs, $(grep -a '^ok ' "$OUT" | grep -vc 'met by nobody') met; $(grep -a '^reach' "$OUT")"
        fi
        read -r count bytes < <(sed -n 's/^slots \([0-9]* [0-9]*\)$/\1/p' "$OUT")
        next=$(sed -n 's/^next \([a-z]*+*\) \([0-9]*\)$/\1:\2/p' "$OUT" | head -n 1)
        collect
        mv "$TMP/slots" "$TMP/judging"
        JUDGED_WORD=$word JUDGED_COUNT=${count:-0}
        judge "$TMP/judging" "${count:-0}" "${bytes:-$TOWER_BYTES}" "$TMP/judged" &
        JUDGE=$!
        word=${next:+$next-${word##*-}}
    done
}

build_variant debug guest-tests
make_tower "$TMP/tower" --levels $LEVELS --block "${EXHAUST_BLOCK:-1K}" --data 160K || exit 1
TOWER_BYTES=$(stat -c %s "$TMP/tower")
if [ -n "${EXHAUST_WORDS:-}" ]; then
    for word in $EXHAUST_WORDS; do
        exhaust "$word" $SLOTS_ALL
    done
elif [ "${EXHAUST_ALL:-0}" = 1 ]; then
    for kind in take page heap device; do
        exhaust $kind:1-0 $SLOTS_ALL
        exhaust $kind+:1-0 $SLOTS_ALL
    done
else
    for kind in take page device; do
        exhaust $kind:1-64 $SLOTS
        exhaust "$kind:65-0:16:$SEED" $SLOTS
        exhaust "$kind+:1-0:8:$SEED" $SLOTS
    done
fi
collect
finish
