// SPDX-License-Identifier: MIT
/*
 * Stacks that grow, in every context where it could go wrong: a page of the thread's own stack is taken away,
 * then touched by one kind of instruction, and memory and registers are compared. Without stack.grow these
 * pass at once. tests/qemu/growth.sh runs them in both modes.
 */
#include "guest.h"
#include "stacks.h"

#include <arch/stack_pages.h>
#include <lib/string.h>
#include <rt/page.h>
#include <rt/param.h>
#include <rt/spinlock.h>
#include <rt/stack.h>
#include <rt/stack_grow.h>
#include <rt/sync.h>
#include <rt/thread.h>

#define BODY_BYTES 1024u              /* below the touched area: the frames of the body itself */

static uint64_t grown(void)
{
    struct stack_growth_counts c;
    stack_grow_counts(&c);
    return c.faults;
}

static bool growing(void) { return thread_current()->home->grows; }
static struct stack *home(void) { return thread_current()->home; }

/* Takes the frame of a page of this thread away, as if it had never been there. Interrupts off. */
static void drop_page(size_t index)
{
    uint64_t *entry = &home()->growth->entries[index], value = *entry;
    *entry = 0;
    arch_flush_all();
    if (value && !(value & ARCH_ENTRY_CLAIMED))
        page_free(arch_phys_to_virt(value & ARCH_ENTRY_FRAME), 0);
}

/* Leaves the CPU, so that its pool is filled, then drops all pages but those from @first_kept on. */
static bool fresh_pages(size_t first_kept)
{
    uint64_t switches = thread_current()->switches;
    while (thread_current()->switches == switches)
        thread_sleep_ns(100 * NS_PER_US);
    bool irq = arch_irq_save();
    for (size_t i = 0; i < first_kept; i++)
        drop_page(i);
    return irq;
}

static size_t pages(void) { return (home()->top - home()->base) / PAGE_BYTES; }

/* The area of two pages below the top one; both are gone when @body is called with RSP below it. */
struct touch {
    uintptr_t area;                   /* two pages */
    uint64_t result[6];
};

/* Runs @ops with RSP BODY_BYTES below the area; its own page is there, the area's two are not. */
static uint64_t touch(const struct on_stack_ops *ops, struct touch *t)
{
    size_t first = pages() - 3;
    bool irq = fresh_pages(pages() - 1);
    uint64_t before = grown();
    t->area = home()->base + first * PAGE_BYTES;
    uintptr_t rsp = t->area - 64;
    *(volatile uint64_t *)(t->area - PAGE_BYTES) = 0;   /* the body's page grows first */
    run_on(rsp, ops, t);
    uint64_t faults = grown() - before;
    arch_irq_restore(irq);
    return faults;
}

/* ---- kinds of instructions ---- */

static bool all(uintptr_t at, size_t bytes, unsigned char value)
{
    for (size_t i = 0; i < bytes; i++)
        if (((volatile unsigned char *)at)[i] != value)
            return false;
    return true;
}

static void stos_forward(void *argument)
{
    struct touch *t = argument;
    uintptr_t to = t->area + 100;
    uint64_t count = 8000;
    __asm__ volatile("cld; rep stosb" : "+D"(to), "+c"(count) : "a"(0x5a) : "memory", "cc");
    t->result[0] = to - t->area;
    t->result[1] = count;
    t->result[2] = all(t->area + 100, 8000, 0x5a) && all(t->area, 100, 0) && all(t->area + 8100, 92, 0);
}

static void stos_backward(void *argument)
{
    struct touch *t = argument;
    uintptr_t to = t->area + 8099;
    uint64_t count = 8000;
    __asm__ volatile("std; rep stosb; cld" : "+D"(to), "+c"(count) : "a"(0x5a) : "memory", "cc");
    t->result[0] = t->area + 8200 - to - 1;
    t->result[1] = count;
    t->result[2] = all(t->area + 100, 8000, 0x5a) && all(t->area, 100, 0) && all(t->area + 8100, 92, 0);
}

static unsigned char pattern[8192];

