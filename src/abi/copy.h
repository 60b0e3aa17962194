// SPDX-License-Identifier: MIT
/*
 * Between kernel memory and the app's. The copies try first and look at the mappings only when a
 * page is not present; app_check_read() and app_check_write() are for buffers that file I/O fills
 * or reads deeper down, where a page that is missing would be an error. Thread context, no spin
 * lock; may sleep.
 */
#pragma once

#include <lib/types.h>

/* -EFAULT; -ENOMEM a page of a NORESERVE mapping could not be had. */
int app_check_read(uint64_t address, uint64_t bytes);
int app_check_write(uint64_t address, uint64_t bytes);

/* As above; an unknown part was copied then. */
int app_copy_in(void *dst, uint64_t src, size_t bytes);
int app_copy_out(uint64_t dst, const void *src, size_t bytes);
int app_zero(uint64_t dst, size_t bytes);

/**
 * app_copy_string() - a terminated string of the app into @dst.
 * Returns its length, or -EFAULT, or -ENAMETOOLONG when it and its 0 do not fit @size.
 */
ssize_t app_copy_string(char *dst, uint64_t src, size_t size);

/* The same into a fresh page of the heap, for paths; heap_free() it. -ENOMEM. */
int app_path_in(uint64_t src, char **out);
