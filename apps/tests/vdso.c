// SPDX-License-Identifier: MIT
/*
 * The vDSO is an ELF object that the C library finds: its symbols have the version that Linux gives
 * them, its clocks agree with the system calls, and the library really uses it: without the right to
 * execute it, clock_gettime() faults.
 */
#include <elf.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <include/check.h>

static const char *base, *strings;
static const Elf64_Sym *symbols;
static const Elf64_Half *versions;
static const Elf64_Verdef *definitions;
static uint32_t symbol_count;
static uint64_t image_bytes;

static void find_tables(void)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)base;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(base + header->e_phoff);
    const Elf64_Dyn *dynamic = NULL;
    uint64_t bias = 0;

    for (int i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD) {
            bias = (uint64_t)base + segments[i].p_offset - segments[i].p_vaddr;
            image_bytes = segments[i].p_memsz;
        }
        if (segments[i].p_type == PT_DYNAMIC)
            dynamic = (const Elf64_Dyn *)(base + segments[i].p_offset);
    }
    CHECK(dynamic != NULL);
    for (; dynamic && dynamic->d_tag; dynamic++) {
        void *at = (void *)(bias + dynamic->d_un.d_ptr);
        if (dynamic->d_tag == DT_STRTAB)
            strings = at;
        else if (dynamic->d_tag == DT_SYMTAB)
            symbols = at;
        else if (dynamic->d_tag == DT_VERSYM)
            versions = at;
        else if (dynamic->d_tag == DT_VERDEF)
            definitions = at;
        else if (dynamic->d_tag == DT_HASH)
            symbol_count = ((const uint32_t *)at)[1];
    }
}

static const char *version_of(uint32_t symbol)
{
    const Elf64_Verdef *d = definitions;

    for (; d; d = d->vd_next ? (const Elf64_Verdef *)((const char *)d + d->vd_next) : NULL)
        if (d->vd_ndx == (versions[symbol] & 0x7fff))
            return strings + ((const Elf64_Verdaux *)((const char *)d + d->vd_aux))->vda_name;
    return "none";
}

static void *find(const char *name)
{
    for (uint32_t i = 0; i < symbol_count; i++)
        if (symbols[i].st_shndx && !strcmp(strings + symbols[i].st_name, name) &&
            !strcmp(version_of(i), "LINUX_2.6"))
            return (void *)(base + symbols[i].st_value);
    CHECK(!"a symbol with the version LINUX_2.6");
    printf("    no %s\n", name);
    exit(1);
}

static int64_t ns_of(struct timespec t) { return t.tv_sec * 1000000000LL + t.tv_nsec; }

static void test_clocks(void)
{
    static const clockid_t clocks[] = {
        CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME,
        CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
    };
    int (*gettime)(clockid_t, struct timespec *) = find("__vdso_clock_gettime");
    struct timespec before, between, after;

    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        for (int k = 0; k < 1000; k++) {
            syscall(SYS_clock_gettime, clocks[i], &before);
            int result = gettime(clocks[i], &between);
            syscall(SYS_clock_gettime, clocks[i], &after);
            if (result || ns_of(between) < ns_of(before) || ns_of(between) > ns_of(after) ||
                between.tv_nsec < 0 || between.tv_nsec > 999999999) {
                CHECK(!"a clock lies between two system calls");
                printf("    clock %d: %lld %lld %lld\n", clocks[i], (long long)ns_of(before),
                       (long long)ns_of(between), (long long)ns_of(after));
                break;
            }
        }
    }
    EQUAL(gettime(12345, &before), -EINVAL);
}

static void test_others(void)
{
    int (*of_day)(struct timeval *, void *) = find("__vdso_gettimeofday");
    time_t (*seconds)(time_t *) = find("__vdso_time");
    int (*resolution)(clockid_t, struct timespec *) = find("__vdso_clock_getres");
    long (*cpu)(unsigned *, unsigned *, void *) = find("__vdso_getcpu");
    struct timeval before, t, after;
    struct timespec r;
    unsigned index = 99, node = 99;
    time_t now;

    syscall(SYS_gettimeofday, &before, NULL);
    EQUAL(of_day(&t, NULL), 0);
    EQUAL(seconds(&now), time(NULL));
    syscall(SYS_gettimeofday, &after, NULL);
    CHECK(!timercmp(&t, &before, <) && !timercmp(&t, &after, >));
    CHECK(now >= before.tv_sec && now <= after.tv_sec);
    EQUAL(resolution(CLOCK_MONOTONIC, &r), 0);
    EQUAL(ns_of(r), 1);
    EQUAL(cpu(&index, &node, NULL), 0);
    CHECK(index < (unsigned)sysconf(_SC_NPROCESSORS_CONF));
    EQUAL(cpu(NULL, NULL, NULL), 0);
}

static sigjmp_buf back;
static void on_fault(int signal)
{
    (void)signal;
    siglongjmp(back, 1);
}

static void test_is_used(void)
{
    struct sigaction action = { .sa_handler = on_fault };
    volatile int used = 0;
    struct timespec t;
    volatile size_t bytes = (image_bytes + 4095) & ~(size_t)4095;

    clock_gettime(CLOCK_MONOTONIC, &t);
    OK(sigaction(SIGSEGV, &action, NULL));
    /* Linux does not split the mapping, which may be longer than the object. */
    for (int i = 0; i < 4 && mprotect((void *)base, bytes, PROT_READ) && errno == EINVAL; i++)
        bytes += 4096;
    OK(mprotect((void *)base, bytes, PROT_READ));
    if (sigsetjmp(back, 1))
        used = 1;
    else
        clock_gettime(CLOCK_MONOTONIC, &t);
    OK(mprotect((void *)base, bytes, PROT_READ | PROT_EXEC));
    CHECK(used);
    OK(clock_gettime(CLOCK_MONOTONIC, &t));
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    base = (const char *)getauxval(AT_SYSINFO_EHDR);
    CHECK(base != NULL);
    if (!base)
        return check_end("vdso");
    CHECK(!memcmp(base, ELFMAG, SELFMAG));
    find_tables();
    CHECK(strings && symbols && versions && definitions && symbol_count);
    test_clocks();
    test_others();
    test_is_used();
    return check_end("vdso");
}
