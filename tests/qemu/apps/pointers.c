// SPDX-License-Identifier: MIT
/*
 * Bad pointers in every system call: for each pointer among a call's arguments, one line for each way to be bad, with
 * what the call gave. The others are good. pointers.sh runs it here and on Linux and compares, and it compares the
 * rows below with the table of calls in the kernel: a new call needs a row here.
 *
 *     pointers FOLDER      works in FOLDER; prints `CALL ARGUMENT WAY RESULT`
 *     pointers --rows      prints `NUMBER CALL` of each row
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

enum { DATA_FD = 10, OUT_FD = 11, DIR_FD = 12, TTY_FD = 13, EPOLL_FD = 14, TIMER_FD = 15, VECTOR_BYTES = 16, PAGE = 4096 };

enum kind {
    VALUE,
    INPUT, OUTPUT, IN_OUT, STRING,    /* must be readable, writable, both; a path */
    VECTOR_IN, VECTOR_OUT,            /* an array of one buffer, whose own address is the bad one */
    RANGE,                            /* pages, not a buffer */
    IDLE_INPUT, IDLE_OUTPUT,          /* not looked at when the others are good: never bad itself */
};

struct argument {
    enum kind kind;
    uint64_t value;                   /* of a VALUE; else bytes */
    int wait;                         /* a time limit: without one it would wait */
};

struct row {
    int number;
    const char *name;
    int needs_root;                   /* on Linux; else it is refused before it looks */
    struct argument arguments[6];
};

#define V(x) {VALUE, (uint64_t)(x)}
#define IN(bytes) {INPUT, bytes}
#define OUT(bytes) {OUTPUT, bytes}
#define INOUT(bytes) {IN_OUT, bytes}
#define LIMIT {INPUT, 16, 1}
#define S {STRING, 0}
#define R {RANGE, PAGE}
#define VIN {VECTOR_IN, VECTOR_BYTES}
#define VOUT {VECTOR_OUT, VECTOR_BYTES}
#define OFF_IN(bytes) {IDLE_INPUT, bytes}
#define OFF_OUT(bytes) {IDLE_OUTPUT, bytes}
#define CALL(number, name, ...) {number, #name, 0, {__VA_ARGS__}},
#define ROOT_CALL(number, name, ...) {number, #name, 1, {__VA_ARGS__}},
/* Calls without pointers, or that only keep one. */
#define PLAIN(number, name) {number, #name, 0, {{VALUE, 0}}},
/* Not called: it would not return, or not as the same program. */
#define LEFT_OUT(number, name) {number, #name, 0, {{VALUE, 0}}},

#define HERE AT_FDCWD

