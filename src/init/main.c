// SPDX-License-Identifier: MIT
/*
 * The order of the boot, and of the end.
 *
 * The boot code enters kernel_main() on its static stack, with the final page tables in place. As soon as
 * threads exist the rest goes on in the thread "init", and the boot context becomes CPU 0's idle thread.
 */
#include <abi/app.h>
#include <arch/boot_info.h>
#include <block/bdev.h>
#include <block/partition.h>
#include <drivers/stacked/loop.h>
#include <drivers/virtio/virtio_blk.h>
#include <fs/devfs/devfs.h>
#include <fs/ext2/ext2.h>
#include <fs/sysfs/sysfs.h>
#include <fs/tmpfs/tmpfs.h>
#include <init/setup.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/machine.h>
#include <rt/node.h>
#include <rt/page.h>
#include <rt/param.h>
#include <rt/sched.h>
#include <rt/screen.h>
#include <rt/stack.h>
#include <rt/stats.h>
#include <rt/thread.h>
#include <rt/work.h>
#include <rt/xstack.h>
#include <version.h>

const struct fs_type *const fs_types[] = {
    &ext2_fs_type, &tmpfs_fs_type, &sysfs_fs_type, &devfs_fs_type, NULL,
};

/* Ends the machine when a step of the boot fails: there is nothing to fall back to. */
static void must(int err, const char *what)
{
    if (err) {
        console_printf("spillway: boot: %s: %s\n", what, errno_name(-err));
        machine_end(EXIT_SETUP);
    }
}

static void init_run(void *argument)
{
    (void)argument;
    must(log_start(), "the log thread");
    must(screen_start(), "the thread that paints the screen");
    uint64_t clock_hz;
    const char *measured_with = arch_clock_measured(&clock_hz);
    if (clock_hz)
        log_debug("clock: %lu kHz, measured with %s", clock_hz / 1000, measured_with);
    else
        log_warn("clock: no timer to measure its rate with; times are wrong by an unknown factor");
    must(work_start(), "the worker threads");
    must(stats_start(), "the thread of stats=");
    must(vfs_start(), "the root filesystem");
    must(loop_start(), "loop devices");
    must(virtio_blk_init(), "virtio disks");
    must(sysfs_add_group("memory", app_memory_attrs), "/sys/memory");
    partition_scan();
    must(sysfs_add_block_devices(), "disks in sysfs");
    must(setup_modules(), "modules");
    must(setup_mounts(), "mounts");
    machine_end(setup_run_app());
}
static const struct thread_def init_def = {.name = "init", .run = init_run};

void kernel_main(void)
{
    struct cpu *cpu = sched_boot_cpu();
    arch_cpu_init(&cpu->arch, 0);
    console_printf("Spillway %s, %s boot, %s\n", SPILLWAY_VERSION, boot_info.protocol, arch_cpu_name());
    if (boot_info.command_line_cut) {
        console_printf("spillway: bad boot line: longer than %u bytes\n", BOOT_CMDLINE_BYTES - 1);
        machine_end(EXIT_PARAM);
    }
    params_parse(boot_info.command_line);
    page_init();
    sched_init();
    struct stack *boot_stack =
        stack_register(boot_info.stack_base, boot_info.stack_top, true, STACK_IDLE, "boot");
    boot_stack->owner = cpu->idle;
    cpu->idle->home = cpu->idle->stack = boot_stack;
    struct arch_cpu_stacks stacks = {0};
    must(cpu_map_stacks(cpu->node, &stacks), "guarded stacks for CPU 0");
    arch_cpu_set_stacks(&cpu->arch, &stacks);
    uint32_t cpus_up = cpu_start_all((uint32_t)params.cpus);
    params_check_cpus(cpus_up);
    params.cpus = cpus_up;
    params_echo();
    must(xstack_init(), "extra stacks (lower stack.extra, or give more memory)");
    console_printf("memory: %lu MiB, %lu MiB free; CPUs in use: %u\n",
                   (unsigned long)(page_count_total() >> 8), (unsigned long)(page_count_free() >> 8),
                   cpus_up);
    node_print();
    must(thread_create(&init_def, NULL, NULL), "the init thread");
    arch_irq_enable();
    sched_idle_loop();
}
