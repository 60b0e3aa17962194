// SPDX-License-Identifier: MIT
/* Waiting for signals, and the alarms that send one: alarm, setitimer(ITIMER_REAL). */
#include <abi/signals.h>

#include <abi/copy.h>
#include <abi/poll.h>
#include <abi/syscalls.h>
#include <abi/wait.h>
#include <lib/errno.h>
#include <rt/timer.h>
#include <rt/work.h>

static int wait_for_signal(void)
{
    int error;

    do
        error = app_sleep_until(WAIT_FOREVER);
    while (error == 0);
    return error;
}

SYSCALL(pause)
{
    (void)args;
    return wait_for_signal();
}

/* (mask, bytes of a mask) */
SYSCALL(rt_sigsuspend)
{
    if (!args->a[0])
        return -EFAULT;
    int error = signals_swap_mask(args->a[0], args->a[1]);
    return error ? error : wait_for_signal();
}

static int report(uint64_t address, int signal, bool to_thread)
{
    struct linux_siginfo info = {
        .signal = signal,
        .code = to_thread ? SI_TKILL : SI_USER,
        .pid = (int32_t)app.pid,
    };
    return address ? app_copy_out(address, &info, sizeof(info)) : 0;
}

/* (set, info, timespec, bytes of a mask) */
SYSCALL(rt_sigtimedwait)
{
    struct app_thread *t = app_thread_current();
    uint64_t set, deadline_ns;
    bool to_thread;
    int signal, error = args->a[3] == sizeof(set) ? 0 : -EINVAL;

    if (!error)
        error = app_copy_in(&set, args->a[0], sizeof(set));
    if (!error)
        error = poll_deadline_in(args->a[2], &deadline_ns);
    if (error)
        return error;
    for (;;) {
        signal = signals_take(t, set, &to_thread);
        if (signal || error)
            break;
        t->signals_wanted = set;
        error = app_sleep_until(deadline_ns);
        t->signals_wanted = 0;
        if (error == 0)
            error = -EAGAIN;
    }
    if (!signal)
        return error;
    error = report(args->a[1], signal, to_thread);
    return error ? error : signal;
}

/* ---- alarms ---- */

#define ALARM_AGAIN_NS (100 * NS_PER_US)

static void alarm_fire(struct timer *timer);
static void alarm_execute(struct work *work);
static const struct timer_ops alarm_timer_ops = {.fire = alarm_fire};
static const struct work_ops alarm_work_ops = {.execute = alarm_execute};

static struct {
    struct mutex lock;                /* both below */
    uint64_t deadline_ns, period_ns;  /* 0: off; once */
    struct timer timer;
    struct work work;
} alarms = {.lock = MUTEX_INIT(alarms.lock)};

void signal_alarms_start(void)
{
    mutex_init(&alarms.lock);
    timer_init(&alarms.timer, &alarm_timer_ops);
    work_init(&alarms.work, &alarm_work_ops);
}

static void alarm_fire(struct timer *timer)
{
    (void)timer;
    work_queue(&alarms.work);
}

static void alarm_execute(struct work *work)
{
    (void)work;
    mutex_lock(&alarms.lock);
    bool due = alarms.deadline_ns && arch_now_ns() >= alarms.deadline_ns;
    if (due && alarms.period_ns) {
        uint64_t now = arch_now_ns(), late_ns = now - alarms.deadline_ns;
        /* periods that have passed bring one signal, and very short ones leave time for the app */
        alarms.deadline_ns += (late_ns / alarms.period_ns + 1) * alarms.period_ns;
        timer_start(&alarms.timer, MAX(alarms.deadline_ns, now + ALARM_AGAIN_NS));
    } else if (due) {
        alarms.deadline_ns = 0;
    }
    mutex_unlock(&alarms.lock);
    if (due && !app_ending())
        signals_send(0, SIGALRM);
}

/* Sets the alarm anew; what was left of the old one is in @old_ns, at least 1 if it was on. */
static void set_alarm(uint64_t wait_ns, uint64_t period_ns, uint64_t *old_ns, uint64_t *old_period)
{
    mutex_lock(&alarms.lock);
    uint64_t now = arch_now_ns();
    *old_ns = 0;
    if (alarms.deadline_ns)
        *old_ns = alarms.deadline_ns > now ? alarms.deadline_ns - now : 1;
    *old_period = alarms.period_ns;
    timer_cancel(&alarms.timer);
    alarms.deadline_ns = wait_ns ? now + wait_ns : 0;
    alarms.period_ns = period_ns;
    if (wait_ns)
        timer_start(&alarms.timer, alarms.deadline_ns);
    mutex_unlock(&alarms.lock);
}

SYSCALL(alarm)
{
    uint64_t old_ns, old_period;

    set_alarm((uint32_t)args->a[0] * (uint64_t)NS_PER_S, 0, &old_ns, &old_period);
    return (long)((old_ns + NS_PER_S - 1) / NS_PER_S);
}

static struct linux_timeval timeval_of(uint64_t ns)
{
    return (struct linux_timeval){(int64_t)(ns / NS_PER_S), (int64_t)(ns % NS_PER_S / NS_PER_US)};
}

static bool ns_of(const struct linux_timeval *t, uint64_t *out_ns)
{
    if (t->seconds < 0 || t->microseconds < 0 || t->microseconds >= 1000000)
        return false;
    uint64_t seconds = MIN((uint64_t)t->seconds, UINT64_C(1) << 32);
    *out_ns = seconds * NS_PER_S + (uint64_t)t->microseconds * NS_PER_US;
    return true;
}

/* (which, new, old): {period, value}; only the one that counts real time */
SYSCALL(setitimer)
{
    struct linux_timeval t[2];
    uint64_t period_ns = 0, wait_ns = 0, old_ns, old_period;

    if (args->a[0] != ITIMER_REAL)
        return -EINVAL;
    if (args->a[1]) {
        int error = app_copy_in(t, args->a[1], sizeof(t));
        if (error)
            return error;
        if (!ns_of(&t[0], &period_ns) || !ns_of(&t[1], &wait_ns))
            return -EINVAL;
    }
    set_alarm(wait_ns, period_ns, &old_ns, &old_period);
    if (!args->a[2])
        return 0;
    t[0] = timeval_of(old_period);
    t[1] = timeval_of(old_ns);
    return app_copy_out(args->a[2], t, sizeof(t));
}

/* (which, value) */
SYSCALL(getitimer)
{
    struct linux_timeval t[2];

    if (args->a[0] != ITIMER_REAL)
        return -EINVAL;
    mutex_lock(&alarms.lock);
    uint64_t now = arch_now_ns();
    t[0] = timeval_of(alarms.period_ns);
    t[1] = timeval_of(alarms.deadline_ns > now ? alarms.deadline_ns - now : 0);
    mutex_unlock(&alarms.lock);
    return app_copy_out(args->a[1], t, sizeof(t));
}