static const struct row rows[] = {
    CALL(0, read, V(DATA_FD), OUT(16), V(16))
    CALL(1, write, V(OUT_FD), IN(16), V(16))
    CALL(2, open, S, V(0), V(0))
    PLAIN(3, close)
    CALL(4, stat, S, OUT(144))
    CALL(5, fstat, V(DATA_FD), OUT(144))
    CALL(6, lstat, S, OUT(144))
    CALL(7, poll, INOUT(8), V(1), V(0))
    PLAIN(8, lseek)
    PLAIN(9, mmap)
    CALL(10, mprotect, R, V(PAGE), V(PROT_READ))
    CALL(11, munmap, R, V(PAGE))
    PLAIN(12, brk)
    CALL(13, rt_sigaction, V(10), IN(32), OUT(32), V(8))
    CALL(14, rt_sigprocmask, V(0), IN(8), OUT(8), V(8))
    LEFT_OUT(15, rt_sigreturn)
    CALL(16, ioctl, V(TTY_FD), V(0x5401), OUT(36))       /* TCGETS */
    CALL(16, ioctl, V(TTY_FD), V(0x5413), OUT(8))        /* TIOCGWINSZ */
    CALL(16, ioctl, V(DATA_FD), V(0x5401), OUT(36))      /* TCGETS: no terminal */
    CALL(17, pread64, V(DATA_FD), OUT(16), V(16), V(0))
    CALL(18, pwrite64, V(OUT_FD), IN(16), V(16), V(0))
    CALL(19, readv, V(DATA_FD), IN(16), V(1))
    CALL(19, readv, V(DATA_FD), VOUT, V(1))
    CALL(20, writev, V(OUT_FD), IN(16), V(1))
    CALL(20, writev, V(OUT_FD), VIN, V(1))
    CALL(21, access, S, V(0))
    CALL(22, pipe, OUT(8))
    CALL(23, select, V(1), INOUT(8), INOUT(8), INOUT(8), LIMIT)
    PLAIN(24, sched_yield)
    CALL(25, mremap, R, V(PAGE), V(PAGE), V(0))
    CALL(26, msync, R, V(PAGE), V(MS_SYNC))
    CALL(27, mincore, R, V(PAGE), OFF_OUT(1))
    CALL(28, madvise, R, V(PAGE), V(MADV_NORMAL))
    PLAIN(32, dup)
    PLAIN(33, dup2)
    LEFT_OUT(34, pause)
    CALL(35, nanosleep, IN(16), OFF_OUT(16))
    CALL(36, getitimer, V(0), OUT(32))
    PLAIN(37, alarm)
    CALL(38, setitimer, V(0), IN(32), OUT(32))
    PLAIN(39, getpid)
    CALL(40, sendfile, V(OUT_FD), V(DATA_FD), INOUT(8), V(4))
    PLAIN(41, socket)
    CALL(42, connect, V(DATA_FD), IN(16), V(16))
    CALL(53, socketpair, V(1), V(1), V(0), OUT(8))
    LEFT_OUT(56, clone)
    LEFT_OUT(57, fork)
    LEFT_OUT(58, vfork)
    CALL(59, execve, S, V(0), V(0))
    LEFT_OUT(60, exit)
    CALL(61, wait4, V(-1), OFF_OUT(4), V(1), OFF_OUT(144))
    PLAIN(62, kill)
    CALL(63, uname, OUT(390))
    CALL(72, fcntl, V(DATA_FD), V(5), INOUT(32))         /* F_GETLK */
    CALL(72, fcntl, V(OUT_FD), V(6), IN(32))             /* F_SETLK */
    PLAIN(73, flock)
    PLAIN(74, fsync)
    PLAIN(75, fdatasync)
    CALL(76, truncate, S, V(5))
    PLAIN(77, ftruncate)
    CALL(79, getcwd, OUT(64), V(64))
    CALL(80, chdir, S)
    PLAIN(81, fchdir)
    CALL(82, rename, S, S)
    CALL(83, mkdir, S, V(0755))
    CALL(84, rmdir, S)
    CALL(85, creat, S, V(0600))
    CALL(86, link, S, S)
    CALL(87, unlink, S)
    CALL(88, symlink, S, S)
    CALL(89, readlink, S, OFF_OUT(16), V(16))
    CALL(90, chmod, S, V(0600))
    PLAIN(91, fchmod)
    CALL(92, chown, S, V(0), V(0))
    PLAIN(93, fchown)
    CALL(94, lchown, S, V(0), V(0))
    PLAIN(95, umask)
    CALL(96, gettimeofday, OUT(16), OUT(8))
    CALL(97, getrlimit, V(7), OUT(16))
    CALL(98, getrusage, V(0), OUT(144))
    CALL(99, sysinfo, OUT(112))
    CALL(100, times, OUT(32))
    PLAIN(102, getuid)
    PLAIN(104, getgid)
    PLAIN(105, setuid)
    PLAIN(106, setgid)
    PLAIN(107, geteuid)
    PLAIN(108, getegid)
    PLAIN(109, setpgid)
    PLAIN(110, getppid)
    PLAIN(111, getpgrp)
    PLAIN(112, setsid)
    CALL(115, getgroups, V(0), OFF_OUT(4))
    ROOT_CALL(116, setgroups, V(1), IN(4))
    PLAIN(121, getpgid)
    PLAIN(124, getsid)
    CALL(127, rt_sigpending, OUT(8), V(8))
    CALL(128, rt_sigtimedwait, IN(8), OFF_OUT(128), LIMIT, V(8))
    CALL(130, rt_sigsuspend, IN(8), V(8))
    CALL(131, sigaltstack, V(0), OUT(24))
    CALL(131, sigaltstack, IN(24), V(0))
    CALL(133, mknod, S, V(0100600), V(0))
    CALL(137, statfs, S, OUT(120))
    CALL(138, fstatfs, V(DATA_FD), OUT(120))
    CALL(142, sched_setparam, V(0), IN(4))
    CALL(143, sched_getparam, V(0), OUT(4))
    CALL(144, sched_setscheduler, V(0), V(0), IN(4))
    PLAIN(145, sched_getscheduler)
    PLAIN(146, sched_get_priority_max)
    PLAIN(147, sched_get_priority_min)
    CALL(149, mlock, R, V(PAGE))
    CALL(150, munlock, R, V(PAGE))
    PLAIN(151, mlockall)
    PLAIN(152, munlockall)
    CALL(157, prctl, V(15), IN(16))                      /* PR_SET_NAME */
    CALL(157, prctl, V(16), OUT(16))                     /* PR_GET_NAME */
    CALL(158, arch_prctl, V(0x1003), OUT(8))             /* ARCH_GET_FS */
    CALL(160, setrlimit, V(7), IN(16))
    ROOT_CALL(161, chroot, S)
    PLAIN(162, sync)
    ROOT_CALL(165, mount, S, S, S, V(0), OFF_IN(PAGE))
    ROOT_CALL(166, umount2, S, V(0))
    LEFT_OUT(169, reboot)
    PLAIN(186, gettid)
    PLAIN(187, readahead)
    CALL(188, setxattr, S, S, IN(4), V(4), V(0))
    CALL(189, lsetxattr, S, S, IN(4), V(4), V(0))
    CALL(190, fsetxattr, V(OUT_FD), S, IN(4), V(4), V(0))
    CALL(191, getxattr, S, S, OUT(4), V(4))
    CALL(192, lgetxattr, S, S, OUT(4), V(4))
    CALL(193, fgetxattr, V(DATA_FD), S, OUT(4), V(4))
    CALL(194, listxattr, S, OUT(4), V(4))
    CALL(195, llistxattr, S, OUT(4), V(4))
    CALL(196, flistxattr, V(DATA_FD), OUT(4), V(4))
    CALL(197, removexattr, S, S)
    CALL(198, lremovexattr, S, S)
    CALL(199, fremovexattr, V(OUT_FD), S)
    PLAIN(200, tkill)
    CALL(201, time, OUT(8))
    CALL(202, futex, INOUT(4), V(128), V(1), IN(16))     /* FUTEX_WAIT, private */
    CALL(202, futex, INOUT(4), V(0), V(1), IN(16))       /* FUTEX_WAIT */
    CALL(202, futex, INOUT(4), V(128 + 4), V(1), V(1), INOUT(4), V(0)) /* FUTEX_CMP_REQUEUE */
    CALL(202, futex, INOUT(4), V(128 + 5), V(1), V(1), INOUT(4), V(0)) /* FUTEX_WAKE_OP */
    CALL(202, futex, INOUT(4), V(128 + 9), V(1), IN(16), V(0), V(1))   /* FUTEX_WAIT_BITSET */
    CALL(203, sched_setaffinity, V(0), V(8), IN(8))
    CALL(204, sched_getaffinity, V(0), V(128), OUT(128))
    PLAIN(213, epoll_create)
    CALL(217, getdents64, V(DIR_FD), OUT(256), V(256))
    PLAIN(218, set_tid_address)
    PLAIN(221, fadvise64)
    CALL(228, clock_gettime, V(0), OUT(16))
    CALL(229, clock_getres, V(0), OUT(16))
    CALL(230, clock_nanosleep, V(1), V(0), IN(16), OFF_OUT(16))
    LEFT_OUT(231, exit_group)
    CALL(232, epoll_wait, V(EPOLL_FD), OUT(12), V(1), V(0))
    CALL(233, epoll_ctl, V(EPOLL_FD), V(1), V(OUT_FD), IN(12))
    PLAIN(234, tgkill)
    CALL(247, waitid, V(0), V(0), OFF_OUT(128), V(5), OFF_OUT(144))
    CALL(257, openat, V(HERE), S, V(0), V(0))
    CALL(258, mkdirat, V(HERE), S, V(0755))
    CALL(259, mknodat, V(HERE), S, V(0100600), V(0))
    CALL(260, fchownat, V(HERE), S, V(0), V(0), V(0))
    CALL(262, newfstatat, V(HERE), S, OUT(144), V(0))
    CALL(263, unlinkat, V(HERE), S, V(0))
    CALL(264, renameat, V(HERE), S, V(HERE), S)
    CALL(265, linkat, V(HERE), S, V(HERE), S, V(0))
    CALL(266, symlinkat, S, V(HERE), S)
    CALL(267, readlinkat, V(HERE), S, OFF_OUT(16), V(16))
    CALL(268, fchmodat, V(HERE), S, V(0600))
    CALL(269, faccessat, V(HERE), S, V(0))
    CALL(270, pselect6, V(1), INOUT(8), INOUT(8), INOUT(8), LIMIT, IN(16))
    CALL(271, ppoll, INOUT(8), V(1), LIMIT, IN(8), V(8))
    PLAIN(273, set_robust_list)
    CALL(274, get_robust_list, V(0), OUT(8), OUT(8))
    CALL(275, splice, V(DATA_FD), INOUT(8), V(OUT_FD), INOUT(8), V(4), V(0))
    PLAIN(277, sync_file_range)
    CALL(280, utimensat, V(HERE), S, IN(32), V(0))
    CALL(281, epoll_pwait, V(EPOLL_FD), OUT(12), V(1), V(0), IN(8), V(8))
    PLAIN(283, timerfd_create)
    PLAIN(284, eventfd)
    PLAIN(285, fallocate)
    CALL(286, timerfd_settime, V(TIMER_FD), V(0), IN(32), OUT(32))
    CALL(287, timerfd_gettime, V(TIMER_FD), OUT(32))
    CALL(288, accept4, V(DATA_FD), OFF_OUT(16), OFF_OUT(4), V(0))
    PLAIN(290, eventfd2)
    PLAIN(291, epoll_create1)
    PLAIN(292, dup3)
    CALL(293, pipe2, OUT(8), V(0))
    CALL(295, preadv, V(DATA_FD), IN(16), V(1), V(0))
    CALL(295, preadv, V(DATA_FD), VOUT, V(1), V(0))
    CALL(296, pwritev, V(OUT_FD), IN(16), V(1), V(0))
    CALL(296, pwritev, V(OUT_FD), VIN, V(1), V(0))
    CALL(302, prlimit64, V(0), V(7), IN(16), V(0))
    CALL(302, prlimit64, V(0), V(7), V(0), OUT(16))
    PLAIN(306, syncfs)
    CALL(309, getcpu, OUT(4), OUT(4), V(0))
    CALL(314, sched_setattr, V(0), INOUT(48), V(0))
    CALL(315, sched_getattr, V(0), OUT(48), V(48), V(0))
    CALL(316, renameat2, V(HERE), S, V(HERE), S, V(0))
    CALL(318, getrandom, OUT(16), V(16), V(0))
    CALL(319, memfd_create, S, V(0))
    CALL(322, execveat, V(HERE), S, V(0), V(0), V(0))
    PLAIN(324, membarrier)
    CALL(325, mlock2, R, V(PAGE), V(0))
    CALL(326, copy_file_range, V(DATA_FD), INOUT(8), V(OUT_FD), INOUT(8), V(4), V(0))
    CALL(327, preadv2, V(DATA_FD), IN(16), V(1), V(0), V(0), V(0))
    CALL(328, pwritev2, V(OUT_FD), IN(16), V(1), V(0), V(0), V(0))
    CALL(332, statx, V(HERE), S, V(0), V(0x7ff), OUT(256))
    LEFT_OUT(334, rseq)                                  /* it kills later, not at the call */
    CALL(425, io_uring_setup, V(1), INOUT(120))
    CALL(435, clone3, IN(88), V(88))
    PLAIN(436, close_range)
    CALL(437, openat2, V(HERE), S, IN(24), V(24))
    CALL(439, faccessat2, V(HERE), S, V(0), V(0))
    CALL(449, futex_waitv, IN(24), V(1), V(0), IN(16), V(1))
    CALL(452, fchmodat2, V(HERE), S, V(0600), V(0))
};

