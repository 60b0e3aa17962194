// SPDX-License-Identifier: MIT
/* Stacks that come and go: the cache, a caller's own stacks, plain ones, buffers. They pass on any number of CPUs. */
#include "guest.h"

#include <lib/errno.h>
#include <lib/string.h>
#include <rt/attr.h>
#include <rt/cpu.h>
#include <rt/heap.h>
#include <rt/page.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/stack_cache.h>
#include <rt/sync.h>
#include <rt/thread.h>
#include <rt/timer.h>

#define MANY 200
#define WAIT_NS (120 * NS_PER_S)      /* a busy host may keep a CPU for seconds */

static uint64_t soon(void) { return arch_now_ns() + WAIT_NS; }

static struct stack_cache_counts counts(void)
{
    struct stack_cache_counts c;
    stack_cache_counts(UINT32_MAX, &c);
    return c;
}

/* Until what was passed on to the workers since @before has been unmapped. No cache is drained in between. */
static void settle(struct stack_cache_counts before)
{
    for (uint64_t end = soon(); arch_now_ns() < end;) {
        struct stack_cache_counts c = counts();
        if (c.unmapped - before.unmapped >= c.passed_on - before.passed_on)
            return;
        thread_sleep_ns(NS_PER_MS);
    }
    CHECK(false && "stacks are unmapped in the end");
}

/* ---- the cache ---- */

struct visit {
    struct semaphore *done;
    uintptr_t base;
    uint64_t junk;
};

static void visit_run(void *argument)
{
    struct visit *v = argument;
    volatile uint64_t words[64];
    v->base = thread_current()->home->base;
    for (unsigned i = 0; i < 64; i++)
        words[i] = i + 1;
    v->junk = words[63];
    semaphore_up(v->done);
}
static const struct thread_def visit_def = {.name = "visitor", .run = visit_run};

static void cached_stack_is_reused_at_once(void)
{
    static struct semaphore done;
    uint64_t hits = counts().hits;
    static struct visit visits[20];
    semaphore_init(&done, 0);
    for (unsigned i = 0; i < ARRAY_COUNT(visits); i++) {
        struct thread *thread;
        visits[i].done = &done;
        CHECK(thread_prepare(&visit_def, &visits[i], &thread) == 0);
        thread_set_affinity(thread, UINT64_C(1) << this_cpu()->arch.index);
        CHECK(stack_measure(thread->home) <= 128);      /* nothing of the last owner is left */
        thread_start(thread);
        CHECK(semaphore_down(&done, soon()));
        guest_wait_gone(&visit_def);
    }
    CHECK(counts().hits - hits >= ARRAY_COUNT(visits) / 2);
}

static void many_end_at_once(void)
{
    static struct semaphore done;
    static struct visit visits[MANY];
    uint64_t free_before = 0;
    for (unsigned round = 0; round < 4; round++) {
        struct stack_cache_counts before = counts();
        semaphore_init(&done, 0);
        for (unsigned i = 0; i < MANY; i++) {
            visits[i].done = &done;
            CHECK(thread_create(&visit_def, &visits[i], NULL) == 0);
        }
        for (unsigned i = 0; i < MANY; i++)
            CHECK(semaphore_down(&done, soon()));
        guest_wait_gone(&visit_def);
        settle(before);
        stack_cache_drain();
        if (round == 1)
            free_before = page_count_free();
    }
    CHECK(counts().cached <= stack_cache_most() * cpu_count);
    /* The last ones may still be on their way out. */
    for (uint64_t end = soon(); page_count_free() + 16 < free_before && arch_now_ns() < end;) {
        thread_sleep_ns(NS_PER_MS);
        stack_cache_drain();
    }
    CHECK(page_count_free() + 16 >= free_before);
}

struct release_timer {
    struct timer timer;
    struct stack *stacks[2 * STACK_CACHE_MAX];
    unsigned count;
    struct semaphore done;
};

static void release_fire(struct timer *timer)
{
    struct release_timer *r = container_of(timer, struct release_timer, timer);
    for (unsigned i = 0; i < r->count; i++)
        stack_release(r->stacks[i]);
    semaphore_up(&r->done);
}

static void release_in_an_interrupt(void)
{
    static const struct timer_ops ops = {.fire = release_fire};
    static struct release_timer r;
    stack_cache_drain();
    struct stack_cache_counts before = counts();
    const unsigned most = stack_cache_most();
    r.count = 2 * most;
    for (unsigned i = 0; i < r.count; i++)
        CHECK(stack_obtain(params.stack_size, false, &r.stacks[i]) == 0);
    semaphore_init(&r.done, 0);
    timer_init(&r.timer, &ops);
    timer_start(&r.timer, arch_now_ns() + NS_PER_MS);
    CHECK(semaphore_down(&r.done, soon()));
    settle(before);
    struct stack_cache_counts after = counts();
    CHECK(after.kept - before.kept == most);
    CHECK(after.passed_on - before.passed_on == most);
    CHECK(after.unmapped - before.unmapped >= most);
    CHECK(stack_find(r.stacks[0]->base, NULL) == r.stacks[0]);          /* cached */
}

/* ---- a caller's own stacks ---- */

STACK_DECLARE(declared, 8192);

struct own_visit {
    struct semaphore done;
    uintptr_t inside;
};

