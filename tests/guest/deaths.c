// SPDX-License-Identifier: MIT
/* Cases that end the machine: the report and the status are what is tested. */
#include "guest.h"
#include "stacks.h"

#include <x86.h>

#include <arch/arch.h>
#include <block/bio.h>
#include <block/bdev.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/heap.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/sync.h>
#include <rt/thread.h>
#include <rt/timer.h>
#include <rt/xstack.h>

static volatile uint64_t sink;

/* Uses @depth frames of about 200 bytes; not a loop for the compiler, since it calls through `next`. */
struct deep_ops {
    void (*go_deeper)(uint64_t depth);
};
static void go_deeper(uint64_t depth);
static const struct deep_ops deep_ops = {.go_deeper = go_deeper};
static const struct deep_ops *volatile deep = &deep_ops;

void guest_go_deeper(uint64_t depth) { go_deeper(depth); }

static noinline void go_deeper(uint64_t depth)
{
    volatile uint64_t frame[20];
    frame[0] = depth;
    if (depth)
        deep->go_deeper(depth - 1);
    sink += frame[0];
}

static void overflow_home(void) { go_deeper(100000); }

static void overflow_in_thread_run(void *argument)
{
    (void)argument;
    go_deeper(100000);
}
static void overflow_in_thread(void)
{
    static const struct thread_def def = {.name = "digger", .run = overflow_in_thread_run};
    thread_create(&def, NULL, NULL);
    thread_sleep_ns(NS_PER_S);
}

/* One byte below, and one above: the guards are where they should be. */
static void guard_leading(void)
{
    *(volatile char *)(thread_current()->home->base - 1) = 1;
}
static void guard_trailing(void)
{
    *(volatile char *)thread_current()->home->top = 1;
}

static void guard_extra(void)
{
    uintptr_t top = xstack_take(PROBE_vfs_read);
    ASSERT(top, "an extra stack is free");
    *(volatile char *)(thread_current()->stack->base - 8) = 1;
}

static void guard_irq(void) { *(volatile char *)this_cpu()->arch.irq_stack_top = 1; }

static const volatile uint64_t *volatile nowhere = (const uint64_t *)(uintptr_t)8;
static void null_read(void) { sink = *nowhere; }
static void null_call(void)
{
    deep = (const struct deep_ops *)(uintptr_t)0x10;
    deep->go_deeper(1);
}

static void text_write(void) { *(volatile char *)(uintptr_t)&go_deeper = 0; }
static void text_alias_write(void)
{
    uint64_t phys;
    ASSERT(arch_lookup((uintptr_t)&go_deeper, &phys, NULL), "text is mapped");
    phys += (uintptr_t)&go_deeper % PAGE_BYTES;
    *(volatile char *)arch_phys_to_virt(phys) = 0;
}
static void const_write(void) { *(volatile uintptr_t *)(uintptr_t)&deep_ops = 0; }
static void data_execute(void)
{
    struct deep_ops *ops = heap_alloc(sizeof(*ops));
    char *code = heap_alloc(64);
    *code = (char)0xc3;
    *(void **)&ops->go_deeper = code;
    ops->go_deeper(0);
}

static void assertion(void) { ASSERT(sink == 12345, "a case that must die"); }
static void plain_panic(void) { panic("value %d, name %s", 42, "forty-two"); }
static void undefined_instruction(void) { __builtin_trap(); }
static void divide_by_zero(void) { sink = 12345 / sink; }

static void sleep_under_spinlock(void)
{
    static struct spinlock lock;
    spin_lock(&lock);
    thread_sleep_ns(1000);
}

/* ---- in an interrupt ---- */

static void in_interrupt(const struct timer_ops *ops)
{
    static struct timer timer;
    timer_init(&timer, ops);
    timer_start(&timer, arch_now_ns() + NS_PER_MS);
    thread_sleep_ns(NS_PER_S);
}

static void sleep_fire(struct timer *timer)
{
    (void)timer;
    thread_sleep_ns(1000);
}
static void sleep_in_interrupt(void)
{
    static const struct timer_ops ops = {.fire = sleep_fire};
    in_interrupt(&ops);
}

static void probe_fire(struct timer *timer)
{
    (void)timer;
    arch_set_probe_base(UINT64_MAX);
    bdev_submit_stacked(NULL, NULL);
}
static void probe_in_interrupt(void)
{
    static const struct timer_ops ops = {.fire = probe_fire};
    in_interrupt(&ops);
}

static void double_give(void)
{
    xstack_take(PROBE_vfs_read);
    xstack_give();
    xstack_give();
}

static void probe_under_spinlock(void)
{
    static struct spinlock lock;
    spin_lock(&lock);
    xstack_take(PROBE_vfs_read);
}

static void recursive_mutex(void)
{
    static struct mutex m = MUTEX_INIT(m);
    mutex_lock(&m);
    mutex_lock(&m);
}

static void device_buffer_on_stack(void)
{
    struct bdev *disk;
    char buffer[SECTOR_BYTES] __attribute__((aligned(512)));
    ASSERT(bdev_open_name("vda", &disk) == 0, "this case needs a disk");
    struct bio *bio = bio_alloc(disk, BIO_READ, 0);
    bio_add(bio, buffer, sizeof(buffer));
    bio_submit_wait(bio);
}

static void double_free(void)
{
    void *p = heap_alloc(100);
    heap_free(p);
    heap_free(p);
}

/* The report itself meets a screen that faults, and goes on without it. */
static void screen_gone(void)
{
    ASSERT(boot_info.screen.kind == BOOT_SCREEN_TEXT, "this case needs a VGA");
    arch_unmap(SCREEN_WINDOW_BASE + boot_info.screen.phys % MIB(2), 1);
    panic("the screen is gone");
}

const struct guest_case guest_deaths[] = {
    {"screen-gone", screen_gone},
    {"overflow-home", overflow_home},
    {"overflow-in-thread", overflow_in_thread},
    {"guard-leading", guard_leading},
    {"guard-trailing", guard_trailing},
    {"guard-extra", guard_extra},
    {"guard-irq", guard_irq},
    {"null-read", null_read},
    {"null-call", null_call},
    {"text-write", text_write},
    {"text-alias-write", text_alias_write},
    {"const-write", const_write},
    {"data-execute", data_execute},
    {"assertion", assertion},
    {"panic", plain_panic},
    {"undefined-instruction", undefined_instruction},
    {"divide-by-zero", divide_by_zero},
    {"sleep-under-spinlock", sleep_under_spinlock},
    {"sleep-in-interrupt", sleep_in_interrupt},
    {"probe-in-interrupt", probe_in_interrupt},
    {"double-give", double_give},
    {"probe-under-spinlock", probe_under_spinlock},
    {"recursive-mutex", recursive_mutex},
    {"device-buffer-on-stack", device_buffer_on_stack},
    {"double-free", double_free},
    {NULL, NULL},
};
