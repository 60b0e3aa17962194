// SPDX-License-Identifier: MIT
/*
 * Numbers and structures of the Linux x86-64 system-call interface, as far as they are served here.
 * Source: Linux UAPI headers (asm/unistd_64.h, asm-generic, linux/stat.h, linux/futex.h,
 * linux/auxvec.h, …), values and layouts only.
 */
#pragma once

#include <lib/types.h>

struct linux_timespec { int64_t seconds, nanoseconds; };
struct linux_timeval { int64_t seconds, microseconds; };
struct linux_iovec { uint64_t base, bytes; };

/* ---- mmap ---- */
#define PROT_READ 1u
#define PROT_WRITE 2u
#define PROT_EXEC 4u
#define PROT_ALL 7u
#define PROT_GROWSDOWN 0x01000000u
#define PROT_GROWSUP 0x02000000u
#define MAP_TYPE 0x0fu
#define MAP_SHARED 0x01u
#define MAP_PRIVATE 0x02u
#define MAP_SHARED_VALIDATE 0x03u
#define MAP_FIXED 0x10u
#define MAP_ANONYMOUS 0x20u
#define MAP_NORESERVE 0x4000u
#define MAP_POPULATE 0x8000u
#define MAP_HUGETLB 0x40000u
#define MAP_FIXED_NOREPLACE 0x100000u
#define MREMAP_MAYMOVE 1u
#define MREMAP_FIXED 2u
#define MS_ASYNC 1u
#define MS_INVALIDATE 2u
#define MS_SYNC 4u
#define MADV_DONTNEED 4
#define MADV_REMOVE 9
#define MADV_LAST 25

/* ---- clone, futex ---- */
#define CLONE_VM 0x00000100u
#define CLONE_FS 0x00000200u
#define CLONE_FILES 0x00000400u
#define CLONE_SIGHAND 0x00000800u
#define CLONE_VFORK 0x00004000u
#define CLONE_THREAD 0x00010000u
#define CLONE_SETTLS 0x00080000u
#define CLONE_PARENT_SETTID 0x00100000u
#define CLONE_CHILD_CLEARTID 0x00200000u
#define CLONE_CHILD_SETTID 0x01000000u

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define FUTEX_REQUEUE 3
#define FUTEX_CMP_REQUEUE 4
#define FUTEX_WAKE_OP 5
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAKE_BITSET 10
#define FUTEX_PRIVATE 128
#define FUTEX_CLOCK_REALTIME 256
#define FUTEX_ANY_BIT 0xffffffffu
#define FUTEX_WAITERS 0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK 0x3fffffffu
struct linux_robust_head { uint64_t next; int64_t futex_offset; uint64_t pending; };

/* ---- files ---- */
#define AT_FDCWD (-100)
#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_REMOVEDIR 0x200u
#define AT_SYMLINK_FOLLOW 0x400u
#define AT_NO_AUTOMOUNT 0x800u
#define AT_EMPTY_PATH 0x1000u
#define AT_STATX_SYNC_TYPE 0x6000u
#define AT_EACCESS 0x200u
#define O_DIRECT 040000u
#define O_TMPFILE 020000000u
#define IOV_MAX 1024
#define RW_BYTES_MAX 0x7ffff000u

struct linux_stat {
    uint64_t dev, ino, nlink;
    uint32_t mode, uid, gid, pad0;
    uint64_t rdev;
    int64_t size, blksize, blocks;
    struct linux_timespec atime, mtime, ctime;
    int64_t unused[3];
};
_Static_assert(sizeof(struct linux_stat) == 144, "struct stat");

struct linux_statx_time { int64_t seconds; uint32_t nanoseconds; int32_t pad; };
struct linux_statx {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, pad0;
    uint64_t ino, size, blocks, attributes_mask;
    struct linux_statx_time atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t mnt_id;
    uint64_t unused[13];
};
_Static_assert(sizeof(struct linux_statx) == 256, "struct statx");
#define STATX_BASIC_STATS 0x7ffu

