// SPDX-License-Identifier: MIT
/* The format of the blocks is nestio's. */
#include "nestio/block.c"
