# SPDX-License-Identifier: MIT
# Every k that the scenario reaches, in the guest. See tests/qemu/exhaust.sh.
# shellcheck shell=bash
# timeout: 10800
export EXHAUST_ALL=1 EXHAUST_TIMEOUT=1200
. "$(dirname "$0")/../qemu/exhaust.sh"
