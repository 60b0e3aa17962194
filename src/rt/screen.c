// SPDX-License-Identifier: MIT
/* See screen.h. It paints at most 30 times a second, and rests four times as long as painting took. */
#include <rt/screen.h>

#include <arch/arch.h>
#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/thread.h>

#define REST_MIN_NS (33 * NS_PER_MS)
#define REST_FACTOR 4u

static struct thread *painter;
static bool waiting;                  /* until something is written; set by the painter, taken by who wakes it */

void screen_touched(void)
{
    if (!painter || this_cpu()->spin_depth || !__atomic_load_n(&waiting, __ATOMIC_SEQ_CST))
        return;
    if (__atomic_exchange_n(&waiting, false, __ATOMIC_SEQ_CST))
        thread_wake(painter);
}

static void wait_for_text(void)
{
    for (;;) {
        thread_prepare_block();
        __atomic_store_n(&waiting, true, __ATOMIC_SEQ_CST);
        if (arch_screen_stale())
            break;
        /* Text that an interrupted holder of a lock wrote woke nobody: look again. */
        thread_block(arch_now_ns() + NS_PER_S);
    }
    __atomic_store_n(&waiting, false, __ATOMIC_SEQ_CST);
    thread_cancel_block();
}

static void screen_run(void *argument)
{
    (void)argument;
    for (;;) {
        wait_for_text();
        uint64_t start_ns = arch_now_ns();
        arch_screen_paint();
        uint64_t spent_ns = arch_now_ns() - start_ns;
        thread_sleep_ns(MAX(REST_MIN_NS, spent_ns * REST_FACTOR));
    }
}
static const struct thread_def screen_def = {.name = "screen", .wired = true, .run = screen_run};

int screen_start(void)
{
    uint32_t cols, rows;

    if (!arch_screen_size(&cols, &rows))
        return 0;
    log_info("screen: %u by %u characters", cols, rows);
    int err = thread_create(&screen_def, NULL, &painter);
    if (!err)
        console_defer_screen();
    return err;
}
