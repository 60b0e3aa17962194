// SPDX-License-Identifier: MIT
/*
 * The assembly that the kernel and the host share, under the real runtime: what arch_switch, the
 * probe thunks and __morestack do to registers, to the stack pointer and to the chain of frames.
 * test_xstack.c has the pool.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include <arch/arch.h>
#include <lib/errno.h>
#include <rt/stack.h>
#include <rt/sync.h>
#include <rt/xstack.h>
#include <support/rt.h>

/* ---- the probed functions: all have the same body here ---- */

static struct {
    long args[6];
    unsigned calls;
    uintptr_t stack, frame;
    uintptr_t chain[4]; /* frame pointers above @frame, read while they live */
    int nest;           /* how many more times the body calls a probe */
} seen;

long probed_body(long a, long b, long c, long d, long e, long f);

#define PROBE(name, need, what)                                                                    \
    long name(long a, long b, long c, long d, long e, long f);                                     \
    long name##_body(long a, long b, long c, long d, long e, long f);                              \
    long name##_body(long a, long b, long c, long d, long e, long f)                               \
    {                                                                                              \
        return probed_body(a, b, c, d, e, f);                                                      \
    }
#include <probes.def>
#undef PROBE

typedef long probed_fn(long a, long b, long c, long d, long e, long f);
#define PROBE(name, need, what) name,
static probed_fn *const probes[] = {
#include <probes.def>
};
#undef PROBE

__attribute__((no_sanitize_address)) static uintptr_t read_word(uintptr_t address)
{
    return *(volatile uintptr_t *)address;
}

noinline long probed_body(long a, long b, long c, long d, long e, long f)
{
    seen.calls++;
    seen.stack = arch_stack_pointer();
    seen.frame = (uintptr_t)__builtin_frame_address(0);
    for (uintptr_t i = 0, frame = seen.frame; i < ARRAY_COUNT(seen.chain); i++)
        seen.chain[i] = frame = read_word(frame);
    if (seen.nest > 0) {
        seen.nest--;
        arch_set_probe_base(UINT64_MAX);
        return probes[1](a + 1, b, c, d, e, f);
    }
    seen.args[0] = a, seen.args[1] = b, seen.args[2] = c;
    seen.args[3] = d, seen.args[4] = e, seen.args[5] = f;
    return a - 7;
}

static bool on_home(uintptr_t address)
{
    return stack_find(address, NULL) == thread_current()->home;
}

/* Runs @run on a thread of its own, with clean notes. */
static void in_thread(void (*run)(void *))
{
    struct thread_def def = { .name = "test", .run = run };

    memset(&seen, 0, sizeof(seen));
    rt_run(&def, NULL);
}

/* ---- probes ---- */

static void room_stays_body(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < ARRAY_COUNT(probes); i++) {
        uintptr_t here = arch_stack_pointer();
        assert_int_equal(probes[i](1, 2, 3, 4, 5, 6), -6);
        assert_true(seen.stack < here && here - seen.stack < KIB(8));
    }
    assert_int_equal(seen.calls, ARRAY_COUNT(probes));
}

static void test_room_stays(void **state)
{
    (void)state;
    in_thread(room_stays_body);
}

#ifndef NO_PROBES
static void short_switches_body(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < ARRAY_COUNT(probes); i++) {
        arch_set_probe_base(UINT64_MAX);
        assert_int_equal(probes[i](11, 12, 13, 14, 15, INT64_MIN), 4);
        for (long a = 0; a < 5; a++)
            assert_int_equal(seen.args[a], 11 + a);
        assert_true(seen.args[5] == INT64_MIN);
        assert_false(on_home(seen.stack));
        assert_non_null(stack_find(seen.stack, NULL));
        assert_int_equal(thread_current()->held, 0);
    }
}

static void test_short_switches(void **state)
{
    (void)state;
    in_thread(short_switches_body);
}

/* The base at which the first call of vfs_read goes to another stack, from far below to near. */
static void edge_body(void *argument)
{
    uintptr_t base = arch_stack_pointer() - KIB(40), edge = 0;

    (void)argument;
    for (; !edge; base += 8) {
        arch_set_probe_base(base);
        probes[0](1, 2, 3, 4, 5, 6);
        if (!on_home(seen.stack))
            edge = base;
    }
    arch_set_probe_base(edge - 8);
    probes[0](1, 2, 3, 4, 5, 6);
    assert_true(on_home(seen.stack));
    /* Sanitized needs are eight times the declared ones (probe_thunks.asm). */
    uintptr_t distance = arch_stack_pointer() - edge, need = 8 * probe_infos[0].need_bytes;
    assert_in_range(distance, need - 512, need + 512);
}

static void test_edge(void **state)
{
    (void)state;
    in_thread(edge_body);
}

static void nests_body(void *argument)
{
    (void)argument;
    seen.nest = 3;
    arch_set_probe_base(UINT64_MAX);
    assert_int_equal(probes[0](100, 2, 3, 4, 5, 6), 100 + 3 - 7);
    assert_int_equal(seen.calls, 4);
    assert_int_equal(thread_current()->held_max, 4);
    seen.nest = 4; /* one more than there are stacks */
    arch_set_probe_base(UINT64_MAX);
    assert_int_equal(probes[0](100, 2, 3, 4, 5, 6), -EIO);
    assert_int_equal(thread_current()->held, 0);
}