struct linux_statfs {
    int64_t type, bsize;
    uint64_t blocks, bfree, bavail, files, ffree;
    int32_t fsid[2];
    int64_t namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct linux_statfs) == 120, "struct statfs");

struct linux_flock { int16_t type, whence; int32_t pad; int64_t start, length; int32_t pid, pad2; };
struct linux_pollfd { int32_t fd; int16_t events, revents; };
#define POLLIN 1
#define POLLOUT 4
#define POLLERR 8
#define POLLHUP 0x10
#define POLLNVAL 0x20
#define POLLRDNORM 0x40
#define POLLWRNORM 0x100

struct linux_dirent {                 /* getdents64; the name and a 0 follow */
    uint64_t ino;
    int64_t next_offset;
    uint16_t bytes;
    uint8_t type;
} __attribute__((packed));
#define LINUX_DIRENT_HEAD 19

#define MS_RDONLY 1u
#define MS_IGNORED (2u | 4u | 8u | 1024u | 2048u | 32768u | (1u << 21) | (1u << 24) | (1u << 25))
#define MS_MAGIC 0xc0ed0000u
#define MNT_DETACH 2u
#define UMOUNT_KNOWN 0xfu

#define UTIME_NOW 0x3fffffff
#define UTIME_OMIT 0x3ffffffe

/* ---- terminals ---- */
#define TCGETS 0x5401u
#define TCSETS 0x5402u
#define TCSETSW 0x5403u
#define TCSETSF 0x5404u
#define TIOCGPGRP 0x540fu
#define TIOCSPGRP 0x5410u
#define TIOCGWINSZ 0x5413u
#define TIOCSWINSZ 0x5414u
#define FIONREAD 0x541bu
#define FIONBIO 0x5421u
#define FIONCLEX 0x5450u
#define FIOCLEX 0x5451u
#define TCSBRK 0x5409u
#define TCXONC 0x540au
#define TCFLSH 0x540bu
#define TIOCSCTTY 0x540eu
#define TIOCOUTQ 0x5411u
#define TIOCGSID 0x5429u
enum {                                /* input, output and local flags */
    TTY_INLCR = 0100, TTY_IGNCR = 0200, TTY_ICRNL = 0400, TTY_IXON = 02000,
    TTY_OPOST = 01, TTY_ONLCR = 04,
    TTY_ISIG = 01, TTY_ICANON = 02, TTY_ECHO = 010, TTY_ECHOE = 020, TTY_ECHOK = 040,
    TTY_ECHONL = 0100, TTY_NOFLSH = 0200, TTY_ECHOCTL = 01000, TTY_ECHOKE = 04000,
    TTY_IEXTEN = 0100000,
};
enum {                                /* places among the characters */
    TTY_VINTR = 0, TTY_VQUIT = 1, TTY_VERASE = 2, TTY_VKILL = 3, TTY_VEOF = 4, TTY_VTIME = 5,
    TTY_VMIN = 6, TTY_VSUSP = 10, TTY_VEOL = 11, TTY_VWERASE = 14, TTY_VLNEXT = 15,
};
struct linux_termios { uint32_t input, output, control, local; uint8_t line, characters[19]; };
struct linux_winsize { uint16_t rows, columns, x_pixels, y_pixels; };

/* ---- time, resources, machine ---- */
#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_PROCESS_CPUTIME_ID 2
#define CLOCK_THREAD_CPUTIME_ID 3
#define CLOCK_MONOTONIC_RAW 4
#define CLOCK_REALTIME_COARSE 5
#define CLOCK_MONOTONIC_COARSE 6
#define CLOCK_BOOTTIME 7
#define CLOCK_TAI 11
#define TIMER_ABSTIME 1

