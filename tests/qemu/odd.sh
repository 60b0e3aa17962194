# SPDX-License-Identifier: MIT
# Programs that do odd things with stacks, flags, registers and descriptors (tests/qemu/apps/odd.c): they print and end
# as on the Linux that runs this test. And those that only here can be told apart: deep I/O from tiny stacks.
# shellcheck shell=bash
# timeout: 300
. "$(dirname "$0")/../lib.sh"

musl-gcc -static -O2 -pthread -D_GNU_SOURCE -Wall -Werror -o "$TMP/odd" "$ROOT/tests/qemu/apps/odd.c" || not_ok 'odd.c builds'
mkdir "$TMP/linux"

# both WAY: the same lines, and the same end: a signal there is status 204 with that signal here.
both() {
    local wanted
    (timeout 60 "$TMP/odd" "$1" "$TMP/linux"; exit $?) >"$TMP/linux.txt" 2>/dev/null </dev/null
    wanted=$?
    run_guest --kernel --app "$TMP/odd" -- "$1" /tmp
    if [ "$wanted" -gt 128 ]; then
        assert_status "$1 ends by a signal" 204
        assert_equal "$1: the signal is the same as on Linux" "$(last_field signal)" "$((wanted - 128))"
        assert_matches "$1: a backtrace" '^    #0 0x[0-9a-f]+ [a-z0-9_]+\+0x'
    else
        assert_status "$1 ends as on Linux" "$wanted"
    fi
    assert_equal "$1 prints what it does on Linux" "$(grep -a '^odd: ' "$OUT")" "$(grep -a '^odd: ' "$TMP/linux.txt")"
    assert_equal "$1: no extra stack is lost" "$(last_field total)" "$(last_field free)"
}
ways=$("$TMP/odd")
assert_at_least 'its ways' "$(echo "$ways" | wc -l)" 16
for way in $ways; do
    both "$way"
done

# ---- the same at level 3 of a tower, where a write needs extra stacks ----
make_tower "$TMP/tower.img" --levels 3 || not_ok 'a tower' 'it cannot be made'
mounts='mount=/dev/vda:/0 mount=/0/next.img:/1 mount=/1/next.img:/2 mount=/2/next.img:/3'
for way in coroutines bare-threads; do
    run_guest --kernel --app "$TMP/odd" --disk "$TMP/tower.img" --append "$mounts" -- "$way" /3
    assert_status "$way at level 3" 0
    assert_lacks "$way at level 3: none failed" 'odd: .* [1-9][0-9]* failed'
    assert_matches "$way at level 3: all were good" '^odd: .* (0 failed, 0 bytes too deep|6 good)$'
    assert_at_least "$way at level 3: switches to extra stacks" "$(last_field switches)" 30
    assert_equal "$way at level 3: all are back" "$(last_field total)" "$(last_field free)"
    check_tower "$way: e2fsck is clean on every level" "$TMP/tower.img" 3
done
finish
