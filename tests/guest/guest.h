// SPDX-License-Identifier: MIT
/*
 * Tests that run in the kernel itself, on the machine. They are linked instead of src/init/app.c; the boot
 * line says which: app=checks runs all that pass, app=NAME one of them (some take a number after `--`),
 * or one that must die. tests/qemu/guest.sh and must-die.sh boot them and judge. app=costs counts
 * instructions, for tools/costs.
 */
#pragma once

#include <lib/types.h>

struct guest_case {
    const char *name;
    void (*run_case)(void);
};
/* Each ends with a NULL name. */
extern const struct guest_case guest_checks[], guest_smp_checks[], guest_entry_checks[], guest_iretq_checks[],
                               guest_deaths[], guest_costs[];
extern const struct guest_case guest_stack_checks[], guest_grow_checks[], guest_stale_checks[], guest_grow_costs[],
    guest_stack_deaths[], guest_smp_deaths[], guest_numa_checks[], guest_lock_deaths[];
extern const struct guest_case guest_extra_checks[], guest_every_stack_checks[], guest_counter_checks[],
    guest_lazy_checks[], guest_wake_checks[];

/* app=exhaust: the kth take, page or request refused, in many runs of one scenario (exhaust.c). */
unsigned guest_exhaust(void);

/* Notes a failed condition of the check that runs; it goes on. */
#define CHECK(condition)                                                                            \
    do {                                                                                            \
        if (!(condition))                                                                           \
            guest_failed(__FILE__, __LINE__, #condition);                                           \
    } while (0)
/* The number given on the boot line, for the case that is run alone; else @otherwise. */
uint64_t guest_number(uint64_t otherwise);
struct thread_def;
/* Waits until every thread of @def has left its stack and is freed: one that has told that it is done is not gone yet, and a
 * busy machine may keep it for long. */
void guest_wait_gone(const struct thread_def *def);
void guest_failed(const char *file, int line, const char *condition);
