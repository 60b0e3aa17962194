// SPDX-License-Identifier: MIT
/* The kernel heap: slabs from 16 to 1984 bytes (aligned to 64 from 64 on), whole
 * pages above. Never sleeps. Any context but NMI. */
#pragma once

#include <lib/types.h>

void *heap_alloc(size_t bytes);       /* NULL when memory is out */
void *heap_zalloc(size_t bytes);
/* The same from memory node @node if it has some; the others prefer that of this CPU. */
void *heap_alloc_on(uint32_t node, size_t bytes);
void *heap_zalloc_on(uint32_t node, size_t bytes);
void heap_free(void *p);              /* NULL is allowed */
char *heap_strdup(const char *s);
uint64_t heap_bytes_in_use(void);
/* What an object of @bytes takes of memory: its share of a slab's page, or whole pages. */
size_t heap_cost(size_t bytes);
