// SPDX-License-Identifier: MIT
/*
 * Loop devices: a file made into a block device. The few constants of Linux's loop interface that
 * are needed stand in loop.c, so that a C library without kernel headers will do.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include <stdbool.h>

/**
 * loop_attach() - make a file a block device.
 * @file:  the file to stand on.
 * @index: the number N of the /dev/loopN that was taken.
 * @call:  on an error: the call that failed.
 *
 * Errors:  a negative errno; then no device is taken.
 */
int loop_attach(const char *file, bool read_only, int *index, const char **call);

/**
 * loop_detach() - give a loop device back; it must not be mounted any more.
 * @index: the number loop_attach() gave.
 *
 * Errors:  a negative errno.
 */
int loop_detach(int index);

#endif