/* To the stack, and, where the source is read first with error code 0, from it. */
static void movs_forward(void *argument)
{
    struct touch *t = argument;
    uintptr_t to = t->area, from = (uintptr_t)pattern;
    uint64_t count = 8192;
    __asm__ volatile("cld; rep movsb" : "+D"(to), "+S"(from), "+c"(count) :: "memory", "cc");
    t->result[0] = to - t->area;
    t->result[1] = from - (uintptr_t)pattern;
    t->result[2] = !memcmp((void *)t->area, pattern, 8192);
}

static void movs_backward(void *argument)
{
    struct touch *t = argument;
    uintptr_t to = t->area + 8191, from = (uintptr_t)pattern + 8191;
    uint64_t count = 8192;
    __asm__ volatile("std; rep movsb; cld" : "+D"(to), "+S"(from), "+c"(count) :: "memory", "cc");
    t->result[0] = t->area - 1 - to + 8192;
    t->result[1] = count + 8192;
    t->result[2] = !memcmp((void *)t->area, pattern, 8192);
}

static unsigned char sink[8192];

static void movs_reads(void *argument)
{
    struct touch *t = argument;
    uintptr_t from = t->area, to = (uintptr_t)sink;
    uint64_t count = 8192;
    memset(sink, 1, sizeof(sink));
    __asm__ volatile("cld; rep movsb" : "+D"(to), "+S"(from), "+c"(count) :: "memory", "cc");
    t->result[0] = from - t->area;
    t->result[1] = to - (uintptr_t)sink;
    t->result[2] = all((uintptr_t)sink, 8192, 0);
}

static void locked(void *argument)
{
    struct touch *t = argument;
    uint64_t *low = (uint64_t *)(t->area + 8), *high = (uint64_t *)(t->area + PAGE_BYTES + 8);
    uint64_t add = 5, old = 0, wanted = 7, swap = 9;
    __asm__ volatile("lock xaddq %0, %1" : "+r"(add), "+m"(*low) :: "cc");
    __asm__ volatile("lock cmpxchgq %2, %1" : "+a"(old), "+m"(*high) : "r"(wanted) : "cc");
    __asm__ volatile("xchgq %0, %1" : "+r"(swap), "+m"(high[1]));
    __asm__ volatile("lock btsq $3, %0; lock incq %0" : "+m"(low[1]) :: "cc");
    t->result[0] = 8192 * (add == 0 && old == 0 && swap == 0);
    t->result[1] = 8192;
    t->result[2] = *low == 5 && *high == 7 && high[1] == 9 && low[1] == 9;
}

/* Across the border of the two pages; the header is at the beginning, so nothing of it may get lost. */
static void save_fpu(void *argument)
{
    struct touch *t = argument;
    static unsigned char expected[512] __attribute__((aligned(64)));
    unsigned char *at = (unsigned char *)(t->area + PAGE_BYTES - 256);
    uint64_t cr4;
    __asm__ volatile("fxsave64 %0" : "=m"(expected));
    __asm__ volatile("fxsave64 (%0)" : : "r"(at) : "memory");
    t->result[2] = !memcmp(expected, at, 416);
    __asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
    if (cr4 & (1u << 18)) {
        at = (unsigned char *)(t->area + PAGE_BYTES - 320);
        memset(at, 0, 832);
        __asm__ volatile("xsave64 (%0)" : : "r"(at), "a"(7), "d"(0) : "memory");
        t->result[2] &= !memcmp(expected + 24, at + 24, 4) && at[512] != 0;
        __asm__ volatile("xrstor64 (%0)" : : "r"(at), "a"(7), "d"(0) : "memory");
    }
    t->result[0] = t->result[1] = 8192;
}

static void instructions(void)
{
    static const struct on_stack_ops table[] = {
        {stos_forward}, {stos_backward}, {movs_forward}, {movs_backward}, {movs_reads}, {locked}, {save_fpu},
    };
    struct touch t;
    if (!growing())
        return;
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (unsigned char)(i * 7 + i / 256 + 1);
    for (unsigned i = 0; i < ARRAY_COUNT(table); i++) {
        memset(&t, 0, sizeof(t));
        uint64_t faults = touch(&table[i], &t);
        CHECK(faults == 3);
        CHECK(t.result[2]);
        CHECK(i < 2 ? t.result[0] == 8100 && t.result[1] == 0 : t.result[0] == 8192 && t.result[1] == 8192);
    }
}

