// SPDX-License-Identifier: MIT
/* The app's terminal: the character devices console and tty, on the serial console. */
#pragma once

#include <vfs/vfs.h>

/* Registers the devices and opens them as descriptors 0, 1 and 2. */
int console_start(void);
