// SPDX-License-Identifier: MIT
#include "guest.h"

#include <init/setup.h>
#include <lib/string.h>
#include <rt/log.h>
#include <rt/machine.h>
#include <rt/param.h>
#include <rt/thread.h>

static unsigned failures;

void guest_failed(const char *file, int line, const char *condition)
{
    failures++;
    console_printf("  %s:%d: %s\n", file, line, condition);
}

uint64_t guest_number(uint64_t otherwise)
{
    uint64_t number = 0;
    if (!params.arg_count)
        return otherwise;
    for (const char *c = params.args[0]; *c >= '0' && *c <= '9'; c++)
        number = number * 10 + (uint64_t)(*c - '0');
    return number;
}

struct thread_count {
    struct thread_visitor visitor;
    const struct thread_def *def;
    uint32_t *count;
};

static void count_thread(const struct thread_visitor *visitor, struct thread *thread)
{
    const struct thread_count *c = container_of(visitor, const struct thread_count, visitor);
    *c->count += thread->def == c->def;
}

void guest_wait_gone(const struct thread_def *def)
{
    uint32_t count = 1;
    const struct thread_count c = {.visitor = {.visit = count_thread}, .def = def, .count = &count};
    for (uint64_t end = arch_now_ns() + 120 * NS_PER_S; count && arch_now_ns() < end;) {
        thread_sleep_ns(NS_PER_MS);
        count = 0;
        thread_for_each(&c.visitor);
    }
    CHECK(count == 0 && "threads that have ended are freed");
}

static const struct guest_case *const check_tables[] = {
    guest_checks, guest_smp_checks, guest_entry_checks, guest_iretq_checks, guest_stack_checks, guest_grow_checks,
    guest_stale_checks, guest_grow_costs, guest_numa_checks, guest_extra_checks, guest_every_stack_checks,
    guest_counter_checks, guest_lazy_checks, guest_wake_checks,
};

static const struct guest_case *const death_tables[] = {
    guest_deaths, guest_stack_deaths, guest_smp_deaths, guest_lock_deaths,
};

/* All checks, or the one called @only; how many there were, and in *@failed how many of them failed. */
static unsigned run_checks(const char *only, unsigned *failed)
{
    unsigned found = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(check_tables); i++)
        for (const struct guest_case *c = check_tables[i]; c->name; c++) {
            if (only && strcmp(only, c->name))
                continue;
            failures = 0;
            c->run_case();
            console_printf("%s %s\n", failures ? "not ok" : "ok", c->name);
            *failed += failures != 0;
            found++;
        }
    return found;
}

unsigned setup_run_app(void)
{
    const char *name = params.app ? params.app : "checks";
    app_end.name = name;
    if (!strcmp(name, "exhaust"))
        return guest_exhaust();
    unsigned failed = 0;
    if (run_checks(strcmp(name, "checks") ? name : NULL, &failed))
        return failed ? 1 : 0;
    for (unsigned i = 0; i < ARRAY_COUNT(death_tables); i++)
        for (const struct guest_case *c = death_tables[i]; c->name; c++)
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
