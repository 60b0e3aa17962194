// SPDX-License-Identifier: MIT
/*
 * Signals: see signals.h. Actions and masks are kept here, and signals sent. One whose action is to
 * end the process ends the app at once, wherever the threads are; one that is ignored does nothing;
 * one that is blocked or has a handler waits until a thread takes it.
 */
#include <abi/signals.h>

#include <abi/copy.h>
#include <abi/crash.h>
#include <abi/memory.h>
#include <abi/process.h>
#include <abi/syscalls.h>
#include <lib/errno.h>
#include <rt/cpu.h>

enum { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK };

static struct linux_sigaction actions[SIGNAL_COUNT];  /* app.lock; of signal i + 1 */
static uint64_t pending;                              /* app.lock; of the process */

static const uint64_t never_blocked = UINT64_C(1) << (SIGKILL - 1) | UINT64_C(1) << (SIGSTOP - 1);

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
    wanted.mask &= ~never_blocked;
    bool irq = spin_lock(&app.lock);
    old = actions[signal - 1];
    if (args->a[1])
        actions[signal - 1] = wanted;
    spin_unlock(&app.lock, irq);
    return args->a[2] ? app_copy_out(args->a[2], &old, sizeof(old)) : 0;
}

void signals_action(int signal, struct linux_sigaction *out)
{
    bool irq = spin_lock(&app.lock);
    *out = actions[signal - 1];
    if (out->handler > SIG_IGN && (out->flags & SA_RESETHAND))
        actions[signal - 1].handler = SIG_DFL;
    spin_unlock(&app.lock, irq);
}

static bool ignored_by_default(int signal)
{
    return signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH ||
           (signal >= SIGCONT && signal <= SIGTTOU && signal != SIGSTOP);
}

/* ---- what waits ---- */

uint64_t signals_ready_locked(const struct app_thread *t)
{
    return (t->signals_pending | pending) & ~t->signal_mask;
}

bool signals_ready(const struct app_thread *t)
{
    bool irq = spin_lock(&app.lock);
    bool ready = signals_ready_locked(t);
    spin_unlock(&app.lock, irq);
    return ready;
}

int signals_take(struct app_thread *t, uint64_t set, bool *to_thread)
{
    bool irq = spin_lock(&app.lock);
    uint64_t ready = (t->signals_pending | pending) & set;
    uint64_t bit = ready & -ready;
    *to_thread = t->signals_pending & bit;
    if (*to_thread)
        t->signals_pending &= ~bit;
    else
        pending &= ~bit;
    spin_unlock(&app.lock, irq);
    return bit ? __builtin_ctzll(bit) + 1 : 0;
}

bool signals_wait_begin(struct app_thread *t)
{
    bool irq = spin_lock(&app.lock);
    bool wait = !signals_ready_locked(t) && !(t->signals_wanted & (t->signals_pending | pending));
    t->waiting = wait;
    spin_unlock(&app.lock, irq);
    return wait;
}

bool signals_wait_end(struct app_thread *t)
{
    bool irq = spin_lock(&app.lock);
    bool ready = signals_ready_locked(t);
    t->waiting = false;
    spin_unlock(&app.lock, irq);
    return ready;
}

void signals_set_mask(struct app_thread *t, uint64_t mask)
{
    bool irq = spin_lock(&app.lock);
    t->signal_mask = mask & ~never_blocked;
    spin_unlock(&app.lock, irq);
}

int signals_swap_mask(uint64_t address, uint64_t bytes)
{
    struct app_thread *t = app_thread_current();
    uint64_t mask;

    if (!address)
        return 0;
    if (bytes != sizeof(mask))
        return -EINVAL;
    int error = app_copy_in(&mask, address, sizeof(mask));
    if (error)
        return error;
    t->saved_mask = t->signal_mask;
    t->mask_is_saved = true;
    signals_set_mask(t, mask);
    return 0;
}

