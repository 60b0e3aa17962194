// SPDX-License-Identifier: MIT
/*
 * What growth costs and saves: instructions (under QEMU's -icount, where the time-stamp counter counts them), and
 * memory of many threads. docs/growth.md has the table and the commands; app=grow-costs prints one run's.
 */
#include "guest.h"
#include "stacks.h"

#include <arch/stack_pages.h>
#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/page.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/stack_cache.h>
#include <rt/stack_grow.h>
#include <rt/sync.h>
#include <rt/thread.h>
#include <x86.h>

#define ROUNDS 200u
#define THREADS 400u

static struct stack *home(void) { return thread_current()->home; }

static void say(const char *name, uint64_t value) { console_printf("  grow-cost %s %lu\n", name, value); }

static volatile uint64_t marked;
static noinline void mark(void) { marked = rdtsc(); }
static noinline uint64_t since_mark(void) { return rdtsc() - marked; }

/* @gone: the page had no frame; else its frame was kept. The fewest of many. */
static uint64_t fault_ticks(bool gone)
{
    uint64_t least = UINT64_MAX, ruler = UINT64_MAX;
    size_t index = (home()->top - home()->base) / PAGE_BYTES - 2;
    uint64_t *entry = &home()->growth->entries[index];
    volatile char *page = (char *)home()->base + index * PAGE_BYTES;
    for (unsigned i = 0; i < ROUNDS; i++) {
        thread_sleep_ns(20 * NS_PER_US);
        bool irq = arch_irq_save();
        *page = 1;
        if (gone) {
            uint64_t frame = *entry & ARCH_ENTRY_FRAME;
            *entry = 0;
            arch_flush_all();
            page_free(arch_phys_to_virt(frame), 0);
        } else {
            *entry = (*entry & ARCH_ENTRY_FRAME) | ARCH_ENTRY_KEPT;
            arch_flush_all();
        }
        mark();
        *page = 1;
        uint64_t ticks = since_mark();
        least = MIN(least, ticks);
        mark();
        *page = 1;
        ticks = since_mark();
        ruler = MIN(ruler, ticks);
        arch_irq_restore(irq);
    }
    return least - ruler;
}

/* ---- switches ---- */

struct pair {
    bool deep;
    uint64_t least;                   /* ticks of two switches, and of the other thread's turn */
    struct semaphore done;
};

static void dig(void *argument)
{
    (void)argument;
    for (uintptr_t at = home()->top - PAGE_BYTES; at >= home()->base; at -= PAGE_BYTES)
        *(volatile char *)at = 1;
}
static const struct on_stack_ops dig_ops = {.on_stack = dig};

static void take_turns(void *argument)
{
    struct pair *p = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        mark();
        if (p->deep)
            run_on(home()->base + 512, &dig_ops, NULL);
        thread_yield();
        uint64_t ticks = since_mark();
        if (i > 20 && ticks < p->least)
            p->least = ticks;
    }
    semaphore_up(&p->done);
}
static const struct thread_def turn_def = {.name = "turn", .run = take_turns};

/* Two threads that take turns on this CPU: instructions from one yield to the next. */
static uint64_t switch_ticks(bool deep)
{
    static struct pair p;
    p.deep = deep;
    p.least = UINT64_MAX;
    semaphore_init(&p.done, 0);
    for (unsigned i = 0; i < 2; i++) {
        struct thread *thread;
        CHECK(thread_prepare(&turn_def, &p, &thread) == 0);
        thread_set_affinity(thread, UINT64_C(1) << this_cpu()->arch.index);
        thread_start(thread);
    }
    for (unsigned i = 0; i < 2; i++)
        CHECK(semaphore_down(&p.done, UINT64_MAX));
    return p.least;
}

/* ---- memory ---- */

struct sleepers {
    bool deep;
    struct semaphore ready, go;
};

static void sleep_run(void *argument)
{
    struct sleepers *s = argument;
    if (s->deep)
        run_on(home()->base + 512, &dig_ops, NULL);
    semaphore_up(&s->ready);
    semaphore_down(&s->go, UINT64_MAX);
}
static const struct thread_def sleep_def = {.name = "sleeper", .run = sleep_run};

static void memory(const char *name, const char *frames_name, bool deep)
{
    static struct sleepers s;
    static struct thread *threads[THREADS];
    uint64_t frames = 0;
    s.deep = deep;
    semaphore_init(&s.ready, 0);
    semaphore_init(&s.go, 0);
    stack_cache_drain();
    uint64_t free_before = page_count_free();
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(thread_create(&sleep_def, &s, &threads[i]) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(semaphore_down(&s.ready, UINT64_MAX));
    thread_sleep_ns(5 * NS_PER_MS);
    stack_grow_reclaim();
    say(name, (free_before - page_count_free()) * PAGE_BYTES / THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        unsigned kept = 0, mapped = stack_grow_pages(threads[i]->home, &kept);
        frames += home()->grows ? mapped + kept : (home()->top - home()->base) / PAGE_BYTES;
    }
    say(frames_name, frames * 100 / THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        semaphore_up(&s.go);
    thread_sleep_ns(100 * NS_PER_MS);
    stack_cache_drain();
}

/* ---- one life of a stack: from the cache and back to it, or mapped and unmapped ---- */

static void life(const char *name, bool cached)
{
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < 20; i++) {
        struct stack *stack;
        mark();
        CHECK(stack_obtain(params.stack_size, false, &stack) == 0);
        stack_release(stack);
        if (!cached)
            stack_cache_drain();
        uint64_t ticks = since_mark();
        least = MIN(least, ticks);
    }
    say(name, least);
}

static void grow_costs(void)
{
    life("life-cached", true);
    life("life-mapped", false);
    if (home()->grows) {
        say("fault", fault_ticks(true));
        say("put-back", fault_ticks(false));
    }
    say("turn", switch_ticks(false));
    say("turn-deep", switch_ticks(true));
    memory("bytes-asleep", "pages-asleep-x100", false);
    memory("bytes-asleep-after-depth", "pages-asleep-after-depth-x100", true);
}

const struct guest_case guest_grow_costs[] = {
    {"grow-costs", grow_costs},
    {NULL, NULL},
};
