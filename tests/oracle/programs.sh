# SPDX-License-Identifier: MIT
# timeout: 300
# Programs out of Debian's packages, three loop devices deep (tools/programs), and SQLite: a database that is written in
# both journal modes, also by way of shared memory in a mapped file, is whole and the same for SQLite on Linux. The
# packages are fetched once (needs the network); 15 s on two cores.
# shellcheck shell=bash
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/oracle/support/linux.sh"

for name in busybox bash e2fsck ldconfig; do
    SPILLWAY_NO_BUILD=1 "$ROOT/tools/programs" --level 3 --print "$name" >"$OUT" 2>&1
    if grep -q "^| $name .*| yes |" "$OUT"; then ok "$name"; else not_ok_out "$name" 'it does not do what it does on Linux'; fi
done

# The library, linked statically without being installed.
FOLDER=${SPILLWAY_BUILD:-$ROOT/build}/programs/sqlite
if [ ! -f "$FOLDER/libsqlite3.a" ]; then
    mkdir -p "$FOLDER" "$TMP/deb"
    (cd "$TMP/deb" && apt-get -q -o APT::Sandbox::User=root -o Debug::NoLocking=1 download libsqlite3-dev) \
        </dev/null >"$OUT" 2>&1
    dpkg-deb -x "$TMP"/deb/libsqlite3-dev_*.deb "$TMP/deb/root" >>"$OUT" 2>&1
    cp "$TMP"/deb/root/usr/lib/x86_64-linux-gnu/libsqlite3.a "$TMP"/deb/root/usr/include/sqlite3.h "$FOLDER/" 2>>"$OUT"
fi
gcc -static -O2 -o "$TMP/sqlite" -I"$FOLDER" "$ROOT/tests/oracle/support/sqlite.c" "$FOLDER/libsqlite3.a" -lm -lpthread \
    >>"$OUT" 2>&1
if [ -x "$TMP/sqlite" ]; then ok 'SQLite is linked'; else not_ok_out 'SQLite is linked' 'no libsqlite3-dev'; finish; fi

# At level 1: the image lies in a file on the disk.
for journal in delete wal; do
    mkdir -p "$TMP/outer" "$TMP/empty"
    ext2_image "$TMP/outer/next.img" 4096 24M
    ext2_image "$TMP/disk.img" 4096 40M -d "$TMP/outer"
    run_guest --app "$TMP/sqlite" --disk "$TMP/disk.img" -c 2 \
        --append 'mount=/dev/vda:/level0 mount=/level0/next.img:/m' -- /m/db "$journal"
    assert_status "a database is written, journal $journal" 0
    assert_matches "it finds itself whole, journal $journal" '^sqlite: ok$'
    rm -f "$TMP/native"
    "$TMP/sqlite" "$TMP/native" "$journal" >"$TMP/wanted"
    assert_equal "its rows are those that Linux writes, journal $journal" "$(grep -a '^sqlite: ' "$OUT")" \
        "$(cat "$TMP/wanted")"
    check_tower "e2fsck is clean, journal $journal" "$TMP/disk.img" 1
    rm -f "$TMP/inner" "$TMP/db" "$TMP/db-wal"
    debugfs -R "dump /next.img $TMP/inner" "$TMP/disk.img" >/dev/null 2>&1
    debugfs -R "dump /db $TMP/db" "$TMP/inner" >/dev/null 2>&1
    assert_equal "SQLite on Linux reads it, journal $journal" "$("$TMP/sqlite" "$TMP/db")" "$(cat "$TMP/wanted")"
done
finish
