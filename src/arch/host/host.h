// SPDX-License-Identifier: MIT
/*
 * What tests may ask of the host port. One process is the machine, its one system thread the CPU.
 *
 *     host_boot(MIB(64), "stack.extra=4");     fills boot_info, makes the windows
 *     … the runtime's own initialisation …
 *     host_post_irq(&device->irq);             the handler runs in the next arch_idle()
 *
 * Interrupts arrive in arch_idle() only: nothing is preempted, and a thread that never blocks sees
 * none.
 */
#pragma once

#include <arch/arch.h>

#define HOST_MEMORY_DEFAULT MIB(256)

/* @memory_bytes of physical memory (0: the default) and the boot line. Once a process. */
void host_boot(uint64_t memory_bytes, const char *command_line);

/* Raises @irq. It may be raised again before it was handled, up to 256 pending in all. */
void host_post_irq(struct irq *irq);

/* Handles what is pending, as arch_idle() would, without waiting; for a thread that polls. */
void host_poll(void);

/* A clock that stands still but for arch_idle(), which moves it to the next deadline. */
void host_virtual_time(bool on);

/* What arch_memory_nodes() reports from here on, at first nothing; @nodes stays the caller's. */
void host_memory_nodes(const struct arch_memory_node *nodes, int count);

/* Console output goes to @buffer (terminated, cut when full) instead of stderr; NULL ends that. */
void host_console_capture(char *buffer, size_t bytes);

/* ---- between the files of this port ---- */
void host_memory_init(uint64_t bytes);
void host_cpu_init(void);
