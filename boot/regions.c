// SPDX-License-Identifier: MIT
/*
 * From the loader's memory map to two lists, both sorted and page-aligned inwards:
 *
 *     boot_ram            all usable RAM and the modules, what the direct map covers
 *     boot_info.regions   without page 0, the image and the modules: what may be handed out
 *
 * A map with more than BOOT_REGIONS_MAX pieces, neighbours taken for one, loses the ones that come last.
 */
#include <arch/arch.h>
#include <lib/bits.h>
#include <lib/string.h>

#include <boot.h>
#include <x86.h>

struct boot_ram boot_ram;

static struct boot_region reserved[BOOT_REGIONS_MAX];
static uint32_t reserved_count;

static void remove_at(struct boot_region *list, uint32_t *count, uint32_t at)
{
    memmove(&list[at], &list[at + 1], (*count - at - 1) * sizeof(*list));
    (*count)--;
}

static void merge(struct boot_region *list, uint32_t *count)
{
    for (uint32_t i = 0; i + 1 < *count;) {
        if (list[i + 1].start > list[i].end) {
            i++;
            continue;
        }
        list[i].end = MAX(list[i].end, list[i + 1].end);
        remove_at(list, count, i + 1);
    }
}

/* A full list may have neighbours that are one: firmware's maps have many small pieces. */
static void insert(struct boot_region *list, uint32_t *count, uint64_t start, uint64_t end)
{
    if (*count == BOOT_REGIONS_MAX)
        merge(list, count);
    uint32_t at = *count;
    if (start >= end || at == BOOT_REGIONS_MAX)
        return;
    for (; at > 0 && list[at - 1].start > start; at--)
        list[at] = list[at - 1];
    list[at] = (struct boot_region){ start, end };
    (*count)++;
}

/* Takes [start, end) out of every element. */
static void cut(struct boot_region *list, uint32_t *count, uint64_t start, uint64_t end)
{
    start = align_down(start, PAGE_BYTES);
    end = align_up(end, PAGE_BYTES);
    for (uint32_t i = 0; i < *count;) {
        struct boot_region r = list[i];
        if (r.end <= start || r.start >= end) {
            i++;
            continue;
        }
        remove_at(list, count, i);
        insert(list, count, r.start, MIN(r.end, start));
        insert(list, count, MAX(r.start, end), r.end);
        i = 0;
    }
}

void boot_add_memory(uint64_t start, uint64_t end, bool usable)
{
    if (end < start)
        return;
    if (usable)
        insert(boot_ram.regions, &boot_ram.count, align_up(start, PAGE_BYTES),
               align_down(end, PAGE_BYTES));
    else
        insert(reserved, &reserved_count, start, end);
}

void boot_finish_regions(void)
{
    merge(boot_ram.regions, &boot_ram.count);
    for (uint32_t i = 0; i < reserved_count; i++)
        cut(boot_ram.regions, &boot_ram.count, reserved[i].start, reserved[i].end);

    /* QEMU puts a module's end where the firmware keeps its tables, when there are many devices. */
    for (uint32_t i = 0; i < boot_info.module_count; i++) {
        const struct boot_module *m = &boot_info.modules[i];
        cut(boot_ram.regions, &boot_ram.count, m->start, m->end);
        insert(boot_ram.regions, &boot_ram.count, align_down(m->start, PAGE_BYTES),
               align_up(m->end, PAGE_BYTES));
    }
    merge(boot_ram.regions, &boot_ram.count);

    memcpy(boot_info.regions, boot_ram.regions, sizeof(boot_info.regions));
    boot_info.region_count = boot_ram.count;
    cut(boot_info.regions, &boot_info.region_count, 0, PAGE_BYTES);
    cut(boot_info.regions, &boot_info.region_count, boot_info.kernel_start, boot_info.kernel_end);
    for (uint32_t i = 0; i < boot_info.module_count; i++)
        cut(boot_info.regions, &boot_info.region_count, boot_info.modules[i].start,
            boot_info.modules[i].end);
}
