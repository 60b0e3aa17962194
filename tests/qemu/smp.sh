# SPDX-License-Identifier: MIT
# Several CPUs: nested I/O on 2 and 4, interrupts and NMIs that nobody loses, panics on all CPUs at once.
# shellcheck shell=bash
# timeout: 600
. "$(dirname "$0")/../lib.sh"

verdict() { grep -a '^nestio: verdict=' "$OUT" | tail -n 1 | tr ' ' '\n' | sed -n "s/^$1=//p"; }

for cpus in 2 4; do
    make_tower "$TMP/tower.img" --levels 6
    GUEST_TIMEOUT=200 run_guest --kernel -c $cpus --disk "$TMP/tower.img" -- --levels 6 --threads 4 --ops 2000
    assert_status "nestio on $cpus CPUs: exit 0" 0
    assert_contains "nestio on $cpus CPUs: all are in use" "CPUs in use: $cpus"
    assert_equal "nestio on $cpus CPUs: wrong" "$(verdict wrong)" 0
    assert_equal "nestio on $cpus CPUs: extra stacks on each" "$(last_field total)" $((64 * cpus))
    assert_equal "nestio on $cpus CPUs: every stack went home" "$(last_field free)" "$(last_field total)"
    check_tower "nestio on $cpus CPUs: e2fsck of every level" "$TMP/tower.img" 6
done
mke2fs -q -t ext2 "$TMP/disk" 64M 2>/dev/null
for program in threads:4 clock:4 mem:2 syncs:4; do
    GUEST_TIMEOUT=200 run_guest --app "$APPS/tests/${program%:*}" -c "${program#*:}" -m 512M --disk "$TMP/disk" \
        --append mount=/dev/vda:/tmp/m -- /tmp/m
    assert_status "${program%:*} on ${program#*:} CPUs" 0
done

build_variant guest-tests
for check in interrupts-without-stack nmis-without-stack; do
    run_guest -c 2 --append "app=$check" -- 1000000
    assert_contains "a million: $check" "ok $check"
done
for death in panic-everywhere:202 panic-while-talking:202 panic-while-others-spin:202 unexpected-nmi:202 \
    guard-on-last-cpu:200; do
    GUEST_TIMEOUT=60 run_guest -c 4 --append "app=${death%:*}"
    assert_status "${death%:*} on 4 CPUs" "${death#*:}"
    assert_equal "${death%:*}: one report" "$(grep -acE '^spillway: (PANIC|GUARD)' "$OUT")" 1
done
finish
