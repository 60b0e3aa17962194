// SPDX-License-Identifier: MIT
/*
 * Signals, as far as they go without handlers: actions and masks are kept and given back; a signal
 * whose default action ends the process ends the app; one that is ignored does nothing; one that
 * is blocked waits. A handler can be installed but not run: this is said once for each signal, and
 * when such a signal arrives the app ends, for going on would be to lose it.
 */
#include <abi/copy.h>
#include <abi/crash.h>
#include <abi/linux.h>
#include <abi/process.h>
#include <abi/syscalls.h>
#include <lib/errno.h>
#include <rt/log.h>

enum { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK };
/* The C libraries keep the first three real-time signals for themselves. */
enum { SIGNAL_LIBRARY_FIRST = 32, SIGNAL_LIBRARY_LAST = 34 };

static struct linux_sigaction actions[SIGNAL_COUNT];  /* app.lock; of signal i + 1 */
static uint64_t pending;                              /* app.lock; of the process */
static uint64_t handlers_named;                       /* atomic */

static uint64_t bit_of(int signal)
{
    return UINT64_C(1) << (signal - 1);
}

static void name_handler(int signal)
{
    uint64_t bit = bit_of(signal);
    if (signal >= SIGNAL_LIBRARY_FIRST && signal <= SIGNAL_LIBRARY_LAST)
        return;
    if (__atomic_fetch_or(&handlers_named, bit, __ATOMIC_RELAXED) & bit)
        return;
    log_warn("app: installs a handler for %s (%d); handlers do not run here", signal_name(signal),
             signal);
}

/* (signal, new, old, bytes of a mask) */
SYSCALL(rt_sigaction)
{
    struct linux_sigaction wanted, old;
    int signal = (int)args->a[0];

    if (signal < 1 || signal > SIGNAL_COUNT || args->a[3] != 8)
        return -EINVAL;
    if (args->a[1] && (signal == SIGKILL || signal == SIGSTOP))
        return -EINVAL;
    int error = args->a[1] ? app_copy_in(&wanted, args->a[1], sizeof(wanted)) : 0;
    if (error)
        return error;
    bool irq = spin_lock(&app.lock);
    old = actions[signal - 1];
    if (args->a[1])
        actions[signal - 1] = wanted;
    spin_unlock(&app.lock, irq);
    if (args->a[1] && wanted.handler > SIG_IGN)
        name_handler(signal);
    return args->a[2] ? app_copy_out(args->a[2], &old, sizeof(old)) : 0;
}

static bool ignored_by_default(int signal)
{
    return signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH ||
           (signal >= SIGCONT && signal <= SIGTTOU && signal != SIGSTOP);
}

/* What @signal does now. Not under a lock. */
static void act(int signal)
{
    bool irq = spin_lock(&app.lock);
    uint64_t handler = actions[signal - 1].handler;
    spin_unlock(&app.lock, irq);
    if (handler == SIG_IGN || (handler == SIG_DFL && ignored_by_default(signal)))
        return;
    crash_by_signal(signal, handler == SIG_DFL ? "its default action ends the program"
                                               : "its handler cannot run here");
}

/* Lets loose what waits for the running thread and is not blocked any more. */
static void act_on_pending(struct app_thread *t)
{
    for (;;) {
        bool irq = spin_lock(&app.lock);
        uint64_t ready = (t->signals_pending | pending) & ~t->signal_mask;
        if (!ready) {
            spin_unlock(&app.lock, irq);
            return;
        }
        uint64_t bit = ready & -ready;
        t->signals_pending &= ~bit;
        pending &= ~bit;
        spin_unlock(&app.lock, irq);
        act(__builtin_ctzll(bit) + 1);
    }
}

