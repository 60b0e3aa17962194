// SPDX-License-Identifier: MIT
/* Bringing CPUs up: their areas, their stacks, their idle threads. Scheduling on them is sched.c. */
#include <rt/cpu.h>

#include <lib/errno.h>
#include <lib/format.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>
#include <rt/log.h>
#include <rt/node.h>
#include <rt/sched.h>
#include <rt/stack.h>
#include <rt/thread.h>

struct cpu *cpus[CPUS_MAX];
uint32_t cpu_count;

static struct cpu boot_cpu;
static struct thread boot_idle;
static const struct thread_def idle_def = {.name = "idle"};

struct cpu *sched_boot_cpu(void) { return &boot_cpu; }

static void init_cpu(struct cpu *cpu, struct thread *idle, uint32_t index)
{
    spin_name(&cpu->run_lock, "CPU run list");
    spin_name(&cpu->timer_lock, "CPU timers");
    spin_name(&cpu->work_lock, "CPU work");
    list_init(&cpu->ready);
    pqueue_init(&cpu->timers);
    list_init(&cpu->work);
    cpu->slice_end_ns = UINT64_MAX;
    cpu->armed_ns = UINT64_MAX;
    cpu->first_ns = UINT64_MAX;
    cpu->idle = idle;
    idle->def = &idle_def;
    snprintf(idle->name, sizeof(idle->name), "idle/%u", index);
    idle->idle = true;
    idle->state = THREAD_RUNNING;
    idle->runnable = true;
    idle->on_cpu = true;
    idle->cpu_index = index;
    idle->affinity = UINT64_C(1) << index;
    list_init(&idle->parked);
    list_init(&idle->run_link);
    timer_init(&idle->sleep_timer, &thread_sleep_timer_ops);
    thread_register(idle);
}

void sched_init(void)
{
    struct arch_cpu_info self;
    init_cpu(&boot_cpu, &boot_idle, 0);
    arch_cpus_find(&self, 1);
    boot_cpu.node = node_of_cpu(&self);
    cpus[0] = &boot_cpu;
    cpu_count = 1;
    arch_adopt_thread(&boot_idle.arch);
}

int cpu_map_stacks(uint32_t node, struct arch_cpu_stacks *stacks)
{
    static const char *const labels[8] = {NULL,  NULL,  "page fault", "double fault",
                                          "NMI", "#MC", "exception",  "debug"};
    struct stack *stack;
    int err = stack_map_on(node, 4 * PAGE_BYTES, STACK_IRQ, "interrupt", &stack);
    if (err)
        return err;
    stacks->irq_top = stack->top;
    err = stack_map_on(node, 4 * PAGE_BYTES, STACK_REPORT, "report", &stack);
    if (err)
        return err;
    stacks->report_top = stack->top;
    for (unsigned i = 2; i < 8; i++) {
        err = stack_map_on(node, 2 * PAGE_BYTES, STACK_IST, labels[i], &stack);
        if (err)
            return err;
        stacks->ist_top[i] = stack->top;
    }
    return 0;
}

noreturn_fn void cpu_entry(struct arch_cpu *arch)
{
    struct cpu *cpu = (struct cpu *)arch;
    arch_adopt_thread(&cpu->idle->arch);
    __atomic_store_n(&cpu->online, true, __ATOMIC_RELEASE);
    sched_idle_loop();
}

static int start_one(uint32_t index, const struct arch_cpu_info *info)
{
    const uint32_t node = node_of_cpu(info);
    const struct arch_cpu_info believed = {info->hardware_id, node};
    struct cpu *cpu = heap_zalloc_on(node, sizeof(*cpu));
    struct thread *idle = heap_zalloc_on(node, sizeof(*idle));
    struct arch_cpu_stacks stacks = {0};
    struct stack *stack;
    if (!cpu || !idle || cpu_map_stacks(node, &stacks) ||
        stack_map_on(node, 2 * PAGE_BYTES, STACK_IDLE, "idle", &stack))
        return -ENOMEM;
    init_cpu(cpu, idle, index);
    idle->home = idle->stack = stack;
    stack->owner = idle;
    cpu->node = node;
    cpus[index] = cpu;
    int err = arch_cpu_start(&cpu->arch, index, &believed, &stacks, stack->top);
    while (!err && !__atomic_load_n(&cpu->online, __ATOMIC_ACQUIRE))
        arch_spin_wait();
    return err;
}

uint32_t cpu_start_all(uint32_t most)
{
    static struct arch_cpu_info infos[CPUS_MAX];
    uint32_t found = arch_cpus_find(infos, CPUS_MAX), index = 1;
    for (uint32_t i = 1; i < found && index < most; i++) {
        int err = start_one(index, &infos[i]);
        if (err) {
            /* Its area stays: the processor may still come up late and must find it. */
            log_error("cpu: processor %u does not start: %s", infos[i].hardware_id, errno_name(-err));
            continue;
        }
        __atomic_store_n(&cpu_count, ++index, __ATOMIC_RELEASE);
    }
    return cpu_count;
}
