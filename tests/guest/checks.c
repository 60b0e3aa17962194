// SPDX-License-Identifier: MIT
/* Cases that pass: what only the machine can show. Native tests of the same code are in tests/host. */
#include "guest.h"

#include <arch/arch.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/cpu.h>
#include <rt/heap.h>
#include <rt/page.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/stack_cache.h>
#include <rt/sync.h>
#include <rt/xstack.h>
#include <rt/xstack_pool.h>

/* ---- pre-emption: threads that never give way share the CPU ---- */

struct spinner {
    volatile uint64_t count;
    volatile bool stop;
    struct semaphore *done;
};

static void spin_run(void *argument)
{
    struct spinner *s = argument;
    while (!s->stop)
        s->count++;
    semaphore_up(s->done);
}

static void preemption(void)
{
    static const struct thread_def def = {.name = "spinner", .run = spin_run};
    struct semaphore done;
    struct spinner spinners[3] = {0};
    semaphore_init(&done, 0);
    for (unsigned i = 0; i < 3; i++) {
        spinners[i].done = &done;
        CHECK(thread_create(&def, &spinners[i], NULL) == 0);
    }
    thread_sleep_ns(200 * NS_PER_MS);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(spinners[i].count > 0);
        spinners[i].stop = true;
    }
    for (unsigned i = 0; i < 3; i++)
        CHECK(semaphore_down(&done, arch_now_ns() + 120 * NS_PER_S));
}

/* ---- time ---- */

static void sleeping(void)
{
    uint64_t start = arch_now_ns();
    thread_sleep_ns(20 * NS_PER_MS);
    uint64_t slept = arch_now_ns() - start;
    CHECK(slept >= 20 * NS_PER_MS);
    CHECK(slept < 2 * NS_PER_S);
    CHECK(arch_wall_ns() > UINT64_C(1600000000) * NS_PER_S);
}

/* ---- locks under pre-emption ---- */

#define LOCK_THREADS 8
#define LOCK_ROUNDS 20000

struct counted {
    struct mutex lock;
    struct semaphore done;
    uint64_t value;
};

static void count_run(void *argument)
{
    struct counted *c = argument;
    for (int i = 0; i < LOCK_ROUNDS; i++) {
        mutex_lock(&c->lock);
        c->value++;
        mutex_unlock(&c->lock);
    }
    semaphore_up(&c->done);
}

static void locking(void)
{
    static const struct thread_def def = {.name = "counter", .run = count_run};
    static struct counted c;
    mutex_init(&c.lock);
    semaphore_init(&c.done, 0);
    for (int i = 0; i < LOCK_THREADS; i++)
        CHECK(thread_create(&def, &c, NULL) == 0);
    for (int i = 0; i < LOCK_THREADS; i++)
        CHECK(semaphore_down(&c.done, arch_now_ns() + 120 * NS_PER_S));
    CHECK(c.value == (uint64_t)LOCK_THREADS * LOCK_ROUNDS);
}

/* ---- threads come and go: nothing is lost ---- */

static void nothing_run(void *argument) { semaphore_up(argument); }

static void thread_churn(void)
{
    static const struct thread_def def = {.name = "short", .run = nothing_run};
    struct semaphore done;
    semaphore_init(&done, 0);
    uint64_t free_before = 0;
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 100; i++)
            CHECK(thread_create(&def, &done, NULL) == 0);
        for (int i = 0; i < 100; i++)
            CHECK(semaphore_down(&done, arch_now_ns() + 120 * NS_PER_S));
        guest_wait_gone(&def);
        stack_cache_drain();
        if (round == 1)
            free_before = page_count_free();
    }
    /* A worker may still be unmapping what the caches did not keep. */
    for (int i = 0; i < 10000 && page_count_free() + 8 < free_before; i++)
        thread_sleep_ns(NS_PER_MS);
    CHECK(page_count_free() + 8 >= free_before);
}

/* ---- memory: the image is W^X, page 0 is not there, copies are caught ---- */

extern const char kernel_text_start[], kernel_text_end[], kernel_rodata_start[], kernel_rodata_end[],
    kernel_data_start[], kernel_end[], boot_stack_guard_low[], boot_stack_guard_high[];

static void check_range(const char *start, const char *end, unsigned wanted)
{
    for (uintptr_t va = (uintptr_t)start; va < (uintptr_t)end; va += PAGE_BYTES) {
        uint64_t phys;
        unsigned access, alias_access = 0;
        if (va == (uintptr_t)boot_stack_guard_low || va == (uintptr_t)boot_stack_guard_high) {
            CHECK(!arch_lookup(va, NULL, NULL));
            continue;
        }
        CHECK(arch_lookup(va, &phys, &access));
        CHECK((access & (ARCH_WRITE | ARCH_EXEC)) == wanted);
        bool alias = arch_lookup((uintptr_t)arch_phys_to_virt(phys), NULL, &alias_access);
        CHECK(!alias || !(alias_access & ARCH_EXEC));
        CHECK(!alias || (wanted & ARCH_WRITE) || !(alias_access & ARCH_WRITE));
    }
}

