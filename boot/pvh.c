// SPDX-License-Identifier: MIT
/*
 * PVH, as QEMU's -kernel does it: a structure with pointers to the command line, the modules
 * (-initrd makes one, without a name) and the memory map.
 *
 * Source: Xen public/arch-x86/hvm/start_info.h.
 */
#include <boot.h>

#define PVH_MAGIC 0x336ec578u
#define MEMORY_USABLE 1
#define STRING_MAX KIB(64)

struct pvh_info {
    uint32_t magic, version, flags, module_count;
    uint64_t modules, command_line, rsdp;
    uint64_t memory_map; /* from version 1 on */
    uint32_t memory_entries, reserved;
};

struct pvh_module {
    uint64_t start, bytes, name, reserved;
};

struct pvh_memory {
    uint64_t start, bytes;
    uint32_t type, reserved;
};

static void parse_memory(const struct pvh_info *pvh)
{
    const struct pvh_memory *map =
        boot_memory(pvh->memory_map, pvh->memory_entries * sizeof(struct pvh_memory));

    if (!pvh->version || !map)
        return;
    for (uint32_t i = 0; i < pvh->memory_entries; i++)
        boot_add_memory(map[i].start, map[i].start + map[i].bytes, map[i].type == MEMORY_USABLE);
}

static void parse_modules(const struct pvh_info *pvh)
{
    const struct pvh_module *modules =
        boot_memory(pvh->modules, pvh->module_count * sizeof(struct pvh_module));

    if (!modules)
        return;
    for (uint32_t i = 0; i < pvh->module_count; i++) {
        const char *name = modules[i].name ? boot_memory(modules[i].name, STRING_MAX) : NULL;
        boot_add_module(modules[i].start, modules[i].start + modules[i].bytes, name);
    }
}

void pvh_parse(uint64_t info)
{
    const struct pvh_info *pvh = boot_memory(info, sizeof(*pvh));

    boot_info.protocol = "pvh";
    if (!pvh || pvh->magic != PVH_MAGIC)
        return;
    boot_info.acpi_rsdp = pvh->rsdp;
    const char *line = pvh->command_line ? boot_memory(pvh->command_line, STRING_MAX) : NULL;
    if (line)
        boot_set_command_line(line);
    parse_modules(pvh);
    parse_memory(pvh);
}
