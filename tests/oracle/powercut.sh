# SPDX-License-Identifier: MIT
# Power cuts. QEMU's blklogwrites records every write and flush of a disk while threads at every level of a tower make,
# sync, change, rename and remove files, and note on the disk itself what is safe. Then the disk is put together as it
# was at a flush, and with some of the writes behind it, more than 200 times: e2fsck finds no more than leaks at every
# level, and what was safe is there. POWERCUT_SEED=N draws others, POWERCUT_CUTS=N asks for more.
# shellcheck shell=bash
# timeout: 600
. "$(dirname "$0")/../lib.sh"
SEED=${POWERCUT_SEED:-1}
SUPPORT=$ROOT/tests/oracle/support

build_app "$SUPPORT/durable.c" "$TMP/durable"
gcc -O2 -Wall -Wextra -std=gnu17 -o "$TMP/powercut" "$SUPPORT/powercut.c" || not_ok 'powercut builds'

# cuts NAME BLOCK LEVELS FILES LEAST: records FILES files per level, then judges at least LEAST cuts.
cuts() {
    local name=$1 block=$2 levels=$3 files=$4 least=$5 image=$TMP/disk log=$TMP/log offset flushes step half level
    local mounts='mount=/dev/vda:/0' dirs=(/0) done=0 bad=0 pids=()
    make_tower "$image" --levels "$levels" --block "$((block / 1024))K" --data 3M || { not_ok "$name: tower"; return; }
    offset=$(stat -c %s "$image")
    truncate -s +64K "$image"
    cp "$image" "$TMP/base"
    rm -f "$log"
    truncate -s 0 "$log"
    for ((level = 1; level <= levels; level++)); do
        mounts+=" mount=/$((level - 1))/next.img:/$level"
        dirs+=("/$level")
    done
    run_guest --app "$TMP/durable" --append "$mounts" --qemu "-blockdev driver=blklogwrites,node-name=cut,file.driver=file,file.filename=$image,log.driver=file,log.filename=$log,log-sector-size=512 -device virtio-blk-pci,drive=cut,disable-legacy=on" -- \
        load "$files" /dev/vda "$offset" "${dirs[@]}"
    assert_status "$name: the load" 0
    flushes=$("$TMP/powercut" "$log")
    if [ "${flushes:-0}" -eq 0 ]; then
        not_ok "$name: the record has flushes" 'none'
        return
    fi
    # Two cuts for each flush that is taken, and two programs that take them by turns.
    step=$((2 * flushes / least))
    [ "$step" -ge 2 ] || step=2
    step=$((step / 2 * 2))
    echo "$name: seed $SEED, $flushes flushes, one in $((step / 2)) is cut at"
    for half in 0 1; do
        mkdir -p "$TMP/work$half"
        "$TMP/powercut" "$log" "$TMP/base" "$TMP/cut$half" "$TMP/notes$half" "$SEED" "$block" \
            $((half * step / 2)) "$step" -- bash "$SUPPORT/judge-cut.sh" "$TMP/cut$half" "$TMP/notes$half" "$levels" \
            "$TMP/work$half" "$TMP/durable" >"$TMP/cuts$half" 2>&1 &
        pids+=($!)
    done
    wait "${pids[@]}"
    for half in 0 1; do
        done=$((done + $(sed -n 's/^cuts \([0-9]*\) bad .*/\1/p' "$TMP/cuts$half")))
        bad=$((bad + $(sed -n 's/^cuts [0-9]* bad \([0-9]*\) .*/\1/p' "$TMP/cuts$half")))
    done
    grep -hv '^cuts ' "$TMP"/cuts[01] | head -n 20 | sed 's/^/    /'
    echo "$name: $done cuts, $bad bad"
    assert_at_least "$name: cuts (seed $SEED)" "$done" "$least"
    assert_equal "$name: bad cuts (seed $SEED)" "$bad" 0
    assert_at_least "$name: things that had to be safe" \
        "$(sed -n 's/.* notes \([0-9]*\)$/\1/p' "$TMP/cuts0")" $((files * (levels + 1)))
}

cuts 'levels 0 to 3, blocks of 4096' 4096 3 16 "${POWERCUT_CUTS:-130}"
cuts 'levels 0 and 1, blocks of 1024' 1024 1 24 "${POWERCUT_CUTS:-80}"
finish
