// SPDX-License-Identifier: MIT
/*
 * Threads of the app: clone as musl's and glibc's pthread_create use it, exit, and what a thread
 * asks about itself. There is no fork: a clone that does not share everything gives -ENOSYS.
 */
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/memory.h>
#include <abi/process.h>
#include <abi/syscalls.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/cpu.h>
#include <rt/log.h>

#define CLONE_NEEDED (CLONE_VM | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003

#define PR_SET_NAME 15
#define PR_GET_NAME 16
#define THREAD_NAME_BYTES 16

static long refuse_fork(void)
{
    static bool named;
    if (!__atomic_exchange_n(&named, true, __ATOMIC_RELAXED))
        log_warn("app: there is no fork: clone without shared memory gives ENOSYS");
    return -ENOSYS;
}

static int write_tid(uint64_t address, uint32_t tid)
{
    return app_copy_out(address, &tid, sizeof(tid));
}

/* (flags, stack, parent_tid, child_tid, tls) */
SYSCALL(clone)
{
    uint64_t flags = args->a[0];
    struct app_thread *child;

    if ((flags & CLONE_NEEDED) != CLONE_NEEDED || (flags & CLONE_VFORK))
        return refuse_fork();
    uint64_t fs_base = flags & CLONE_SETTLS ? args->a[4] : thread_current()->arch.fs_base;
    if (fs_base >= APP_LIMIT || args->a[1] >= APP_LIMIT)
        return -EPERM;
    if (app_thread_create(args->frame, fs_base, true, &child))
        return -EAGAIN;
    child->thread->affinity = thread_current()->affinity; /* as Linux; it has not started */
    child->start.rax = 0;
    if (args->a[1])
        child->start.rsp = args->a[1];
    child->signal_mask = app_thread_current()->signal_mask;
    if (flags & CLONE_CHILD_CLEARTID)
        child->clear_tid = args->a[3];
    uint32_t tid = child->tid;
    int error = 0;
    if (flags & CLONE_PARENT_SETTID)
        error = write_tid(args->a[2], tid);
    if (!error && (flags & CLONE_CHILD_SETTID))
        error = write_tid(args->a[3], tid);
    if (error) {
        app_thread_abandon(child);
        return error;
    }
    app_thread_go(child);
    return tid;
}

SYSCALL(exit)
{
    app_thread_exit((int)args->a[0]);
}

SYSCALL(exit_group)
{
    app_finish((int)args->a[0]);
    return 0;
}

/* wait4, waitid: nobody has children here. */
SYSCALL(no_child)
{
    (void)args;
    return -ECHILD;
}

SYSCALL(set_tid_address)
{
    struct app_thread *t = app_thread_current();
    t->clear_tid = args->a[0];
    return t->tid;
}

SYSCALL(gettid)
{
    (void)args;
    return app_thread_current()->tid;
}

SYSCALL(getpid)
{
    (void)args;
    return app.pid;
}

SYSCALL(getppid)
{
    (void)args;
    return 0;
}

SYSCALL(set_robust_list)
{
    if (args->a[1] != sizeof(struct linux_robust_head))
        return -EINVAL;
    app_thread_current()->robust_head = args->a[0];
    return 0;
}

/* (tid, head, length); of the calling thread only */
SYSCALL(get_robust_list)
{
    struct app_thread *t = app_thread_current();
    uint64_t bytes = sizeof(struct linux_robust_head);

    if (args->a[0] != 0 && args->a[0] != t->tid)
        return -ESRCH;
    int error = app_copy_out(args->a[2], &bytes, sizeof(bytes));
    return error ? error : app_copy_out(args->a[1], &t->robust_head, sizeof(t->robust_head));
}

/* GS belongs to the kernel: an app may move FS only. */
SYSCALL(arch_prctl)
{
    switch (args->a[0]) {
    case ARCH_SET_FS:
        if (args->a[1] >= APP_LIMIT)
            return -EPERM;
        arch_set_fs_base(args->a[1]);
        return 0;
    case ARCH_GET_FS: {
        uint64_t base = thread_current()->arch.fs_base;
        return app_copy_out(args->a[1], &base, sizeof(base));
    }
    case ARCH_SET_GS:
        return -EPERM;
    default:
        return -EINVAL;
    }
}

