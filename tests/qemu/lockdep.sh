# SPDX-License-Identifier: MIT
# The lock-order checker of the debug build: it finds what tests/guest/deaths_locks.c does wrong, and nothing in the
# kernel itself, in six levels of nested I/O, in all guest checks and in a torture.
# shellcheck shell=bash
# timeout: 600
. "$(dirname "$0")/../lib.sh"

PLAIN=$BUILD
SUMMARY='^lock order: [0-9]+ nodes of [0-9]+, [0-9]+ edges of [0-9]+, on to the end$'

# clean NAME STATUS: the run ended so, and the checker was on all the time.
clean() {
    assert_status "$1: exit $2" "$2"
    assert_matches "$1: the checker was on to the end" "$SUMMARY"
    assert_lacks "$1: nothing reported" 'PANIC'
}

# reports NAME TEXT...: the guest case NAME dies of a report that has every TEXT.
reports() {
    local name=$1 text missing=
    shift
    GUEST_TIMEOUT=60 run_guest --append "app=$name"
    for text; do
        grep -qaE -- "$text" "$OUT" || missing=$text
    done
    if [ "$STATUS" != 202 ]; then
        not_ok_out "$name" "status $STATUS, expected 202"
    elif [ -n "$missing" ]; then
        not_ok_out "$name" "the report lacks: $missing"
    elif [ "$(grep -acE '^spillway: PANIC' "$OUT")" != 1 ]; then
        not_ok_out "$name" 'more than one report'
    else
        ok "$name"
    fi
}

# How many kinds of lock, by class, level and nesting, the run has seen.
nodes() { sed -n 's/^lock order: \([0-9]*\) nodes .*/\1/p' "$OUT" | tail -n 1; }

build_variant debug
for cpus in 1 2; do
    make_tower "$TMP/tower.img" --levels 6
    GUEST_TIMEOUT=200 run_guest --kernel -c $cpus --disk "$TMP/tower.img" -- --levels 6 --threads 4 --ops 1000
    clean "nestio, six levels, $cpus CPUs" 0
    assert_at_least "nestio, six levels, $cpus CPUs: nodes" "$(nodes)" 80
done
make_tower "$TMP/tower.img" --levels 6
GUEST_TIMEOUT=200 run_guest --kernel -c 2 --disk "$TMP/tower.img" --append 'stack.need=force' -- \
    --levels 6 --threads 4 --ops 500
clean 'nestio with every probe switching' 0
while read -r _ name _ need _ deepest _; do
    assert_at_least "depth below ${name%:} with the checker is within its need" "$((${need%,} - ${deepest%,}))" 0
done < <(grep -a '^probe [a-z_]*: need ' "$OUT")
make_tower "$TMP/tower.img" --levels 6 --data 512K
GUEST_TIMEOUT=200 run_guest --app "$APPS/torture" --kernel --disk "$TMP/tower.img" -c 2 -- \
    --levels 6 --threads 8 --seconds 15 --seed 7 --pool-min 48
clean 'torture' 0

BUILD=$PLAIN
export SPILLWAY_BUILD=$BUILD
build_variant debug guest-tests
GUEST_TIMEOUT=200 run_guest --append app=checks
clean 'the guest checks' 0

reports lock-abba 'lock order: "a" is taken while "c" is held, and it was the other way round before' \
    'now: +"c" held since lock_abba\+0x[0-9a-f]+, then "a" at lock_abba\+0x' \
    'before: "a" held since ab_run\+0x.*, then "b" .*by thread [0-9]+ "orderly"' \
    'before: "b" held since ab_run\+0x.*, then "c" .*by thread [0-9]+ "orderly"' \
    'held by this thread: "c" since' 'lock_abba\+0x' 'thread [0-9]+ "init"'
reports lock-abba-spin '"spin_a" is taken while "spin_b" is held' 'before: "spin_a" held since lock_abba_spin\+0x'
reports lock-twins 'two locks "twin" level 4 are taken in no known order' 'held by this thread: "twin" level 4'
reports lock-levels '"twin" level 5 is taken while "twin" level 4 is held: levels go down'
reports lock-twice '"a" is taken by who holds it already' 'lock_twice\+0x'
reports lock-sleep-under-spin 'may sleep, but was called with a spin lock held' \
    'held by this CPU: "spin_a" since lock_sleep_under_spin\+0x'
reports lock-sleep-irq-off 'may sleep, but was called with interrupts or pre-emption off' 'lock_sleep_irq_off\+0x'
reports lock-sleep-in-interrupt 'mutex_lock may sleep, but was called' 'sleep_in_interrupt\+0x'
reports lock-irq-inversion 'irq inversion: "spin_b" is held with interrupts on, "spin_a" is taken in interrupts' \
    'in an interrupt: "spin_a" at spin_in_interrupt\+0x' 'before: "spin_a" held since .*then "spin_b"' \
    'interrupts on: +"spin_b" at lock_irq_inversion\+0x'
reports lock-probe 'the probe vfs_read may sleep, but was called with a spin lock held' 'lock_probe\+0x'
reports lock-not-held '"spin_a" is given back by who does not hold it' 'now: +at lock_not_held\+0x'
reports lock-of-another '"a" is given back by who does not hold it' 'now: +at lock_of_another\+0x'
reports lock-thread-end 'a thread ends with "a" held' 'thread [0-9]+ "forgetful"' 'since ends_run\+0x'
reports lock-work-end 'a piece of work ends with "a" held' 'since keep_lock\+0x'
reports lock-system-call 'a system call ends with "a" held' 'since lock_system_call\+0x'
reports lock-freed 'what is freed contains "m", which is held' 'since lock_freed\+0x'

GUEST_TIMEOUT=60 run_guest --append app=lock-overflow
assert_contains 'a full table is said' 'the lock-order checker is off from here on: its table of locks held by a thread is full'
assert_contains 'a full table ends the checking' 'lock-overflow did not die'
assert_matches 'a full table is said at the end too' '^lock order: .*, turned off before the end$'
finish
