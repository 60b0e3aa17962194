# SPDX-License-Identifier: MIT
# For the tests that compare with Linux; sourced after tests/lib.sh.
#
# need_linux                  a case: the Linux guest can be made; without it the script ends here, failed
# run_linux OPTIONS -- TEXT   tools/linux-guest; sets STATUS and the file OUT as run_guest does
# ext2_image FILE BLOCK SIZE [MKE2FS OPTIONS]
# shellcheck shell=bash

need_linux() {
    if "$ROOT/tools/linux-guest" --prepare >"$OUT" 2>&1; then
        ok 'the Linux guest, from the Debian package linux-image-cloud-amd64'
    else
        not_ok_out 'the Linux guest, from the Debian package linux-image-cloud-amd64' "$(tail -n 1 "$OUT")"
        finish
    fi
}

run_linux() {
    echo "run: linux-guest$(printf ' %q' "$@")"
    "$ROOT/tools/linux-guest" --timeout "${GUEST_TIMEOUT:-120}" "$@" </dev/null >"$OUT.raw" 2>&1
    STATUS=$?
    tr -d '\r' <"$OUT.raw" >"$OUT"
}

ext2_image() {
    local file=$1 block=$2 size=$3
    shift 3
    rm -f "$file"
    truncate -s "$size" "$file"
    mke2fs -q -F -t ext2 -b "$block" -O none,filetype,sparse_super,large_file "$@" "$file" >/dev/null
}
