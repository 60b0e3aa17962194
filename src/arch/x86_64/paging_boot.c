// SPDX-License-Identifier: MIT
/*
 * The final page tables, built once at boot: the direct map, the image, the local APIC. Table pages
 * come from the free RAM in boot_info and leave it. They must lie below 4 GiB, where the boot
 * tables can write to them.
 *
 * W^X: text is read and execute, constants are read-only, the rest is not executable. The direct
 * map shows the image a second time, and there text and constants are read-only too. What has no
 * RAM behind it is not mapped.
 */
#include <x86.h>

#include <lib/bits.h>
#include <lib/string.h>

#include "paging.h"

extern unsigned char kernel_text_start[], kernel_text_end[], kernel_rodata_start[],
    kernel_rodata_end[];
extern unsigned char kernel_data_start[], kernel_end[], image_start_phys[];
extern unsigned char boot_stack_guard_low[], boot_stack_guard_high[];

#define TABLES_END GIB(4)
#define TABLES_START MIB(1) /* low memory is left for what has to lie there */
#define APIC_PHYS_DEFAULT UINT64_C(0xfee00000)

static uint64_t root_phys;

static noreturn_fn void stop(const char *text)
{
    arch_console_write(text, strlen(text));
    arch_machine_exit(202);
}

/* A zeroed frame from the start of a region; taken out of boot_info. */
static uint64_t take_table_page(void)
{
    for (uint32_t i = 0; i < boot_info.region_count; i++) {
        struct boot_region *r = &boot_info.regions[i];
        if (r->start < TABLES_START || r->start >= TABLES_END || r->end - r->start < PAGE_BYTES)
            continue;
        uint64_t phys = r->start;
        r->start += PAGE_BYTES;
        if (r->start == r->end)
            memmove(r, r + 1, (--boot_info.region_count - i) * sizeof(*r));
        memset(arch_phys_to_virt(phys), 0, PAGE_BYTES);
        return phys;
    }
    stop("spillway: PANIC: no memory for page tables\n");
}

static uint64_t *next_table(uint64_t *entry)
{
    if (!(*entry & ENTRY_PRESENT))
        *entry = take_table_page() | ENTRY_PRESENT | ENTRY_WRITE;
    return arch_phys_to_virt(*entry & ENTRY_ADDRESS);
}

/* Sets the entry for @va at @level: 0 4 KiB, 1 2 MiB, 2 1 GiB. */
static void set_entry(uint64_t va, unsigned level, uint64_t entry)
{
    uint64_t *table = arch_phys_to_virt(root_phys);

    for (unsigned at = 3; at > level; at--)
        table = next_table(&table[(va >> (PAGE_SHIFT + 9 * at)) & 511]);
    table[(va >> (PAGE_SHIFT + 9 * level)) & 511] = entry | (level ? ENTRY_LARGE : 0);
}

/* Maps [phys, end) at @va with the largest pages, up to @level_max, that fit. */
static void map_range(uint64_t va, uint64_t phys, uint64_t end, unsigned access, unsigned level_max)
{
    uint64_t bits = paging_entry_bits(access);

    while (phys < end) {
        unsigned level = level_max;
        uint64_t bytes = UINT64_C(1) << (PAGE_SHIFT + 9 * level);
        while (level > 0 && (((va | phys) & (bytes - 1)) || end - phys < bytes)) {
            level--;
            bytes = UINT64_C(1) << (PAGE_SHIFT + 9 * level);
        }
        set_entry(va, level, phys | bits);
        va += bytes;
        phys += bytes;
    }
}

static void map_direct(uint64_t start, uint64_t end, unsigned access)
{
    if (start < end)
        map_range(DIRECT_MAP_BASE + start, start, end, access, x86_features.huge_pages ? 2 : 1);
}

/* A piece of RAM, of which the image's read-only part may be a part. */
static void map_ram(const struct boot_region *ram)
{
    uint64_t ro_start = (uintptr_t)image_start_phys,
             ro_end = (uintptr_t)kernel_rodata_end - KERNEL_BASE;

    if (ro_end <= ram->start || ro_start >= ram->end) {
        map_direct(ram->start, ram->end, ARCH_READ | ARCH_WRITE);
        return;
    }
    map_direct(ram->start, ro_start, ARCH_READ | ARCH_WRITE);
    map_direct(ro_start, ro_end, ARCH_READ);
    map_direct(ro_end, ram->end, ARCH_READ | ARCH_WRITE);
}

static void map_section(const unsigned char *start, const unsigned char *end, unsigned access)
{
    uint64_t va = (uintptr_t)start;

    map_range(va, va - KERNEL_BASE, (uintptr_t)end - KERNEL_BASE, access, 0);
}

/* Of the eight kinds of memory that an entry may choose, the second, write-through, becomes
 * write-combining; the others stay as they are after a reset (Intel SDM volume 3, 11.12). */
#define PAT_VALUE UINT64_C(0x0007040600070106)

void paging_init_cpu(void) { wrmsr(MSR_PAT, PAT_VALUE); }

/* At the same place in a 2 MiB page as in physical memory, so that large pages fit. */
static void map_screen(void)
{
    const struct boot_screen *screen = &boot_info.screen;
    uint64_t end = screen->phys + (uint64_t)screen->pitch * screen->height;
    uint64_t first = align_down(screen->phys, PAGE_BYTES);

    if (screen->kind != BOOT_SCREEN_NONE)
        map_range(SCREEN_WINDOW_BASE + first % MIB(2), first, align_up(end, PAGE_BYTES),
                  ARCH_READ | ARCH_WRITE | ARCH_COMBINED, 1);
}

void paging_init(void)
{
    paging_init_cpu();
    x86_features.huge_pages =
        cpuid(0x80000000, 0).eax >= 0x80000001 && (cpuid(0x80000001, 0).edx & (1u << 26));
    root_phys = take_table_page();
    for (uint32_t i = 0; i < boot_ram.count; i++)
        map_ram(&boot_ram.regions[i]);
    map_section(kernel_text_start, kernel_text_end, ARCH_READ | ARCH_EXEC);
    map_section(kernel_rodata_start, kernel_rodata_end, ARCH_READ);
    map_section(kernel_data_start, kernel_end, ARCH_READ | ARCH_WRITE);
    set_entry((uintptr_t)boot_stack_guard_low, 0, 0);
    set_entry((uintptr_t)boot_stack_guard_high, 0, 0);
    uint64_t apic = rdmsr(MSR_APIC_BASE) & ENTRY_ADDRESS;
    if (!apic)
        apic = APIC_PHYS_DEFAULT;
    map_range(PORT_WINDOW_BASE, apic, apic + PAGE_BYTES, ARCH_READ | ARCH_WRITE | ARCH_UNCACHED, 0);
    map_screen();
    write_cr3(root_phys);
}
