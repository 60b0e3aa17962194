// SPDX-License-Identifier: MIT
#include "guest.h"

#include <init/setup.h>
#include <lib/string.h>
#include <rt/log.h>
#include <rt/machine.h>
#include <rt/param.h>

static unsigned failures;

void guest_failed(const char *file, int line, const char *condition)
{
    failures++;
    console_printf("  %s:%d: %s\n", file, line, condition);
}

static unsigned run_checks(void)
{
    unsigned failed_cases = 0;
    for (const struct guest_case *c = guest_checks; c->name; c++) {
        failures = 0;
        c->run_case();
        console_printf("%s %s\n", failures ? "not ok" : "ok", c->name);
        failed_cases += failures != 0;
    }
    return failed_cases ? 1 : 0;
}

unsigned setup_run_app(void)
{
    const char *name = params.app ? params.app : "checks";
    app_end.name = name;
    if (!strcmp(name, "checks"))
        return run_checks();
    if (!strcmp(name, "exhaust"))
        return guest_exhaust();
    for (const struct guest_case *c = guest_deaths; c->name; c++)
        if (!strcmp(name, c->name)) {
            console_printf("about to die: %s\n", name);
            c->run_case();
            console_printf("%s did not die\n", name);
            return 1;
        }
    for (const struct guest_case *c = guest_costs; c->name; c++)
        if (!strcmp(name, c->name)) {
            c->run_case();
            return failures ? 1 : 0;
        }
    console_printf("no case is called %s\n", name);
    return EXIT_SETUP;
}