static void own_run(void *argument)
{
    struct own_visit *v = argument;
    volatile uint64_t word = 1;
    v->inside = (uintptr_t)&word;
    thread_yield();
    semaphore_up(&v->done);
}
static const struct thread_def own_def = {.name = "own-stack", .run = own_run};

static void run_on_own(struct stack *stack)
{
    static struct own_visit v;
    struct thread *thread;
    semaphore_init(&v.done, 0);
    CHECK(thread_prepare_on(&own_def, &v, stack, &thread) == 0);
    uint32_t id = thread->id;
    thread_start(thread);
    CHECK(semaphore_down(&v.done, soon()));
    for (uint64_t end = soon(); __atomic_load_n(&stack->owner, __ATOMIC_ACQUIRE) && arch_now_ns() < end;)
        thread_sleep_ns(NS_PER_MS);
    CHECK(!stack->owner && stack->last_owner == id && !strcmp(stack->last_owner_name, "own-stack"));
    CHECK(v.inside >= stack->base && v.inside < stack->top);
    CHECK(stack_find(v.inside, NULL) == stack && stack_contains((void *)v.inside));
}

static void own_stacks(void)
{
    struct stack *stack;
    CHECK(stack_adopt(declared + 16, 4096, 0, "test", &stack) == -EINVAL);
    for (unsigned flags = 0; flags <= STACK_PLAIN; flags += STACK_PLAIN)
        for (unsigned round = 0; round < 3; round++) {
            CHECK(stack_adopt(declared, sizeof(declared), flags, "own", &stack) == 0);
            CHECK(stack->guarded == !flags && stack->mapped == !flags);
            run_on_own(stack);
            run_on_own(stack);        /* the caller's again, and again */
            uintptr_t base = stack->base;
            stack_unmap(stack);
            CHECK(!stack_find(base, NULL));
            if (!flags)
                CHECK(stack_find_any(base, NULL) == stack && !strcmp(stack->last_owner_name, "own-stack"));
        }
    CHECK(stack_map(8192, STACK_OWN, "own", &stack) == 0);
    run_on_own(stack);
    stack_unmap(stack);
}

/* ---- opting out, and the list that shows it ---- */

static void wait_run(void *argument) { semaphore_down(argument, UINT64_MAX); }

static void opting_out_is_visible(void)
{
    static const struct thread_def plain = {.name = "has-plain", .run = wait_run, .plain_stack = true};
    static const struct thread_def wired = {.name = "has-wired", .run = wait_run, .wired = true};
    static const struct thread_def usual = {.name = "has-usual", .run = wait_run};
    static struct semaphore go;
    struct stack_cache_counts before = counts();
    semaphore_init(&go, 0);
    CHECK(thread_create(&plain, &go, NULL) == 0);
    CHECK(thread_create(&wired, &go, NULL) == 0);
    CHECK(thread_create(&usual, &go, NULL) == 0);
    char *text = heap_zalloc(16384), *line;
    struct strbuf out;
    strbuf_init(&out, text, 16384);
    stack_attrs[0]->ops->show(stack_attrs[0], &out);
    char expected[64];
    snprintf(expected, sizeof(expected), " has-plain home %lu unguarded plain wired ",
             (unsigned long)(params.stack_size - 2 * STACK_CANARY_BYTES));
    line = strstr(text, expected);
    CHECK(line);
    snprintf(expected, sizeof(expected), " has-wired home %lu guarded mapped wired ",
             (unsigned long)params.stack_size);
    CHECK(strstr(text, expected));
    snprintf(expected, sizeof(expected), " has-usual home %lu guarded mapped %s ",
             (unsigned long)params.stack_size, params.stack_grow ? "grows" : "wired");
    CHECK(strstr(text, expected));
    CHECK(strstr(text, "0 idle/0 idle 16384 guarded plain wired "));
    heap_free(text);
    for (unsigned i = 0; i < 3; i++)
        semaphore_up(&go);
    guest_wait_gone(&plain);
    guest_wait_gone(&wired);
    guest_wait_gone(&usual);
    settle(before);
}

/* ---- buffers ---- */

static void guarded_buffers(void)
{
    uint64_t free_before = 0;
    for (unsigned round = 0; round < 3; round++) {
        for (size_t bytes = 1; bytes < 20000; bytes = bytes * 3 + 1) {
            char *low = guarded_alloc(bytes, false), *high = guarded_alloc(bytes, true);
            CHECK(low && high && (uintptr_t)low % PAGE_BYTES == 0);
            CHECK(((uintptr_t)high + bytes) % PAGE_BYTES == 0);
            CHECK(!arch_lookup((uintptr_t)low - 1, NULL, NULL));
            CHECK(!arch_lookup((uintptr_t)high + bytes, NULL, NULL));
            CHECK(low[bytes - 1] == 0 && high[0] == 0);
            memset(low, 1, bytes);
            memset(high, 2, bytes);
            guarded_free(low);
            guarded_free(high);
        }
        if (!round)
            free_before = page_count_free();
    }
    CHECK(page_count_free() >= free_before);      /* a worker may still be freeing what was there before */
    guarded_free(NULL);
}

const struct guest_case guest_stack_checks[] = {
    {"cached-stack-is-reused-at-once", cached_stack_is_reused_at_once},
    {"many-end-at-once", many_end_at_once},
    {"release-in-an-interrupt", release_in_an_interrupt},
    {"own-stacks", own_stacks},
    {"opting-out-is-visible", opting_out_is_visible},
    {"guarded-buffers", guarded_buffers},
    {NULL, NULL},
};
