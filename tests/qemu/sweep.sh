# SPDX-License-Identifier: MIT
# run --stats: JSON lines whose last one agrees with the console. run --sweep: a table, one run a value.
# shellcheck shell=bash
. "$(dirname "$0")/../lib.sh"

# ---- --stats ----
stats=$TMP/stats.json
GUEST_TIMEOUT=150 run_guest --kernel --stats "$stats" --append stats=50 -- --levels 3 --threads 2 --ops 600
assert_status "stats: the run" 0
assert_at_least "stats: several samples" "$(wc -l <"$stats")" 3
number='[0-9]+'
probe="\"[a-z_]+\":\\{\"requests\":$number,\"switches\":$number,\"refusals\":$number\\}"
line="^\\{(\"[a-z_]+\":$number,)+\"probes\":\\{$probe(,$probe)*\\}\\}\$"
assert_equal "stats: every line is an object of numbers" "$(grep -cvE "$line" "$stats")" 0
for name in total free low_water requests switches refusals waits deepest; do
    assert_equal "stats: the last sample's $name" \
        "$(tail -n 1 "$stats" | sed -nE "s/^\\{.*\"$name\":([0-9]+),.*\"probes\".*/\\1/p")" "$(last_field $name)"
done
sum=$(tail -n 1 "$stats" | sed 's/.*"probes"://' | grep -o '"switches":[0-9]*' | cut -d: -f2 | paste -sd+)
assert_equal "stats: the probes' switches add up" "$((sum))" "$(last_field switches)"
previous=0 backwards=0
while read -r ms; do
    [ "$ms" -gt "$previous" ] || backwards=$((backwards + 1))
    previous=$ms
done < <(sed -nE 's/^\{"ms":([0-9]+),.*/\1/p' "$stats")
assert_equal "stats: time goes on" "$backwards" 0
run_guest --app "$APPS/hello" --stats "$TMP/none/stats.json"
assert_status "stats: a file that cannot be written" 125
assert_contains "stats: it is named" "--stats $TMP/none/stats.json: cannot be written"
run_guest --app "$APPS/hello" --append stats=0
assert_status "stats=0 is a bad value" 203

# ---- --sweep ----
make_tower "$TMP/tower.img" --levels 3
before=$(sha256sum <"$TMP/tower.img")
row() { sed -nE "s/^$1 +(.*)/\\1/p" "$OUT" | tr -s ' '; }
GUEST_TIMEOUT=100 run_guest --kernel --sweep stack.extra=0..2 --append 'stack.size=8K stack.extra_size=8K stack.need=4K' \
    --disk "$TMP/tower.img" -- --levels 3 --threads 2 --ops 200
assert_status "sweep: every run ended by itself" 0
assert_matches "sweep: the table's head" '^stack\.extra +exit +requests +switches +refusals +low_water +deepest +seconds$'
assert_equal "sweep: a row a value" "$(grep -cE '^[0-9]+ +[0-9]+ +[0-9]+ ' "$OUT")" 3
assert_equal "sweep: without stacks nestio is refused" "$(row 0 | cut -d' ' -f1)" 3
assert_equal "sweep: no switch without stacks" "$(row 0 | cut -d' ' -f3)" 0
assert_at_least "sweep: switches with two" "$(row 2 | cut -d' ' -f3)" 1
assert_equal "sweep: the disk is as before" "$(sha256sum <"$TMP/tower.img")" "$before"

run_guest --app "$APPS/hello" --sweep log=info,chatty,warn
assert_status "sweep: the status of the run that failed" 203
assert_matches "sweep: and goes on after it" '^warn +0 '
assert_contains "sweep: the reason is told" "log=chatty ended with 203: bad boot parameter log=chatty"
for spec in stack.extra stack.extra=3..1 stack.extra=1K..2 =1..2 stack.extra=a..b; do
    run_guest --app "$APPS/hello" --sweep "$spec"
    assert_status "sweep: $spec is refused" 125
done
finish