/* (how, set, old, bytes of a mask) */
SYSCALL(rt_sigprocmask)
{
    struct app_thread *t = app_thread_current();
    uint64_t set = 0, old;

    if (args->a[3] != 8 || (args->a[1] && args->a[0] > SIG_SETMASK))
        return -EINVAL;
    int error = args->a[1] ? app_copy_in(&set, args->a[1], sizeof(set)) : 0;
    if (error)
        return error;
    bool irq = spin_lock(&app.lock);
    old = t->signal_mask;
    if (args->a[1] && args->a[0] == SIG_BLOCK)
        t->signal_mask |= set;
    else if (args->a[1] && args->a[0] == SIG_UNBLOCK)
        t->signal_mask &= ~set;
    else if (args->a[1])
        t->signal_mask = set;
    t->signal_mask &= ~(bit_of(SIGKILL) | bit_of(SIGSTOP));
    bool ready = (t->signals_pending | pending) & ~t->signal_mask;
    spin_unlock(&app.lock, irq);
    if (ready)
        act_on_pending(t);
    return args->a[2] ? app_copy_out(args->a[2], &old, sizeof(old)) : 0;
}

SYSCALL(rt_sigpending)
{
    struct app_thread *t = app_thread_current();

    bool irq = spin_lock(&app.lock);
    uint64_t set = (t->signals_pending | pending) & t->signal_mask;
    spin_unlock(&app.lock, irq);
    return app_copy_out(args->a[0], &set, sizeof(set));
}

/* (new, old) */
SYSCALL(sigaltstack)
{
    struct app_thread *t = app_thread_current();
    struct linux_sigaltstack wanted, old = {
        .base = t->alt_stack_base,
        .flags = t->alt_stack_bytes ? 0 : SS_DISABLE,
        .bytes = t->alt_stack_bytes,
    };

    if (args->a[0]) {
        int error = app_copy_in(&wanted, args->a[0], sizeof(wanted));
        if (error)
            return error;
        bool off = wanted.flags & SS_DISABLE;
        t->alt_stack_base = off ? 0 : wanted.base;
        t->alt_stack_bytes = off ? 0 : wanted.bytes;
    }
    return args->a[1] ? app_copy_out(args->a[1], &old, sizeof(old)) : 0;
}

/* To thread @tid, or with 0 to the process. */
static long send_signal(uint32_t tid, int64_t signal)
{
    struct app_thread *t, *target = NULL;
    bool waits = true;

    if (signal < 0 || signal > SIGNAL_COUNT)
        return -EINVAL;
    uint64_t bit = signal ? bit_of((int)signal) : 0;
    bool irq = spin_lock(&app.lock);
    list_for_each(t, &app.threads, link) {
        if (tid && t->tid != tid)
            continue;
        target = t;
        if (!(t->signal_mask & bit))
            waits = false;
    }
    if (target && waits && bit) {
        if (tid)
            target->signals_pending |= bit;
        else
            pending |= bit;
    }
    spin_unlock(&app.lock, irq);
    if (!target)
        return -ESRCH;
    if (bit && !waits)
        act((int)signal);
    return 0;
}

SYSCALL(kill)
{
    int32_t pid = (int32_t)args->a[0];
    if (pid > 0 && (uint32_t)pid != app.pid)
        return -ESRCH;
    return send_signal(0, (int32_t)args->a[1]);
}

SYSCALL(tkill)
{
    if ((int32_t)args->a[0] <= 0)
        return -EINVAL;
    return send_signal((uint32_t)args->a[0], (int32_t)args->a[1]);
}

/* (pid, tid, signal) */
SYSCALL(tgkill)
{
    if ((int32_t)args->a[0] <= 0 || (int32_t)args->a[1] <= 0)
        return -EINVAL;
    if (args->a[0] != app.pid)
        return -ESRCH;
    return send_signal((uint32_t)args->a[1], (int32_t)args->a[2]);
}

/* Nothing interrupts it. */
SYSCALL(pause)
{
    (void)args;
    app_idle_begin();
    while (!app_ending())
        thread_sleep_ns(NS_PER_S);
    app_idle_end();
    return -EINTR;
}