SYSCALL(prctl)
{
    struct thread *thread = thread_current();

    switch (args->a[0]) {
    case PR_SET_NAME: {
        char name[THREAD_NAME_BYTES] = {0};
        ssize_t length = app_copy_string(name, args->a[1], sizeof(name));
        if (length < 0 && length != -ENAMETOOLONG)
            return length;
        name[sizeof(name) - 1] = 0;
        str_copy(thread->name, name, sizeof(thread->name));
        return 0;
    }
    case PR_GET_NAME: {
        char name[THREAD_NAME_BYTES] = {0};
        str_copy(name, thread->name, sizeof(name));
        return app_copy_out(args->a[1], name, sizeof(name));
    }
    default:
        return -EINVAL;
    }
}

SYSCALL(sched_yield)
{
    (void)args;
    thread_yield();
    return 0;
}

static uint64_t present_cpus(void)
{
    return cpu_count >= 64 ? UINT64_MAX : (UINT64_C(1) << cpu_count) - 1;
}

/* The thread with @tid, or the caller for 0; app.lock held. */
static struct thread *thread_by_tid(uint64_t tid)
{
    struct app_thread *t;

    if (tid == 0 || tid == app_thread_current()->tid)
        return thread_current();
    list_for_each(t, &app.threads, link)
        if (t->tid == tid)
            return t->thread;
    return NULL;
}

/* (pid, bytes, mask); returns the bytes of a mask */
SYSCALL(sched_getaffinity)
{
    uint64_t mask = 0;

    if (args->a[1] < sizeof(mask) || args->a[1] % sizeof(mask))
        return -EINVAL;
    bool irq = spin_lock(&app.lock);
    struct thread *thread = thread_by_tid(args->a[0]);
    if (thread)
        mask = thread->affinity & present_cpus();
    spin_unlock(&app.lock, irq);
    if (!thread)
        return -ESRCH;
    int error = app_copy_out(args->a[2], &mask, sizeof(mask));
    return error ? error : (long)sizeof(mask);
}

/* (pid, bytes, mask) */
SYSCALL(sched_setaffinity)
{
    uint64_t mask = 0;
    int error = app_copy_in(&mask, args->a[2], MIN(args->a[1], sizeof(mask)));

    if (error)
        return error;
    bool irq = spin_lock(&app.lock);
    struct thread *thread = thread_by_tid(args->a[0]);
    if (!thread)
        error = -ESRCH;
    else if (thread != thread_current())
        error = thread_set_affinity(thread, mask);
    spin_unlock(&app.lock, irq);
    return thread == thread_current() ? thread_set_affinity(thread, mask) : error;
}

/* (pid, param): everything runs at SCHED_OTHER, priority 0 */
SYSCALL(sched_getparam)
{
    return args->a[1] ? app_zero(args->a[1], 4) : -EINVAL;
}

SYSCALL(sched_get_priority_limit)
{
    return args->a[0] == 0 ? 0 : -EINVAL;
}

SYSCALL(getcpu)
{
    uint32_t index = thread_current()->cpu_index;
    int error = args->a[0] ? app_copy_out(args->a[0], &index, sizeof(index)) : 0;
    if (!error && args->a[1])
        error = app_zero(args->a[1], sizeof(index));
    return error;
}

/*
 * With one CPU every thread that runs later has seen everything; with more, an IPI would be
 * needed.
 */
SYSCALL(membarrier)
{
    enum { QUERY = 0, GLOBAL = 1, PRIVATE = 8, REGISTER_PRIVATE = 16 };

    if (cpu_count > 1)
        return -ENOSYS;
    switch (args->a[0]) {
    case QUERY:
        return GLOBAL | PRIVATE | REGISTER_PRIVATE;
    case GLOBAL:
    case PRIVATE:
    case REGISTER_PRIVATE:
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return 0;
    default:
        return -EINVAL;
    }
}