static void test_nests(void **state)
{
    (void)state;
    in_thread(nests_body);
}

/* probed_body <- name_body on the extra stack, __morestack and this one on the home stack. */
static void frames_cross_body(void *argument)
{
    uintptr_t mine = (uintptr_t)__builtin_frame_address(0);

    (void)argument;
    arch_set_probe_base(UINT64_MAX);
    probes[0](1, 2, 3, 4, 5, 6);
    assert_false(on_home(seen.frame));
    assert_false(on_home(seen.chain[0]));
    assert_true(on_home(seen.chain[1]));
    assert_true(seen.chain[1] < mine);
    assert_int_equal(seen.chain[2], mine);
}

static void test_frames_cross(void **state)
{
    (void)state;
    in_thread(frames_cross_body);
}
#endif

/* ---- callee-saved registers ---- */

/* Calls @call with marks in the callee-saved registers; returns how many came back changed. */
static noinline unsigned changed_registers(void (*call)(void))
{
    unsigned changed;

    /* The compiler does not know of the call, so the stack may not be aligned for one. */
    __asm__ volatile("pushq %%rbp\n\t"
                     "movq %%rsp, %%rbp\n\t"
                     "andq $-16, %%rsp\n\t"
                     "movq $0x1111, %%rbx\n\t"
                     "movq $0x2222, %%r12\n\t"
                     "movq $0x3333, %%r13\n\t"
                     "movq $0x4444, %%r14\n\t"
                     "movq $0x5555, %%r15\n\t"
                     "call *%1\n\t"
                     "xorl %0, %0\n\t"
                     "cmpq $0x1111, %%rbx\n\tsetne %%cl\n\tmovzbl %%cl, %%ecx\n\taddl %%ecx, %0\n\t"
                     "cmpq $0x2222, %%r12\n\tsetne %%cl\n\tmovzbl %%cl, %%ecx\n\taddl %%ecx, %0\n\t"
                     "cmpq $0x3333, %%r13\n\tsetne %%cl\n\tmovzbl %%cl, %%ecx\n\taddl %%ecx, %0\n\t"
                     "cmpq $0x4444, %%r14\n\tsetne %%cl\n\tmovzbl %%cl, %%ecx\n\taddl %%ecx, %0\n\t"
                     "cmpq $0x5555, %%r15\n\tsetne %%cl\n\tmovzbl %%cl, %%ecx\n\taddl %%ecx, %0\n\t"
                     "movq %%rbp, %%rsp\n\t"
                     "popq %%rbp"
                     : "=a"(changed)
                     : "D"(call)
                     : "rbx", "r12", "r13", "r14", "r15", "rcx", "rdx", "rsi", "r8", "r9", "r10",
                       "r11", "memory", "cc");
    return changed;
}

static void call_probe(void)
{
    arch_set_probe_base(UINT64_MAX);
    probes[3](1, 2, 3, 4, 5, 6);
}

static struct semaphore to_other, to_first;
static unsigned other_runs;

/* Wrecks every callee-saved register whenever it runs. */
static void other_body(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < 1000; i++) {
        semaphore_down(&to_other, WAIT_FOREVER);
        other_runs++;
        __asm__ volatile("xorl %%ebx, %%ebx; xorl %%r12d, %%r12d; xorl %%r13d, %%r13d;"
                         "xorl %%r14d, %%r14d; xorl %%r15d, %%r15d" ::
                             : "rbx", "r12", "r13", "r14", "r15");
        semaphore_up(&to_first);
    }
}

static void switch_there_and_back(void)
{
    semaphore_up(&to_other);
    semaphore_down(&to_first, WAIT_FOREVER);
}

static void registers_body(void *argument)
{
    static const struct thread_def other_def = { .name = "other", .run = other_body };

    (void)argument;
    assert_int_equal(changed_registers(call_probe), 0);
#ifndef NO_PROBES
    assert_false(on_home(seen.stack));
#endif
    semaphore_init(&to_other, 0);
    semaphore_init(&to_first, 0);
    assert_int_equal(thread_create(&other_def, NULL, NULL), 0);
    arch_set_probe_base(0x777);
    for (unsigned i = 1; i <= 1000; i++) {
        assert_int_equal(changed_registers(switch_there_and_back), 0);
        assert_int_equal(other_runs, i);
        assert_true(arch_probe_base() == 0x777);
    }
}

static void test_registers_kept(void **state)
{
    (void)state;
    in_thread(registers_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room_stays),
#ifndef NO_PROBES
        cmocka_unit_test(test_short_switches), cmocka_unit_test(test_edge),
        cmocka_unit_test(test_nests),          cmocka_unit_test(test_frames_cross),
#endif
        cmocka_unit_test(test_registers_kept),
    };

    rt_boot(MIB(64), "stack.extra=4");
    return cmocka_run_group_tests_name("switch", tests, NULL, NULL);
}
