// SPDX-License-Identifier: MIT
/*
 * Tests that run in the kernel itself, on the machine. They are linked instead of src/init/app.c; the boot
 * line says which: app=checks runs all that pass, app=NAME one that must die. tests/qemu/guest.sh and
 * must-die.sh boot them and judge. app=costs counts instructions, for tools/costs.
 */
#pragma once

#include <lib/types.h>

struct guest_case {
    const char *name;
    void (*run_case)(void);
};
/* They end with a NULL name. */
extern const struct guest_case guest_checks[], guest_deaths[], guest_costs[];

/* app=exhaust: the kth take, page or request refused, in many runs of one scenario (exhaust.c). */
unsigned guest_exhaust(void);

/* Notes a failed condition of the check that runs; it goes on. */
#define CHECK(condition)                                                                            \
    do {                                                                                            \
        if (!(condition))                                                                           \
            guest_failed(__FILE__, __LINE__, #condition);                                           \
    } while (0)
void guest_failed(const char *file, int line, const char *condition);