/* ---- instructions that use RSP itself ---- */

/* Each begins with RSP at the lowest byte of the pages that are there. */
struct pushed {
    uint64_t value, rsp_moved, extra;
};

static struct pushed push_at(uintptr_t rsp)
{
    struct pushed p = {0};
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "movq %3, %%rsp\n\t"
                     "pushq $0x1234\n\t"
                     "movq %3, %1\n\t"
                     "subq %%rsp, %1\n\t"
                     "popq %0\n\t"
                     "pushfq\n\t"
                     "popq %2\n\t"
                     "movq %%rbx, %%rsp"
                     : "=&r"(p.value), "=&r"(p.rsp_moved), "=&r"(p.extra)
                     : "r"(rsp)
                     : "rbx", "memory", "cc");
    return p;
}

static struct pushed call_at(uintptr_t rsp)
{
    struct pushed p = {0};
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "movq %2, %%rsp\n\t"
                     "call 1f\n\t"
                     "jmp 2f\n"
                     "1:\n\t"
                     "movq %2, %1\n\t"
                     "subq %%rsp, %1\n\t"
                     "movq $0x1234, %0\n\t"
                     "ret\n"
                     "2:\n\t"
                     "movq %%rbx, %%rsp"
                     : "=&r"(p.value), "=&r"(p.rsp_moved)
                     : "r"(rsp)
                     : "rbx", "memory", "cc");
    return p;
}

static struct pushed enter_at(uintptr_t rsp)
{
    struct pushed p = {0};
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "movq %%rbp, %%r12\n\t"
                     "movq $0x1234, %%rbp\n\t"
                     "movq %2, %%rsp\n\t"
                     "enter $64, $0\n\t"
                     "movq %2, %1\n\t"
                     "subq %%rbp, %1\n\t"
                     "leave\n\t"
                     "movq %%rbp, %0\n\t"
                     "movq %%r12, %%rbp\n\t"
                     "movq %%rbx, %%rsp"
                     : "=&r"(p.value), "=&r"(p.rsp_moved)
                     : "r"(rsp)
                     : "rbx", "r12", "memory", "cc");
    return p;
}

/* Pushes a frame for iretq across the border, forgets the page (it is kept), and lets iretq read it. */
static struct pushed iretq_at(uintptr_t rsp, uint64_t *entry, uintptr_t page)
{
    struct pushed p = {0};
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "leaq -16(%2), %%rsp\n\t"        /* ss and rsp in the page that is there */
                     "movq %%ss, %%rax\n\t"
                     "movq %%rax, 8(%%rsp)\n\t"
                     "movq %%rbx, 0(%%rsp)\n\t"
                     "pushfq\n\t"
                     "movq %%cs, %%rax\n\t"
                     "pushq %%rax\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "movq (%3), %%rax\n\t"           /* the entry: kept instead of present */
                     "andq $-4096, %%rax\n\t"
                     "btrq $63, %%rax\n\t"
                     "orq $0x200, %%rax\n\t"
                     "movq %%rax, (%3)\n\t"
                     "invlpg (%4)\n\t"
                     "movq $0x1234, %0\n\t"
                     "iretq\n"
                     "1:\n\t"
                     "movq $8, %1"
                     : "=&r"(p.value), "=&r"(p.rsp_moved)
                     : "r"(rsp), "r"(entry), "r"(page)
                     : "rax", "rbx", "memory", "cc");
    return p;
}