static void write_xor_execute(void)
{
    check_range(kernel_text_start, kernel_text_end, ARCH_EXEC);
    check_range(kernel_rodata_start, kernel_rodata_end, 0);
    check_range(kernel_data_start, kernel_end, ARCH_WRITE);
    CHECK(!arch_lookup(0, NULL, NULL));
}

static void faulting_copies(void)
{
    static char buffer[256];
    CHECK(arch_copy(buffer, (void *)(uintptr_t)0x1000, sizeof(buffer)) == -EFAULT);
    CHECK(arch_copy((void *)(uintptr_t)0x1000, buffer, sizeof(buffer)) == -EFAULT);
    CHECK(arch_zero((void *)(uintptr_t)0x7fffffff0000, 4096) == -EFAULT);
    CHECK(arch_copy(buffer, "text", 5) == 0 && !strcmp(buffer, "text"));
}

static void mapped_pages(void)
{
    const uintptr_t va = 0x10000000;
    char *page = page_alloc_zeroed(0);
    arch_use_app_memory();
    CHECK(page && arch_map(va, arch_virt_to_phys(page), 1, ARCH_READ | ARCH_WRITE) == 0);
    *(volatile char *)va = 7;
    CHECK(page[0] == 7);
    arch_protect(va, 1, ARCH_READ);
    CHECK(arch_zero((void *)va, 16) == -EFAULT);
    CHECK(arch_copy(page + 64, (void *)va, 1) == 0 && page[64] == 7);
    arch_unmap(va, 1);
    CHECK(!arch_lookup(va, NULL, NULL));
    CHECK(arch_copy(page + 64, (void *)va, 1) == -EFAULT);
    arch_trim_tables(va, 1);
    page_free(page, 0);
}

static void memory_exhaustion(void)
{
    struct list taken;
    list_init(&taken);
    uint64_t count = 0, free_before = page_count_free();
    for (struct list *page; (page = page_alloc(0)); count++)
        list_push_back(&taken, page);
    CHECK(count > 100);
    CHECK(!heap_alloc(100000));
    struct stack *stack;
    CHECK(stack_map(8192, STACK_EXTRA, "test", &stack) == -ENOMEM);
    struct list *page;
    while ((page = list_pop_front(&taken)))
        page_free(page, 0);
    CHECK(page_count_free() >= free_before);
}

/* ---- extra stacks ---- */

static void resizing(void)
{
    struct xstack_totals before, after;
    xstack_totals(&before);
    CHECK(xstack_resize((uint32_t)before.total + 100) == 0);
    CHECK(xstack_resize((uint32_t)params.stack_extra_max + 1) == -ENOMEM);
    xstack_totals(&after);
    CHECK(after.total == before.total + 100);
    CHECK(after.free == before.free + 100);
    CHECK(xstack_resize((uint32_t)before.total) == 0);
    CHECK(xstack_take(PROBE_vfs_read) != 0);
    CHECK(xstack_resize(0) == -EBUSY);
    xstack_give();
    xstack_totals(&after);
    CHECK(after.total == before.total && after.free == before.free);
}

static void every_stack_is_guarded(void)
{
    struct stack *home = thread_current()->home;
    uint32_t some = 0;
    while (!xstack_pool.stacks[some])
        some++;
    const uintptr_t tops[] = {home->top, this_cpu()->arch.irq_stack_top, xstack_pool.stacks[some]->top};
    for (unsigned i = 0; i < ARRAY_COUNT(tops); i++) {
        struct stack *stack = stack_find(tops[i] - 8, NULL);
        CHECK(stack && stack->top == tops[i]);
        CHECK(!arch_lookup(stack->base - 1, NULL, NULL) && !arch_lookup(stack->top, NULL, NULL));
        CHECK(!stack_contains((void *)(stack->base - 1)) && stack_contains((void *)stack->base));
    }
}

const struct guest_case guest_checks[] = {
    {"preemption", preemption},
    {"sleeping", sleeping},
    {"locking", locking},
    {"thread-churn", thread_churn},
    {"write-xor-execute", write_xor_execute},
    {"faulting-copies", faulting_copies},
    {"mapped-pages", mapped_pages},
    {"memory-exhaustion", memory_exhaustion},
    {"resizing", resizing},
    {"every-stack-is-guarded", every_stack_is_guarded},
    {NULL, NULL},
};
