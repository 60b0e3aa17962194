// SPDX-License-Identifier: MIT
/* The contract's last line, then the end. */
#include <rt/machine.h>

#include <arch/arch.h>
#include <lib/format.h>
#include <rt/lock_order.h>
#include <rt/log.h>
#include <rt/stack.h>
#include <rt/stats.h>
#include <rt/xstack.h>

struct app_end app_end;

noreturn_fn void machine_end(unsigned status)
{
    char extra[64];
    struct strbuf sb;
    struct xstack_totals t;
    arch_irq_disable();               /* nobody else runs, so nobody prints after the last line */
    log_flush();
    lock_order_summary();
    unsigned long deepest = stack_deepest();   /* takes locks: while their holders run */
    log_stop_others();
    log_flush();
    xstack_print_depths();
    xstack_totals(&t);
    stats_end(&t, deepest);
    strbuf_init(&sb, extra, sizeof(extra));
    if (app_end.app_status > EXIT_APP_MAX)
        strbuf_printf(&sb, " app_status=%d", app_end.app_status);
    if (app_end.signal)
        strbuf_printf(&sb, " signal=%d", app_end.signal);
    console_printf("spillway: exit=%u app=%s total=%lu free=%lu low_water=%lu requests=%lu switches=%lu "
                   "refusals=%lu waits=%lu deepest=%lu%s\n",
                   status, app_end.name ? app_end.name : "-", (unsigned long)t.total,
                   (unsigned long)t.free, (unsigned long)t.low_water, (unsigned long)t.requests,
                   (unsigned long)t.switches, (unsigned long)t.refusals, (unsigned long)t.waits,
                   deepest, extra);
    arch_machine_exit(status);
}
