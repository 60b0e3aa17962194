# SPDX-License-Identifier: MIT
# The tests that run in the kernel itself (tests/guest/checks.c), with both boot protocols and an old CPU.
# shellcheck shell=bash
# timeout: 400
. "$(dirname "$0")/../lib.sh"

build_variant guest-tests

# guest_checks LABEL RUN-ARGS...: every case of the guest counts as one here.
guest_checks() {
    local label=$1 line
    shift
    run_guest "$@"
    while IFS= read -r line; do
        case $line in
        "not ok "*) not_ok "${line#not ok } ($label)" "see above" && grep -a '^  ' "$OUT" ;;
        *) ok "${line#ok } ($label)" ;;
        esac
    done < <(grep -aE '^(not )?ok ' "$OUT")
    assert_status "guest checks end well ($label)" 0
}

# One case alone, on four CPUs.
if [ -n "${SPILLWAY_CASES:-}" ]; then
    while IFS= read -r name; do
        guest_checks smp4 --append "app=${name%% *}" -c 4
    done <<<"$SPILLWAY_CASES"
    finish
fi

guest_checks pvh --append app=checks
guest_checks iso --iso --append app=checks
guest_checks qemu64 --append app=checks --qemu '-cpu qemu64'
guest_checks smp2 --append app=checks -c 2
guest_checks smp4 --append app=checks -c 4
guest_checks small --append app=checks -m 16M
finish
