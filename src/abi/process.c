// SPDX-License-Identifier: MIT
/* The app's threads and its end: see process.h. */
#include <abi/process.h>

#include <abi/futex.h>
#include <abi/copy.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>
#include <rt/machine.h>
#include <vfs/vfs.h>

struct app app = {
    .lock = SPINLOCK_NAMED("app"),
    .threads = LIST_INIT(app.threads),
    .umask = 022,
    .quiet = WAITQ_INIT(app.quiet),
};

void app_start(const char *name)
{
    ASSERT(app.name == NULL, "there is one app");
    app.name = name;
    app.started_ns = arch_now_ns();
}

/* ---- threads ---- */

static void app_thread_run(void *argument)
{
    struct app_thread *t = argument;
    struct arch_frame frame = t->start;

    app_call_begin();
    app_call_end();
    arch_enter_app(&frame);
}

static const struct thread_def app_thread_def = {.name = "app", .run = app_thread_run};

int app_thread_create(const struct arch_frame *start, uint64_t fs_base, bool fpu_from_current,
                      struct app_thread **out)
{
    struct app_thread *t = heap_zalloc(sizeof(*t));
    if (!t)
        return -ENOMEM;
    /* zeroed: a save leaves the reserved part of the area as it is, and a restore wants 0 there */
    void *fpu = heap_zalloc(arch_fpu_bytes());
    if (!fpu)
        goto out_free;
    if (fpu_from_current)
        arch_fpu_save(fpu);
    else
        arch_fpu_init(fpu);
    if (thread_prepare(&app_thread_def, t, &t->thread))
        goto out_fpu;
    t->thread->arch.fpu = fpu;        /* freed with the thread */
    t->thread->arch.fs_base = fs_base;
    t->thread->app = t;
    t->tid = t->thread->id;
    t->start = *start;
    list_init(&t->link);
    *out = t;
    return 0;

out_fpu:
    heap_free(fpu);
out_free:
    heap_free(t);
    return -ENOMEM;
}

void app_thread_go(struct app_thread *t)
{
    bool irq = spin_lock(&app.lock);
    list_push_back(&app.threads, &t->link);
    app.thread_count++;
    if (app.pid == 0)
        app.pid = t->tid;
    spin_unlock(&app.lock, irq);
    thread_start(t->thread);
}

void app_thread_abandon(struct app_thread *t)
{
    t->thread->app = NULL;
    thread_discard(t->thread);
    heap_free(t);
}

/* Takes the running thread off the list; true if it was the last. */
static bool leave_app(struct app_thread *t)
{
    struct app_usage usage;

    app_usage_of_thread(t->thread, &usage);
    bool irq = spin_lock(&app.lock);
    list_remove(&t->link);
    app.dead_cpu_ns += usage.cpu_ns;
    app.dead_switches += usage.switches;
    app.dead_io.read_sectors += usage.io.read_sectors;
    app.dead_io.write_sectors += usage.io.write_sectors;
    bool last = --app.thread_count == 0;
    spin_unlock(&app.lock, irq);
    return last;
}

/* Who wakes late (app_thread_exit) and the end both do it; the first one drops the reference. */
static struct file *take_wait(struct app_thread *t)
{
    return __atomic_exchange_n(&t->waits_with, NULL, __ATOMIC_SEQ_CST);
}

void app_thread_exit(int status)
{
    struct app_thread *t = app_thread_current();
    struct file *file = take_wait(t);
    static const uint32_t zero;

    if (file)
        file_put(file);

    if (!app_ending()) {
        futex_robust_exit(t->robust_head, t->tid);
        if (t->clear_tid && app_copy_out(t->clear_tid, &zero, sizeof(zero)) == 0)
            futex_wake(t->clear_tid, 1, FUTEX_ANY_BIT);
    }
    if (leave_app(t))
        app_finish(status);
    app_idle_begin();
    t->thread->app = NULL;
    heap_free(t->fpu_copy);
    heap_free(t);
    thread_exit();
}

/* ---- the end ---- */

static bool finish(unsigned result, int app_status, int signal)
{
    bool irq = spin_lock(&app.lock);
    bool first = !app_ending();
    if (first) {
        app.result = result;
        app_end.app_status = app_status;
        app_end.signal = signal;
        __atomic_store_n(&app.ending, true, __ATOMIC_SEQ_CST);
    }
    spin_unlock(&app.lock, irq);
    if (first) {
        waitq_wake(&app.quiet, WAITQ_ALL);
        thread_kick_all();
    }
    return first;
}

bool app_finish(int status)
{
    status &= 0xff;
    return finish(MIN((unsigned)status, (unsigned)EXIT_APP_MAX), status, 0);
}

bool app_finish_crash(int signal)
{
    return finish(EXIT_APP_CRASH, 0, signal);
}

static void busy_add(void)
{
    __atomic_add_fetch(&app.busy, 1, __ATOMIC_SEQ_CST);
}

static void busy_remove(void)
{
    uint32_t left = __atomic_sub_fetch(&app.busy, 1, __ATOMIC_SEQ_CST);
    ASSERT(left != UINT32_MAX, "calls end once");
    if (left == 0 && app_ending())
        waitq_wake(&app.quiet, WAITQ_ALL);
}

void app_call_begin(void)
{
    busy_add();
    if (app_ending())
        app_thread_exit(0);
}

void app_call_end(void)
{
    lock_order_none_held("a system call");
    if (app_ending())
        app_thread_exit(0);
    busy_remove();
}

void app_idle_begin(void)
{
    busy_remove();
}

void app_idle_end(void)
{
    busy_add();
}

void app_drop_waits(void)
{
    struct app_thread *t;
    struct file *file;

    do {
        file = NULL;
        bool irq = spin_lock(&app.lock);
        list_for_each(t, &app.threads, link)
            if (!file)
                file = take_wait(t);
        spin_unlock(&app.lock, irq);
        if (file)
            file_put(file);
    } while (file);
}

void app_wait_quiet(void)
{
    struct waiter waiter;

    for (;;) {
        waitq_enter(&app.quiet, &waiter);
        bool quiet = app_ending() && __atomic_load_n(&app.busy, __ATOMIC_SEQ_CST) == 0;
        if (!quiet)
            waitq_wait(&app.quiet, &waiter, WAIT_FOREVER);
        waitq_leave(&app.quiet, &waiter);
        if (quiet)
            return;
    }
}

/* ---- usage ---- */

uint64_t thread_cpu_ns(const struct thread *thread)
{
    uint64_t ns = __atomic_load_n(&thread->cpu_ns, __ATOMIC_RELAXED);
    if (thread == thread_current())
        ns += arch_now_ns() - thread->started_ns;
    return ns;
}

void app_usage_of_thread(const struct thread *thread, struct app_usage *out)
{
    out->cpu_ns = thread_cpu_ns(thread);
    out->switches = thread->switches;
    out->io = thread->io;
}

void app_usage_of_all(struct app_usage *out)
{
    struct app_thread *t;

    bool irq = spin_lock(&app.lock);
    out->cpu_ns = app.dead_cpu_ns;
    out->switches = app.dead_switches;
    out->io = app.dead_io;
    list_for_each(t, &app.threads, link) {
        out->cpu_ns += thread_cpu_ns(t->thread);
        out->switches += t->thread->switches;
        out->io.read_sectors += t->thread->io.read_sectors;
        out->io.write_sectors += t->thread->io.write_sectors;
    }
    spin_unlock(&app.lock, irq);
}