/* (how, set, old, bytes of a mask) */
SYSCALL(rt_sigprocmask)
{
    struct app_thread *t = app_thread_current();
    uint64_t set = 0, old = t->signal_mask;

    if (args->a[3] != 8 || (args->a[1] && args->a[0] > SIG_SETMASK))
        return -EINVAL;
    int error = args->a[1] ? app_copy_in(&set, args->a[1], sizeof(set)) : 0;
    if (error)
        return error;
    if (args->a[1] && args->a[0] == SIG_BLOCK)
        signals_set_mask(t, old | set);
    else if (args->a[1] && args->a[0] == SIG_UNBLOCK)
        signals_set_mask(t, old & ~set);
    else if (args->a[1])
        signals_set_mask(t, set);
    return args->a[2] ? app_copy_out(args->a[2], &old, sizeof(old)) : 0;
}

/* (set, bytes of a mask) */
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
        if (!off && wanted.bytes < SIGNAL_STACK_BYTES_MIN)
            return -ENOMEM;
        if (!off && (wanted.base >= APP_LIMIT || wanted.bytes > APP_LIMIT - wanted.base))
            return -EINVAL;
        t->alt_stack_base = off ? 0 : wanted.base;
        t->alt_stack_bytes = off ? 0 : wanted.bytes;
    }
    return args->a[1] ? app_copy_out(args->a[1], &old, sizeof(old)) : 0;
}

/* ---- sending ---- */

/* Makes @t look at its signals soon, wherever it is. app.lock held. */
static void notify(struct app_thread *t)
{
    if (t->waiting)
        thread_wake(t->thread);
    else if (t->thread != thread_current() && t->thread->on_cpu)
        arch_ipi_reschedule(t->thread->cpu_index);
}

enum effect { NOTHING, WAITS, ENDS };

/* What happens to a signal that goes to @target, or with NULL to the first that does not block it. */
static enum effect effect_locked(int signal, struct app_thread *target, bool *blocked)
{
    uint64_t handler = actions[signal - 1].handler, bit = signal_bit(signal);
    struct app_thread *t;

    *blocked = true;
    list_for_each(t, &app.threads, link)
        if ((!target || t == target) && !(t->signal_mask & bit))
            *blocked = false;
    if (*blocked || handler > SIG_IGN)
        return WAITS;
    if (handler == SIG_IGN || ignored_by_default(signal))
        return NOTHING;
    return ENDS;
}

static void queue_locked(int signal, struct app_thread *target, bool blocked)
{
    uint64_t bit = signal_bit(signal);
    struct app_thread *t;

    if (target)
        target->signals_pending |= bit;
    else
        pending |= bit;
    list_for_each(t, &app.threads, link) {
        if (target && t != target)
            continue;
        if (!blocked && (t->signal_mask & bit))
            continue;
        if (blocked && !(t->signals_wanted & bit))
            continue;
        notify(t);
        return;
    }
}

long signals_send(uint32_t tid, int64_t signal)
{
    struct app_thread *t, *target = NULL;
    enum effect effect = NOTHING;
    bool blocked;

    if (signal < 0 || signal > SIGNAL_COUNT)
        return -EINVAL;
    bool irq = spin_lock(&app.lock);
    list_for_each(t, &app.threads, link)
        if (t->tid == tid)
            target = t;
    bool found = target || (!tid && app.thread_count);
    if (found && signal)
        effect = effect_locked((int)signal, target, &blocked);
    if (effect == WAITS)
        queue_locked((int)signal, target, blocked);
    spin_unlock(&app.lock, irq);
    if (effect == ENDS)
        crash_by_signal((int)signal, "its default action ends the program");
    return found ? 0 : -ESRCH;
}

void signals_raise(int signal)
{
    signals_send(app_thread_current()->tid, signal);
}

SYSCALL(kill)
{
    int32_t pid = (int32_t)args->a[0];
    if (pid > 0 && (uint32_t)pid != app.pid)
        return -ESRCH;
    return signals_send(0, (int32_t)args->a[1]);
}

SYSCALL(tkill)
{
    if ((int32_t)args->a[0] <= 0)
        return -EINVAL;
    return signals_send((uint32_t)args->a[0], (int32_t)args->a[1]);
}

/* (pid, tid, signal) */
SYSCALL(tgkill)
{
    if ((int32_t)args->a[0] <= 0 || (int32_t)args->a[1] <= 0)
        return -EINVAL;
    if (args->a[0] != app.pid)
        return -ESRCH;
    return signals_send((uint32_t)args->a[1], (int32_t)args->a[2]);
}