/* ---- bad addresses ---- */

enum way { NULL_WAY, HOLE, NO_ACCESS, READ_ONLY, KERNEL, DIRECT_MAP, NON_CANONICAL, TOP, WRAPS, CROSSING, WAYS };
static const char *const way_names[WAYS] = {
    "null", "hole", "no-access", "read-only", "kernel", "direct-map", "non-canonical", "top", "wraps", "crossing",
};

static char *hole, *no_access, *read_only, *crossing_end;
static char good[6][PAGE] __attribute__((aligned(PAGE)));
static char buffer[PAGE];
static struct iovec vectors[6];

static char *map(int pages, int access)
{
    char *at = mmap(NULL, (size_t)pages * PAGE, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        exit(2);
    return at;
}

static void make_addresses(void)
{
    hole = map(3, PROT_READ) + PAGE;
    munmap(hole, PAGE);
    no_access = map(1, PROT_NONE);
    read_only = map(1, PROT_READ);
    char *crossing = map(2, PROT_READ | PROT_WRITE);
    munmap(crossing + PAGE, PAGE);
    crossing_end = crossing + PAGE;
}

/* The address for one way; 0 also where it makes no sense. */
static int bad_address(const struct argument *a, enum way way, uint64_t *out)
{
    uint64_t bytes = a->value;
    int output = a->kind == OUTPUT || a->kind == IN_OUT || a->kind == VECTOR_OUT;

    switch (way) {
    case NULL_WAY:
        *out = 0;
        return !a->wait;
    case HOLE:
        *out = (uintptr_t)hole;
        return 1;
    case NO_ACCESS:
        *out = (uintptr_t)no_access;
        return a->kind != RANGE;
    case READ_ONLY:
        *out = (uintptr_t)read_only;
        return output;
    case KERNEL:
        *out = 0xffffffff80100000;
        return 1;
    case DIRECT_MAP:
        *out = 0xffff888000000000;
        return 1;
    case NON_CANONICAL:
        *out = 0x8000000000000000;
        return 1;
    case TOP:
        *out = 0x7ffffffff000;
        return 1;
    case WRAPS:
        *out = a->kind == RANGE ? 0xfffffffffffff000 : 0xfffffffffffffffe & -(bytes % 4 ? 1 : 4);
        return 1;
    default:
        *out = (uintptr_t)crossing_end - (bytes ? bytes / 2 : 3);
        return a->kind != RANGE && (bytes > 1 || a->kind == STRING) && bytes != 4;
    }
}

static uint64_t good_value(const struct argument *a, int index)
{
    switch (a->kind) {
    case VALUE:
        return a->value;
    case STRING:
        strcpy(good[index], "data");
        return (uintptr_t)good[index];
    case VECTOR_IN:
    case VECTOR_OUT:
        return (uintptr_t)&vectors[index];
    default:
        memset(good[index], 0, sizeof(good[index]));
        return (uintptr_t)good[index];
    }
}

static void print_result(long result)
{
    static const struct { int number; const char *name; } names[] = {
        {EFAULT, "EFAULT"}, {EINVAL, "EINVAL"}, {ENOSYS, "ENOSYS"}, {EBADF, "EBADF"}, {ENOENT, "ENOENT"},
        {ENOMEM, "ENOMEM"}, {EPERM, "EPERM"}, {EAGAIN, "EAGAIN"}, {ENOTTY, "ENOTTY"}, {EEXIST, "EEXIST"},
        {ENOTSOCK, "ENOTSOCK"}, {ECHILD, "ECHILD"}, {EACCES, "EACCES"}, {ENODEV, "ENODEV"}, {ENAMETOOLONG, "ENAMETOOLONG"},
    };
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (result != -1 || errno != names[i].number)
            continue;
        puts(names[i].name);
        return;
    }
    if (result == -1)
        printf("errno %d\n", errno);
    else
        puts("ok");
}

