// SPDX-License-Identifier: MIT
/*
 * The host's clock, timer and interrupts. All of them happen in arch_idle(): posted interrupts
 * first, then the timer when its deadline has passed; else it sleeps until then. With nothing
 * posted and no timer armed nobody could ever wake a thread: that is a deadlock, said so and ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <arch/host/host.h>
#include <lib/errno.h>

#define PENDING_MAX 256

bool host_irq_enabled;

static struct irq *pending[PENDING_MAX];
static unsigned pending_head, pending_count;
static uint64_t timer_deadline_ns = UINT64_MAX;
static bool virtual_time;
static uint64_t virtual_now_ns;
static uint32_t next_vector = 0x30;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now))
        abort();
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void host_virtual_time(bool on)
{
    virtual_now_ns = arch_now_ns();
    virtual_time = on;
}

const char *arch_clock_measured(uint64_t *hz)
{
    *hz = NS_PER_S;
    return "the host's clock";
}

uint64_t arch_now_ns(void) { return virtual_time ? virtual_now_ns : clock_ns(CLOCK_MONOTONIC); }

uint64_t arch_wall_ns(void) { return clock_ns(CLOCK_REALTIME); }

void arch_timer_arm(uint64_t deadline_ns) { timer_deadline_ns = deadline_ns; }

void host_post_irq(struct irq *irq)
{
    if (pending_count == PENDING_MAX) {
        fprintf(stderr, "host: too many interrupts pending\n");
        abort();
    }
    pending[(pending_head + pending_count++) % PENDING_MAX] = irq;
}

/* Handles what is due; false if nothing was. */
static bool deliver(void)
{
    bool any = false;

    arch_cpu()->irq_depth++;
    while (pending_count) {
        struct irq *irq = pending[pending_head];
        pending_head = (pending_head + 1) % PENDING_MAX;
        pending_count--;
        irq->ops->handle(irq);
        any = true;
    }
    if (timer_deadline_ns != UINT64_MAX && arch_now_ns() >= timer_deadline_ns) {
        timer_deadline_ns = UINT64_MAX;
        arch_upcalls.timer();
        any = true;
    }
    arch_cpu()->irq_depth--;
    return any;
}

static void preempt(void)
{
    struct arch_thread *next = arch_upcalls.preempt();

    if (next)
        arch_switch(arch_current(), next);
}

void host_poll(void)
{
    bool on = arch_irq_save();

    if (deliver())
        preempt();
    arch_irq_restore(on);
}

static void wait_for_timer(void)
{
    if (timer_deadline_ns == UINT64_MAX) {
        fprintf(stderr,
                "host: deadlock: every thread waits, no timer is armed, no interrupt posted\n");
        abort();
    }
    if (virtual_time) {
        virtual_now_ns = MAX(virtual_now_ns, timer_deadline_ns);
        return;
    }
    struct timespec until = { .tv_sec = (time_t)(timer_deadline_ns / NS_PER_S),
                              .tv_nsec = (long)(timer_deadline_ns % NS_PER_S) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

void arch_idle(void)
{
    if (!deliver()) {
        wait_for_timer();
        deliver();
    }
    preempt();
    arch_irq_disable();
}

int arch_irq_attach(struct irq *irq)
{
    if (next_vector > 0xef)
        return -ENOSPC;
    irq->vector = next_vector++;
    return 0;
}

void arch_irq_detach(struct irq *irq)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < pending_count; i++) {
        struct irq *other = pending[(pending_head + i) % PENDING_MAX];
        if (other != irq)
            pending[(pending_head + kept++) % PENDING_MAX] = other;
    }
    pending_count = kept;
    irq->vector = 0;
}

void arch_irq_message(const struct irq *irq, uint64_t *address, uint32_t *data)
{
    *address = 0;
    *data = irq->vector;
}
