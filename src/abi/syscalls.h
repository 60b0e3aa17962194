// SPDX-License-Identifier: MIT
/*
 * The system calls: one handler each, found by number in syscall_table (syscall_table.c). A
 * handler gets the six arguments as the app passed them and returns a result or -errno. It runs on
 * the thread's home stack, interrupts on, and may sleep; it keeps its frame small, for the path
 * from here to the first probe is not covered by one.
 */
#pragma once

#include <arch/arch.h>

struct syscall_args {
    uint64_t a[6];
    struct arch_frame *frame;         /* of the app's thread */
};

/* No handler: the call is named on the console once, and gives -ENOSYS. */
struct syscall_entry {
    const char *name;
    long (*invoke)(const struct syscall_args *args);
};
extern const struct syscall_entry syscall_table[];
extern const uint32_t syscall_count;

#define SYSCALL(name) long sys_##name(const struct syscall_args *args)

/* For calls that programs try first and do well without: -ENOSYS without a word. */
SYSCALL(quietly_missing);
/* For calls that ask for what is so anyway: 0. */
SYSCALL(nothing_to_do);

/* hints.c */
SYSCALL(mlock); SYSCALL(setgroups); SYSCALL(sched_setparam); SYSCALL(sched_setscheduler);
/* Extended attributes: no filesystem here has them. */
SYSCALL(no_attributes);

/* io.c */
SYSCALL(read); SYSCALL(write); SYSCALL(pread64); SYSCALL(pwrite64); SYSCALL(readv); SYSCALL(writev);
SYSCALL(preadv); SYSCALL(pwritev); SYSCALL(preadv2); SYSCALL(pwritev2); SYSCALL(lseek);
/* open.c */
SYSCALL(open); SYSCALL(openat); SYSCALL(creat); SYSCALL(close); SYSCALL(close_range);
SYSCALL(dup); SYSCALL(dup2); SYSCALL(dup3); SYSCALL(fcntl);
/* locks.c */
SYSCALL(flock);
/* stat.c */
SYSCALL(stat); SYSCALL(fstat); SYSCALL(lstat); SYSCALL(newfstatat); SYSCALL(statx);
SYSCALL(access); SYSCALL(faccessat); SYSCALL(faccessat2); SYSCALL(statfs); SYSCALL(fstatfs);
/* names.c */
SYSCALL(mkdir); SYSCALL(mkdirat); SYSCALL(mknod); SYSCALL(mknodat); SYSCALL(rmdir);
SYSCALL(unlink); SYSCALL(unlinkat); SYSCALL(rename); SYSCALL(renameat); SYSCALL(renameat2);
SYSCALL(link); SYSCALL(linkat); SYSCALL(symlink); SYSCALL(symlinkat);
SYSCALL(readlink); SYSCALL(readlinkat); SYSCALL(getdents64);
SYSCALL(chdir); SYSCALL(fchdir); SYSCALL(getcwd);
/* attributes.c */
SYSCALL(chmod); SYSCALL(fchmod); SYSCALL(fchmodat); SYSCALL(chown); SYSCALL(fchown);
SYSCALL(lchown); SYSCALL(fchownat); SYSCALL(utimensat); SYSCALL(umask); SYSCALL(truncate);
SYSCALL(ftruncate);
SYSCALL(fallocate);
/* mounts.c */
SYSCALL(fsync); SYSCALL(fdatasync); SYSCALL(sync); SYSCALL(syncfs); SYSCALL(mount);
SYSCALL(umount2);
/* ioctl.c, pipe.c, poll.c */
SYSCALL(ioctl); SYSCALL(pipe); SYSCALL(pipe2);
SYSCALL(poll); SYSCALL(ppoll); SYSCALL(select); SYSCALL(pselect6);
/* eventfd.c, epoll.c */
SYSCALL(eventfd); SYSCALL(eventfd2);
SYSCALL(timerfd_create); SYSCALL(timerfd_settime); SYSCALL(timerfd_gettime);
SYSCALL(epoll_create); SYSCALL(epoll_create1); SYSCALL(epoll_ctl); SYSCALL(epoll_wait);
SYSCALL(epoll_pwait);
/* mmap.c */
SYSCALL(mmap); SYSCALL(munmap); SYSCALL(mprotect); SYSCALL(mremap); SYSCALL(brk); SYSCALL(madvise);
SYSCALL(msync);
/* threads.c */
SYSCALL(clone); SYSCALL(exit); SYSCALL(exit_group); SYSCALL(set_tid_address); SYSCALL(gettid);
SYSCALL(getpid); SYSCALL(getppid); SYSCALL(no_child); SYSCALL(set_robust_list); SYSCALL(get_robust_list);
SYSCALL(arch_prctl); SYSCALL(prctl); SYSCALL(sched_yield); SYSCALL(sched_getaffinity); SYSCALL(sched_setaffinity);
SYSCALL(sched_getparam); SYSCALL(sched_get_priority_limit); SYSCALL(getcpu); SYSCALL(membarrier);
/* futex_calls.c */
SYSCALL(futex);
/* clock.c */
SYSCALL(clock_gettime); SYSCALL(clock_getres); SYSCALL(gettimeofday); SYSCALL(time);
SYSCALL(nanosleep); SYSCALL(clock_nanosleep); SYSCALL(times); SYSCALL(getrusage);
/* machine.c */
SYSCALL(uname); SYSCALL(sysinfo); SYSCALL(getrandom); SYSCALL(prlimit64); SYSCALL(getrlimit);
SYSCALL(setrlimit); SYSCALL(get_root_id); SYSCALL(getgroups);
/* signals.c, signal_frame.c, signal_wait.c */
SYSCALL(rt_sigaction); SYSCALL(rt_sigprocmask); SYSCALL(rt_sigpending); SYSCALL(sigaltstack);
SYSCALL(kill); SYSCALL(tkill); SYSCALL(tgkill); SYSCALL(rt_sigreturn);
SYSCALL(pause); SYSCALL(rt_sigsuspend); SYSCALL(rt_sigtimedwait);
SYSCALL(alarm); SYSCALL(setitimer); SYSCALL(getitimer);
void signal_alarms_start(void);