static void try(const struct row *row, int bad, enum way way)
{
    uint64_t values[6], address;

    if (!bad_address(&row->arguments[bad], way, &address))
        return;
    memset(crossing_end - PAGE, 'a', PAGE);
    lseek(DATA_FD, 0, SEEK_SET);
    lseek(DIR_FD, 0, SEEK_SET);
    for (int i = 0; i < 6; i++)
        values[i] = good_value(&row->arguments[i], i);
    if (row->arguments[bad].kind == VECTOR_IN || row->arguments[bad].kind == VECTOR_OUT)
        vectors[bad] = (struct iovec){(void *)address, VECTOR_BYTES};
    else
        values[bad] = address;
    long result = syscall(row->number, values[0], values[1], values[2], values[3], values[4], values[5]);
    printf("%s.%td %d %s ", row->name, row - rows, bad, way_names[way]);
    print_result(result);
}

static void try_row(const struct row *row, int root)
{
    if (row->needs_root && !root)
        return;
    for (int i = 0; i < 6; i++) {
        enum kind kind = row->arguments[i].kind;
        if (kind == VALUE || kind == IDLE_INPUT || kind == IDLE_OUTPUT)
            continue;
        for (enum way way = 0; way < WAYS; way++)
            try(row, i, way);
    }
}