struct linux_rusage {
    struct linux_timeval user, system;
    int64_t maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv;
    int64_t nsignals, nvcsw, nivcsw;
};
_Static_assert(sizeof(struct linux_rusage) == 144, "struct rusage");

struct linux_sysinfo {
    int64_t uptime;
    uint64_t loads[3], total_ram, free_ram, shared_ram, buffer_ram, total_swap, free_swap;
    uint16_t procs, pad;
    uint32_t pad1;
    uint64_t total_high, free_high;
    uint32_t mem_unit, pad2;
};
_Static_assert(sizeof(struct linux_sysinfo) == 112, "struct sysinfo");

#define UTSNAME_FIELD 65
#define RLIM_INFINITY UINT64_MAX
#define RLIMIT_STACK 3
#define RLIMIT_CORE 4
#define RLIMIT_NPROC 6
#define RLIMIT_NOFILE 7
#define RLIMIT_COUNT 16
struct linux_rlimit { uint64_t current, maximum; };

/* ---- signals ---- */
#define SIGINT 2
#define SIGQUIT 3
#define SIGILL 4
#define SIGTRAP 5
#define SIGABRT 6
#define SIGBUS 7
#define SIGFPE 8
#define SIGKILL 9
#define SIGSEGV 11
#define SIGPIPE 13
#define SIGALRM 14
#define SIGCHLD 17
#define SIGCONT 18
#define SIGSTOP 19
#define SIGTSTP 20
#define SIGTTOU 22
#define SIGURG 23
#define SIGWINCH 28
#define SIGNAL_COUNT 64
#define SIG_DFL 0
#define SIG_IGN 1
#define SA_ONSTACK 0x08000000u
#define SA_RESTART 0x10000000u
#define SA_NODEFER 0x40000000u
#define SA_RESETHAND 0x80000000u
#define SI_USER 0
#define SI_KERNEL 0x80
#define SI_TKILL (-6)
#define SEGV_MAPERR 1
#define SEGV_ACCERR 2
#define BUS_ADRERR 2
#define FPE_INTDIV 1
#define ITIMER_REAL 0
#define SIGNAL_STACK_BYTES_MIN 2048
struct linux_sigaction { uint64_t handler, flags, restorer, mask; };
struct linux_sigaltstack { uint64_t base; int32_t flags, pad; uint64_t bytes; };
#define SS_DISABLE 2
#define LINUX_USER_CS 0x33            /* what a program sees of its selectors in a context */
#define LINUX_USER_DS 0x2b

struct linux_sigcontext {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip;
    uint64_t flags;
    uint16_t cs, gs, fs, ss;
    uint64_t error, trap, old_mask, address, fpu, reserved[8];
};
_Static_assert(sizeof(struct linux_sigcontext) == 256, "struct sigcontext");
struct linux_ucontext {
    uint64_t flags, link;
    struct linux_sigaltstack stack;
    struct linux_sigcontext registers;
    uint64_t mask;
};
_Static_assert(sizeof(struct linux_ucontext) == 304, "struct ucontext");
struct linux_siginfo {
    int32_t signal, error, code, pad;
    union {
        struct { int32_t pid, uid; };
        uint64_t address;
        uint8_t space[112];
    };
};
_Static_assert(sizeof(struct linux_siginfo) == 128, "siginfo_t");

/* ---- auxiliary vector ---- */
#define AT_NULL 0
#define AT_PHDR 3
#define AT_PHENT 4
#define AT_PHNUM 5
#define AT_PAGESZ 6
#define AT_BASE 7
#define AT_FLAGS 8
#define AT_ENTRY 9
#define AT_UID 11
#define AT_EUID 12
#define AT_GID 13
#define AT_EGID 14
#define AT_PLATFORM 15
#define AT_HWCAP 16
#define AT_CLKTCK 17
#define AT_SECURE 23
#define AT_RANDOM 25
#define AT_EXECFN 31
#define AT_SYSINFO_EHDR 33
#define AT_MINSIGSTKSZ 51
