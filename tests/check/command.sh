#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The command itself, without a guest: boot-line quoting, towers at every block size, what is refused and how.
. "$(dirname "$0")/../lib.sh"

spillway() {
    "$ROOT/spillway" "$@" </dev/null >"$OUT" 2>&1
    STATUS=$?
}

# Quoting: what GRUB makes of these words was seen once; the line for QEMU must be the same.
boot_line() {
    "$ROOT/spillway" run --dry-run --kernel "$@" </dev/null 2>&1 | sed -nE "s/.* -append (.*) -chardev .*/\1/p"
}
words=$(eval "printf '%s' $(boot_line --append 'app=/m/p a="x y"' -- one 'two words' "it's" 'q"q' 'b\b' '$HOME')")
assert_equal "boot line" "$words" "app=/m/p \"a=x y\" -- one \"two words\" it\\'s q\\\"q b\\\\b \$HOME"
assert_equal "a boot line without arguments" "$(boot_line --append 'app=/m/p')" "app=/m/p"

spillway run --dry-run --kernel --append app=/m/p --disk /etc/passwd,ro
assert_contains "a disk can be read-only" "format=raw,cache=writeback,file=/etc/passwd,readonly=on"

last='app=- total=- free=- low_water=- requests=- switches=- refusals=- waits=- deepest=-'
refused() {
    local name=$1 text=$2
    shift 2
    spillway run "$@"
    assert_status "$name: status" 125
    assert_contains "$name: message" "$text"
    assert_equal "$name: last line" "$(tail -n 1 "$OUT" | cut -d' ' -f1-2)" "spillway: exit=125"
}
refused "missing disk" "disk $TMP/none.img: no such file" --disk "$TMP/none.img"
assert_equal "missing disk: the whole last line" "$(tail -n 1 "$OUT")" "spillway: exit=125 $last"
refused "missing app" "app $TMP/none: no such file" --app "$TMP/none"
refused "app is no ELF file" "not an ELF program" --app "$ROOT/CMakeLists.txt"
refused "no processors" "from 1 to 64" -c 0
refused "too many processors" "from 1 to 64" -c 65
refused "sweep without its value" "--sweep needs a value" --sweep
refused "UEFI without an ISO" "--uefi boots from an ISO" --uefi --kernel --append app=/m/p
refused "unknown option" "unknown option '--disc'" --disc x
refused "timeout of zero" "--timeout 0" --timeout 0
refused "memory without a unit" "-m 64" -m 64
refused "option without its value" "--app needs a value" --app
refused "arguments in --append" "give the app's arguments after --" --append 'app=/m/p -- x'
refused "open quote" "a quote or backslash without its end" --append 'env=A="b'
refused "empty argument" "an empty argument" --append app=/m/p -- ''

for arguments in '--levels -1' '--levels 65' '--levels x' '--levels' '--levels 1 --block 3K' '--levels 1 --data 1x' \
    '--levels 1 --data 0' '--levels 1 --put /no/such/file' ''; do
    # shellcheck disable=SC2086
    spillway tower -o "$TMP/bad.img" $arguments
    assert_status "tower $arguments is refused" 2
    [ ! -e "$TMP/bad.img" ] || not_ok "tower $arguments leaves no file" "it does"
done
for block in 1K 2K 4K; do
    make_tower "$TMP/tower.img" --levels 6 --block "$block" && check_tower "tower of 6 levels, $block" "$TMP/tower.img" 6
done
make_tower "$TMP/tower.img" --levels 0 --data 64K && check_tower "tower of 0 levels" "$TMP/tower.img" 0
printf 'put into the deepest level' >"$TMP/put.txt"
make_tower "$TMP/tower.img" --levels 1 --put "$TMP/put.txt" && debugfs -R "dump /next.img $TMP/deepest.img" "$TMP/tower.img" \
    >/dev/null 2>&1 && debugfs -R 'ls -l /' "$TMP/tower.img" >"$TMP/ls" 2>&1
assert_equal 'tower --put: the file is in the deepest level' "$(debugfs -R 'cat /put.txt' "$TMP/deepest.img" 2>/dev/null)" \
    'put into the deepest level'
assert_equal 'tower --put: and in no other' "$(grep -c put.txt "$TMP/ls")" 0
check_tower 'tower --put' "$TMP/tower.img" 1
make_tower "$TMP/tower.img" --levels 32 && check_tower "tower of 32 levels" "$TMP/tower.img" 32
assert_equal "a tower of 32 levels stays below 128 MiB" $(($(stat -c %s "$TMP/tower.img") < 128 << 20)) 1
printf 'junk' | dd of="$TMP/tower.img" bs=1 seek=1080 conv=notrunc status=none
if "$ROOT/tools/tower-check" "$TMP/tower.img" >/dev/null 2>&1; then
    not_ok "tower-check sees a wrecked superblock" "it does not"
else
    ok "tower-check sees a wrecked superblock"
fi

for line in '' 003 003:x 003:240 009:1 003:0; do
    # shellcheck disable=SC2086
    spillway test sources $line
    assert_status "test sources $line is refused" 2
done
assert_contains "the line is named" "docs/sources.md has no row for line 003:0"

spillway nonsense
assert_status "unknown command" 2
spillway tune
assert_contains "later command" "not in this version"
spillway help
assert_status "help" 0
spillway version
assert_matches "version" '^spillway [0-9]+\.[0-9]+\.[0-9]+'
finish
