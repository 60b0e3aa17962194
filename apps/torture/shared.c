// SPDX-License-Identifier: MIT
/* Loop devices and /sys/stack are used as nestio uses them: its sources are compiled in here. */
#include "nestio/loop.c"
#include "nestio/stackinfo.c"