static void stack_instructions(void)
{
    if (!growing())
        return;
    size_t top = pages() - 1;
    uintptr_t border = home()->base + top * PAGE_BYTES;
    for (unsigned which = 0; which < 3; which++) {
        bool irq = fresh_pages(top);
        uint64_t before = grown();
        struct pushed p = which == 0 ? push_at(border) : which == 1 ? call_at(border) : enter_at(border);
        CHECK(grown() - before == 1);
        CHECK(p.value == 0x1234 && p.rsp_moved == 8);
        CHECK(which || !(p.extra & 0x200));           /* interrupts are off */
        arch_irq_restore(irq);
    }
    bool irq = fresh_pages(top);
    struct stack_growth_counts before, after;
    stack_grow_counts(&before);
    struct pushed p = iretq_at(border + 16, &home()->growth->entries[top - 1], border - PAGE_BYTES);
    stack_grow_counts(&after);
    CHECK(after.faults - before.faults == 1 && after.reinstated - before.reinstated == 1);
    CHECK(p.value == 0x1234 && p.rsp_moved == 8);
    arch_irq_restore(irq);
}

/* ---- contexts ---- */

struct context {
    struct spinlock lock;
    void *page;
    bool irq_was_off;
};

static void allocate(void *argument)
{
    struct context *c = argument;
    c->irq_was_off = !arch_irq_enabled();
    c->page = page_alloc(0);
    if (c->page)
        page_free(c->page, 0);
}

/* RSP a little above the page that is missing, by 16 bytes more each time: the fault comes at every place in the
 * allocator that pushes, with its lock held too. */
static void in_the_page_allocator(void)
{
    static const struct on_stack_ops ops = {.on_stack = allocate};
    struct context c = {.lock = SPINLOCK_INIT};
    if (!growing())
        return;
    size_t top = pages() - 1;
    uint64_t before = grown(), free_before = page_count_free();
    for (unsigned above = 16; above <= 1024; above += 16) {
        bool irq = fresh_pages(top);
        run_on(home()->base + top * PAGE_BYTES + above, &ops, &c);
        CHECK(c.irq_was_off && c.page);
        arch_irq_restore(irq);
    }
    CHECK(grown() - before >= 8);
    CHECK(page_count_free() + 64 >= free_before);
}

static void spin_inside(void *argument)
{
    struct context *c = argument;
    bool irq = spin_lock(&c->lock);
    volatile char room[2000];
    room[0] = 1;
    c->page = (void *)&room;
    spin_unlock(&c->lock, irq);
}

static void with_a_lock_held(void)
{
    static const struct on_stack_ops ops = {.on_stack = spin_inside};
    static struct spinlock outer;
    struct context c = {.lock = SPINLOCK_INIT};
    if (!growing())
        return;
    size_t top = pages() - 1;
    arch_irq_restore(fresh_pages(top));
    uint64_t before = grown();
    bool irq = spin_lock(&outer);
    drop_page(top - 1);
    run_on(home()->base + top * PAGE_BYTES + 256, &ops, &c);
    spin_unlock(&outer, irq);
    CHECK(grown() - before >= 1);
    CHECK(!spin_is_locked(&outer) && !spin_is_locked(&c.lock));
}

/* All registers over a fault. */
static void registers(void)
{
    if (!growing())
        return;
    size_t top = pages() - 1;
    bool irq = fresh_pages(top);
    uint64_t sum = 0, before = grown();
    __asm__ volatile("pushq %%rbp\n\t"
                     "movq $1, %%rax\n\t" "movq $2, %%rcx\n\t" "movq $4, %%rdx\n\t" "movq $8, %%rsi\n\t"
                     "movq $16, %%r8\n\t" "movq $32, %%r9\n\t" "movq $64, %%r10\n\t" "movq $128, %%r11\n\t"
                     "movq $256, %%r12\n\t" "movq $512, %%r13\n\t" "movq $1024, %%r14\n\t"
                     "movq $2048, %%r15\n\t" "movq $4096, %%rbp\n\t"
                     "stc\n\t"
                     "movb $1, (%1)\n\t"
                     "adcq $0, %%rax\n\t"             /* the flags too */
                     "addq %%rcx, %%rax\n\t" "addq %%rdx, %%rax\n\t" "addq %%rsi, %%rax\n\t"
                     "addq %%r8, %%rax\n\t" "addq %%r9, %%rax\n\t" "addq %%r10, %%rax\n\t"
                     "addq %%r11, %%rax\n\t" "addq %%r12, %%rax\n\t" "addq %%r13, %%rax\n\t"
                     "addq %%r14, %%rax\n\t" "addq %%r15, %%rax\n\t" "addq %%rbp, %%rax\n\t"
                     "popq %%rbp"
                     : "=&a"(sum)
                     : "D"(home()->base + (top - 1) * PAGE_BYTES)
                     : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory",
                       "cc");
    CHECK(sum == 8192 && grown() - before == 1);
    arch_irq_restore(irq);
}

