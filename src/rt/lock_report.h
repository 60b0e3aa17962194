// SPDX-License-Identifier: MIT
/* Inside the lock-order checker: what lock_order.c has found, for lock_report.c to say. */
#pragma once

#include <lib/types.h>
#include <rt/lock_order.h>

#ifdef SPILLWAY_LOCK_ORDER

enum lock_report_kind {
    LOCK_REPORT_NONE, LOCK_REPORT_CYCLE, LOCK_REPORT_IRQ, LOCK_REPORT_SAME_LOCK, LOCK_REPORT_SAME_NODE,
    LOCK_REPORT_LEVEL, LOCK_REPORT_NOT_HELD, LOCK_REPORT_LEFT, LOCK_REPORT_FREED,
};

/* Written once, by who has turned the checker off. */
struct lock_report {
    enum lock_report_kind kind;
    uint16_t node;                    /* what was taken, given back or found; 0: none */
    int32_t where;
    struct lock_held held;            /* what was held */
    const char *what;                 /* LOCK_REPORT_LEFT: what came to its end */
    const char *full_table;           /* why it is off; NULL: another reason */
    bool ended;                       /* it is off because the machine ends */
};
extern struct lock_report lock_report;

/* Panics with the text of lock_report. */
noreturn_fn void lock_report_panic(void);

#endif
