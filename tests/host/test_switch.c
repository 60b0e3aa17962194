// SPDX-License-Identifier: MIT
/*
 * The assembly that the kernel and the host share: arch_switch, the probe thunks and __morestack. The runtime
 * is left out: this file stands in for it, so that what is seen here is the assembly alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arch/host/host.h>
#include <lib/errno.h>
#include <lib/string.h>

#define STACK_BYTES KIB(128)
#define STACKS 4

/* ---- what stands in for the runtime ---- */

static struct arch_cpu cpu;
static struct arch_thread boot_thread;
static unsigned char stacks[STACKS][STACK_BYTES] __attribute__((aligned(4096)));
static unsigned stacks_used, stacks_allowed;
static uint64_t base_before[STACKS];
static uint64_t last_probe;
static unsigned switched_count;
static struct arch_thread *switched_prev, *switched_next;
static uintptr_t switched_stack;

uintptr_t xstack_take(uint64_t probe);
void xstack_give(void);

uintptr_t xstack_take(uint64_t probe)
{
    last_probe = probe;
    if (stacks_used == stacks_allowed)
        return 0;
    base_before[stacks_used] = arch_probe_base();
    unsigned char *stack = stacks[stacks_used++];
    arch_set_probe_base((uintptr_t)stack);
    return (uintptr_t)stack + STACK_BYTES;
}

void xstack_give(void)
{
    stacks_used--;
    arch_set_probe_base(base_before[stacks_used]);
}

static void on_thread_start(struct arch_thread *thread);

static void on_switched(struct arch_thread *prev, struct arch_thread *next)
{
    switched_count++;
    switched_prev = prev;
    switched_next = next;
    switched_stack = arch_stack_pointer();
}

static noreturn_fn void on_kernel_fault(struct arch_frame *frame, enum arch_fault_kind kind,
                                        uintptr_t address)
{
    (void)frame;
    (void)kind;
    (void)address;
    arch_machine_exit(99);
}

const struct arch_upcalls arch_upcalls = {
    .thread_start = on_thread_start,
    .switched = on_switched,
    .kernel_fault = on_kernel_fault,
};

noreturn_fn void arch_report_body(void *context)
{
    (void)context;
    arch_machine_exit(98);
}

/* ---- the probed functions: all five have the same body here ---- */

static struct {
    long args[6];
    unsigned calls;
    uintptr_t stack, frame;
    uintptr_t chain[4];                /* frame pointers above @frame, read while they live */
    int nest;                          /* how many more times the body calls a probe */
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

static int set_up(void **state)
{
    static bool once;

    (void)state;
    if (!once) {
        host_boot(MIB(16), "");
        arch_cpu_init(&cpu, 0);
        cpu.current = &boot_thread;
        once = true;
    }
    memset(&seen, 0, sizeof(seen));
    stacks_used = 0;
    stacks_allowed = STACKS;
    switched_count = 0;
    arch_set_probe_base(0);
    return 0;
}

static bool on_stack(unsigned index, uintptr_t address)
{
    return address >= (uintptr_t)stacks[index] && address < (uintptr_t)stacks[index] + STACK_BYTES;
}

/* ---- probes ---- */

static void test_probe_with_room_stays(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(probes); i++) {
        uintptr_t here = arch_stack_pointer();
        assert_int_equal(probes[i](1, 2, 3, 4, 5, 6), -6);
        assert_true(seen.stack < here && here - seen.stack < KIB(8));
    }
    assert_int_equal(seen.calls, ARRAY_COUNT(probes));
}

static void test_probe_short_switches(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(probes); i++) {
        arch_set_probe_base(UINT64_MAX);
        assert_int_equal(probes[i](11, 12, 13, 14, 15, INT64_MIN), 4);
        for (long a = 0; a < 5; a++)
            assert_int_equal(seen.args[a], 11 + a);
        assert_true(seen.args[5] == INT64_MIN);
        assert_int_equal(last_probe, i);
        assert_true(on_stack(0, seen.stack));
        assert_int_equal(stacks_used, 0);
        assert_true(arch_probe_base() == UINT64_MAX);
    }
}

#ifndef NO_PROBES
/* The comparison is exact: one byte less than the need switches. */
static void test_probe_edge(void **state)
{
    (void)state;
    uintptr_t at_edge = 0;

    /* The stack pointer in the thunk is the one here, minus the return address, or little less. */
    for (uintptr_t base = arch_stack_pointer() - KIB(64);; base += 8) {
        arch_set_probe_base(base);
        probes[0](1, 2, 3, 4, 5, 6);
        if (on_stack(0, seen.stack)) {
            at_edge = base;
            break;
        }
    }
    arch_set_probe_base(at_edge - 8);
    probes[0](1, 2, 3, 4, 5, 6);
    assert_false(on_stack(0, seen.stack));
    uintptr_t distance = arch_stack_pointer() - at_edge;
    assert_in_range(distance, 2560 * 8 - 512, 2560 * 8 + 512);
}
#endif

static void test_probe_refused(void **state)
{
    (void)state;
    stacks_allowed = 0;
    arch_set_probe_base(UINT64_MAX);
    assert_int_equal(probes[2](1, 2, 3, 4, 5, 6), -EIO);
    assert_int_equal(seen.calls, 0);
    assert_int_equal(last_probe, 2);
}