/* ---- taking back ---- */

static void dig_run(void *argument)
{
    volatile unsigned char *room = (unsigned char *)home()->base;
    (void)argument;
    for (size_t i = pages(); i-- > 0;)
        room[i * PAGE_BYTES + 64] = (unsigned char)i;
}

static void dig_and_sleep(void *argument)
{
    static const struct on_stack_ops ops = {.on_stack = dig_run};
    run_on(home()->base + 1024, &ops, NULL);
    semaphore_up(&((struct semaphore *)argument)[0]);
    semaphore_down(&((struct semaphore *)argument)[1], UINT64_MAX);
    run_on(home()->base + 1024, &ops, NULL);
}

/* Threads that were deep once and then sleep keep one page each, when kept pages have been freed. */
static void sleepers_keep_one_page(void)
{
    static const struct thread_def def = {.name = "sleeper", .run = dig_and_sleep};
    static struct semaphore semaphores[2];
    struct thread *threads[50];
    unsigned kept;
    if (!growing())
        return;
    semaphore_init(&semaphores[0], 0);
    semaphore_init(&semaphores[1], 0);
    for (unsigned i = 0; i < ARRAY_COUNT(threads); i++)
        CHECK(thread_create(&def, semaphores, &threads[i]) == 0);
    for (unsigned i = 0; i < ARRAY_COUNT(threads); i++)
        CHECK(semaphore_down(&semaphores[0], arch_now_ns() + 10 * NS_PER_S));
    thread_sleep_ns(10 * NS_PER_MS);
    stack_grow_reclaim();
    for (unsigned i = 0; i < ARRAY_COUNT(threads); i++) {
        CHECK(stack_grow_pages(threads[i]->home, &kept) == 1);
        CHECK(kept == 0);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(threads); i++)
        semaphore_up(&semaphores[1]);
    thread_sleep_ns(50 * NS_PER_MS);
}

/* Without a page left in the machine: CPUs run out of pages for stacks, and get those back that sleepers kept. */
static void no_pages(void)
{
    static const struct thread_def def = {.name = "hungry", .run = dig_and_sleep};
    static struct semaphore semaphores[2];
    struct list taken = LIST_INIT(taken), *page;
    struct stack_growth_counts before, after;
    if (!growing())
        return;
    const unsigned count = 24;
    semaphore_init(&semaphores[0], 0);
    semaphore_init(&semaphores[1], 0);
    struct thread *threads[24];
    for (unsigned i = 0; i < count; i++)
        CHECK(thread_prepare(&def, semaphores, &threads[i]) == 0);
    stack_grow_counts(&before);
    while ((page = page_try_alloc()))
        list_push_back(&taken, page);
    for (unsigned i = 0; i < count; i++)
        thread_start(threads[i]);
    for (unsigned i = 0; i < count; i++)
        CHECK(semaphore_down(&semaphores[0], arch_now_ns() + 20 * NS_PER_S));
    stack_grow_counts(&after);
    CHECK(after.pool_low > before.pool_low && after.freed > before.freed);
    while ((page = list_pop_front(&taken)))
        page_free(page, 0);
    for (unsigned i = 0; i < count; i++)
        semaphore_up(&semaphores[1]);
    thread_sleep_ns(50 * NS_PER_MS);
}

const struct guest_case guest_grow_checks[] = {
    {"grow-instructions", instructions},
    {"grow-stack-instructions", stack_instructions},
    {"grow-in-the-page-allocator", in_the_page_allocator},
    {"grow-with-a-lock-held", with_a_lock_held},
    {"grow-registers", registers},
    {"grow-sleepers-keep-one-page", sleepers_keep_one_page},
    {"grow-no-pages", no_pages},
    {NULL, NULL},
};
