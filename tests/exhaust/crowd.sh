# SPDX-License-Identifier: MIT
# 10000 threads inside a read at the same time, in each mode. See tests/qemu/crowd.sh. (About two minutes.)
# shellcheck shell=bash
# timeout: 1800
export CROWD_THREADS=10000 CROWD_MEMORY=1536M
. "$(dirname "$0")/../qemu/crowd.sh"