static void test_probe_nests(void **state)
{
    (void)state;
    seen.nest = 3;
    arch_set_probe_base(UINT64_MAX);
    assert_int_equal(probes[0](100, 2, 3, 4, 5, 6), 100 + 3 - 7);
    assert_int_equal(seen.calls, 4);
    assert_true(on_stack(3, seen.stack));
    assert_int_equal(stacks_used, 0);

    seen.nest = 4;                    /* one more than there are stacks */
    arch_set_probe_base(UINT64_MAX);
    assert_int_equal(probes[0](100, 2, 3, 4, 5, 6), -EIO);
    assert_int_equal(stacks_used, 0);
}

/* From the innermost frame the chain of rbp leads through __morestack's frame back to this one. */
static void test_frames_cross(void **state)
{
    uintptr_t mine = (uintptr_t)__builtin_frame_address(0);

    (void)state;
    arch_set_probe_base(UINT64_MAX);
    probes[0](1, 2, 3, 4, 5, 6);
    /* probed_body <- name_body (on the extra stack) <- __morestack (on this stack) <- here */
    assert_true(on_stack(0, seen.frame));
    assert_true(on_stack(0, seen.chain[0]));
    assert_false(on_stack(0, seen.chain[1]));
    assert_true(seen.chain[1] < mine);
    assert_int_equal(seen.chain[2], mine);
}

/* ---- callee-saved registers, through a probe and through a switch ---- */

/* Calls @call with marks in the callee-saved registers; returns how many came back changed. */
static noinline unsigned changed_registers(void (*call)(void))
{
    unsigned changed;

    __asm__ volatile("pushq %%rbp\n\t"
                     "pushq %%rbp\n\t"
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
                     "popq %%rbp\n\t"
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

static struct arch_thread other;
static unsigned other_runs;

static void switch_away(void)
{
    arch_switch(&boot_thread, &other);
}

static void test_registers_kept(void **state)
{
    (void)state;
    assert_int_equal(changed_registers(call_probe), 0);
    assert_true(on_stack(0, seen.stack));
}

/* The other thread: wrecks every callee-saved register and goes back, for ever. */
static void on_thread_start(struct arch_thread *thread)
{
    assert_ptr_equal(thread, &other);
    assert_ptr_equal(arch_current(), &other);
    assert_true(on_stack(1, arch_stack_pointer()));
    assert_true(arch_irq_enabled());
    for (;;) {
        other_runs++;
        arch_irq_disable();
        __asm__ volatile("" ::: "rbx", "r12", "r13", "r14", "r15", "memory");
        __asm__ volatile("xorl %%ebx, %%ebx; xorl %%r12d, %%r12d; xorl %%r13d, %%r13d;"
                         "xorl %%r14d, %%r14d; xorl %%r15d, %%r15d"
                         ::: "rbx", "r12", "r13", "r14", "r15");
        arch_switch(&other, &boot_thread);
    }
}

static void test_switch(void **state)
{
    (void)state;
    other_runs = 0;
    arch_thread_init(&other, (uintptr_t)stacks[1] + STACK_BYTES);
    other.probe_base = 0x1234;
    arch_set_probe_base(0x777);
    for (unsigned i = 1; i <= 1000; i++) {
        assert_int_equal(changed_registers(switch_away), 0);
        assert_int_equal(other_runs, i);
        assert_int_equal(switched_count, 2 * i);
        assert_ptr_equal(switched_prev, &other);
        assert_ptr_equal(switched_next, &boot_thread);
        assert_ptr_equal(arch_current(), &boot_thread);
        assert_true(arch_probe_base() == 0x777);
    }
    assert_int_equal(other.probe_base, 0x1234);
    /* arch_switched() runs on neither thread's stack. */
    assert_false(on_stack(1, switched_stack));
    assert_true(switched_stack < cpu.irq_stack_top && cpu.irq_stack_top - switched_stack < KIB(512));
}

/* ---- the rest of the host port that the runtime relies on ---- */

static void test_map_lookup(void **state)
{
    uintptr_t va = arch_stack_window + 16 * PAGE_BYTES;
    uint64_t phys;
    unsigned access;

    (void)state;
    assert_false(arch_lookup(va, &phys, &access));
    assert_int_equal(arch_map(va, MIB(2), 2, ARCH_READ | ARCH_WRITE), 0);
    strcpy((char *)va + PAGE_BYTES, "seen twice");
    assert_string_equal(arch_phys_to_virt(MIB(2) + PAGE_BYTES), "seen twice");
    assert_true(arch_lookup(va + PAGE_BYTES + 5, &phys, &access));
    assert_int_equal(phys, MIB(2) + PAGE_BYTES + 5);
    assert_int_equal(access, ARCH_READ | ARCH_WRITE);
    arch_unmap(va, 2);
    assert_false(arch_lookup(va, &phys, &access));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_probe_with_room_stays, set_up),
#ifndef NO_PROBES
        cmocka_unit_test_setup(test_probe_short_switches, set_up),
        cmocka_unit_test_setup(test_probe_edge, set_up),
        cmocka_unit_test_setup(test_probe_refused, set_up),
        cmocka_unit_test_setup(test_probe_nests, set_up),
        cmocka_unit_test_setup(test_frames_cross, set_up),
        cmocka_unit_test_setup(test_registers_kept, set_up),
#endif
        cmocka_unit_test_setup(test_switch, set_up),
        cmocka_unit_test_setup(test_map_lookup, set_up),
    };

    return cmocka_run_group_tests_name("switch", tests, NULL, NULL);
}
