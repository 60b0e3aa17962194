// SPDX-License-Identifier: MIT
/*
 * A ring of lines that are not text yet. The log thread formats and prints them; a machine that is ending
 * does it itself. When the ring is full the oldest lines are lost, and how many is said.
 */
#include <rt/log.h>

#include <arch/arch.h>
#include <lib/format.h>
#include <lib/string.h>
#include <rt/cpu.h>
#include <rt/screen.h>
#include <rt/sync.h>
#include <rt/thread.h>

#define RING_LINES 256u
#define LINE_BYTES 512u
#define ARGS_MAX 6u

struct log_line {
    uint64_t time_ns;
    const char *format;
    uint64_t args[ARGS_MAX];
    uint8_t level, arg_count;
};

static struct spinlock ring_lock = SPINLOCK_NAMED("log ring");
static struct log_line ring[RING_LINES];
static uint64_t ring_head, ring_tail, lines_lost;      /* ring_lock; head: next to write */
static enum log_level shown_level = LOG_INFO;
static struct thread *log_thread;

static struct spinlock console_lock = SPINLOCK_NAMED("console");
static bool at_line_start = true;

/* ---- console ---- */

static void write_locked(const char *text, size_t bytes)
{
    if (!bytes)
        return;
    arch_console_write(text, bytes);
    at_line_start = text[bytes - 1] == '\n';
}

void console_write(const char *text, size_t bytes)
{
    while (bytes) {
        size_t part = MIN(bytes, (size_t)256);
        bool irq = spin_lock(&console_lock);
        write_locked(text, part);
        spin_unlock(&console_lock, irq);
        screen_touched();
        text += part;
        bytes -= part;
    }
}

void console_defer_screen(void)
{
    bool irq = spin_lock(&console_lock);
    arch_screen_defer();
    spin_unlock(&console_lock, irq);
}

/* A whole line of the kernel's own: starts in column 0. In a report the lock may be held by what died. */
static void write_line(const char *text, size_t bytes)
{
    bool broken = spin_is_locked(&console_lock) && this_cpu()->spin_depth;
    bool irq = broken ? false : spin_lock(&console_lock);
    if (!at_line_start)
        write_locked("\n", 1);
    write_locked(text, bytes);
    if (!broken)
        spin_unlock(&console_lock, irq);
    screen_touched();
}

static void console_vprintf(const char *format, va_list ap)
{
    char text[LINE_BYTES];
    struct strbuf sb;
    strbuf_init(&sb, text, sizeof(text));
    strbuf_vprintf(&sb, format, ap);
    write_line(text, sb.length);
}

void console_printf(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    console_vprintf(format, ap);
    va_end(ap);
}

/* ---- ring ---- */

void log_format_check(const char *format, ...) { (void)format; }
void log_set_level(enum log_level level) { shown_level = level; }

static void print_line(const struct log_line *line)
{
    static const char *const prefixes[] = {"error: ", "warning: ", "", "debug: "};
    char text[LINE_BYTES];
    struct strbuf sb;
    strbuf_init(&sb, text, sizeof(text) - 1);
    uint64_t us = line->time_ns / NS_PER_US;
    strbuf_printf(&sb, "[%5lu.%06lu] %s", (unsigned long)(us / 1000000), (unsigned long)(us % 1000000),
                  prefixes[line->level]);
    strbuf_print_raw(&sb, line->format, line->args, line->arg_count);
    text[sb.length] = '\n';
    write_line(text, sb.length + 1);
}

/* In a report the lock may be held by what died: then it is left alone. */
static bool take_line(struct log_line *out, uint64_t *lost)
{
    bool broken = spin_is_locked(&ring_lock) && this_cpu()->spin_depth;
    bool irq = broken ? false : spin_lock(&ring_lock);
    bool any = ring_tail != ring_head;
    if (any)
        *out = ring[ring_tail++ % RING_LINES];
    *lost = lines_lost;
    lines_lost = 0;
    if (!broken)
        spin_unlock(&ring_lock, irq);
    return any;
}

void log_raw(enum log_level level, const char *format, unsigned arg_count, const uint64_t *args)
{
    if (level > shown_level)
        return;
    bool irq = spin_lock(&ring_lock);
    if (ring_head - ring_tail == RING_LINES) {
        ring_tail++;
        lines_lost++;
    }
    struct log_line *line = &ring[ring_head++ % RING_LINES];
    line->time_ns = arch_now_ns();
    line->format = format;
    line->level = (uint8_t)level;
    line->arg_count = (uint8_t)MIN(arg_count, ARGS_MAX);
    for (unsigned i = 0; i < line->arg_count; i++)
        line->args[i] = args[i];
    spin_unlock(&ring_lock, irq);
    if (log_thread && this_cpu()->spin_depth == 0)
        thread_wake(log_thread);
    else if (!log_thread)
        log_flush();
}

void log_flush(void)
{
    struct log_line line;
    uint64_t lost;
    lock_order_warn();
    while (take_line(&line, &lost))
        print_line(&line);
    if (lost)
        console_printf("(%lu log lines were lost)\n", (unsigned long)lost);
}

/* Waits a moment for a lock, so that its holder is not stopped with it; then it is free in any case. */
static void take_over(struct spinlock *lock, uint64_t deadline_ns)
{
    bool irq;
    while (!spin_try_lock(lock, &irq) && arch_now_ns() < deadline_ns)
        arch_spin_wait();
}

void log_stop_others(void)
{
    static const struct spinlock unlocked = SPINLOCK_INIT;
    static bool stopped;
    arch_irq_disable();
    if (stopped)
        return;
    stopped = true;
    lock_order_stop();
    uint64_t deadline_ns = arch_now_ns() + 100 * NS_PER_MS;
    take_over(&ring_lock, deadline_ns);
    take_over(&console_lock, deadline_ns);
    arch_stop_others();
    ring_lock = unlocked;
    console_lock = unlocked;
}

static void log_run(void *argument)
{
    (void)argument;
    for (;;) {
        thread_prepare_block();
        if (ring_tail == ring_head)
            thread_block(arch_now_ns() + NS_PER_S);
        else
            thread_cancel_block();
        log_flush();
    }
}
static const struct thread_def log_def = {.name = "log", .wired = true, .run = log_run};

int log_start(void) { return thread_create(&log_def, NULL, &log_thread); }