static void open_files(const char *folder)
{
    memset(buffer, 'x', sizeof(buffer));
    int data, out, dir;
    if (chdir(folder) || (data = open("data", O_RDWR | O_CREAT | O_TRUNC, 0600)) < 0 ||
        write(data, buffer, 100) != 100 || (out = open("out", O_RDWR | O_CREAT | O_TRUNC, 0600)) < 0 ||
        (dir = open(".", O_RDONLY)) < 0 || dup2(data, DATA_FD) < 0 || dup2(out, OUT_FD) < 0 || dup2(dir, DIR_FD) < 0) {
        perror(folder);
        exit(2);
    }
    int tty = isatty(STDOUT_FILENO) ? STDOUT_FILENO : posix_openpt(O_RDWR | O_NOCTTY);
    if (dup2(tty, TTY_FD) < 0)
        perror("a terminal");
    /* Where there are none the calls on them are not served either. */
    dup2(epoll_create1(0), EPOLL_FD);
    dup2(timerfd_create(CLOCK_MONOTONIC, 0), TIMER_FD);
}

int main(int argc, char **argv)
{
    unsigned count = sizeof(rows) / sizeof(rows[0]);

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && strcmp(argv[1], "--rows") == 0) {
        for (unsigned i = 0; i < count; i++)
            printf("%d %s\n", rows[i].number, rows[i].name);
        return 0;
    }
    if (argc != 2)
        return 2;
    open_files(argv[1]);
    make_addresses();
    for (unsigned i = 0; i < count; i++)
        try_row(&rows[i], geteuid() == 0);
    puts("pointers: done");
    return 0;
}
