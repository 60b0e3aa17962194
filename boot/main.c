// SPDX-License-Identifier: MIT
/* The first C code: boot_info, page tables, kernel_main(). On the boot stack, interrupts off. */
#include <arch/arch.h>
#include <lib/string.h>

#include <boot.h>
#include <x86.h>

struct boot_info boot_info;

extern unsigned char boot_stack_base[], boot_stack_top[];
extern unsigned char image_start_phys[], image_end_phys[];

noreturn_fn void boot_main(bool is_pvh, uint64_t info);

const void *boot_memory(uint64_t address, uint64_t bytes)
{
    if (address >= BOOT_MAPPED_END || bytes > BOOT_MAPPED_END - address)
        return NULL;
    return arch_phys_to_virt(address);
}

void boot_set_command_line(const char *line)
{
    size_t length = str_copy(boot_info.command_line, line, BOOT_CMDLINE_BYTES);

    boot_info.command_line_cut = length >= BOOT_CMDLINE_BYTES;
}

void boot_add_module(uint64_t start, uint64_t end, const char *name)
{
    if (boot_info.module_count == BOOT_MODULES_MAX || end <= start)
        return;
    struct boot_module *module = &boot_info.modules[boot_info.module_count++];
    module->start = start;
    module->end = end;
    str_copy(module->name, name ? name : "", sizeof(module->name));
}

noreturn_fn void boot_main(bool is_pvh, uint64_t info)
{
    console_init();
    boot_info.kernel_start = (uintptr_t)image_start_phys;
    boot_info.kernel_end = (uintptr_t)image_end_phys;
    boot_info.stack_base = (uintptr_t)boot_stack_base;
    boot_info.stack_top = (uintptr_t)boot_stack_top;
    if (is_pvh)
        pvh_parse(info);
    else
        multiboot2_parse(info);
    boot_finish_regions();
    acpi_init();
    screen_find();
    paging_init();
    screen_init();
    kernel_main();
    for (;;)
        __asm__ volatile("cli; hlt");
}
