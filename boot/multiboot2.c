// SPDX-License-Identifier: MIT
/*
 * Multiboot2: a list of tags, each {type, size}, padded to 8 bytes. GRUB leaves the image's own
 * name out of the command line. The ACPI root pointer comes as a copy inside the list, so it is
 * copied again, to stay.
 *
 * Source: Multiboot2 specification 2.0, 3.6.
 */
#include <arch/arch.h>
#include <lib/bits.h>
#include <lib/string.h>

#include <boot.h>
#include <x86.h>

enum tag_type {
    TAG_END = 0,
    TAG_COMMAND_LINE = 1,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
    TAG_FRAMEBUFFER = 8,
    TAG_RSDP_OLD = 14,
    TAG_RSDP_NEW = 15,
};

#define MEMORY_USABLE 1

struct tag {
    uint32_t type, size;
};

struct tag_module {
    struct tag tag;
    uint32_t start, end;
    char name[];
};

struct tag_memory_map {
    struct tag tag;
    uint32_t entry_bytes, entry_version;
    unsigned char entries[];
};

struct memory_entry {
    uint64_t start, bytes;
    uint32_t type, reserved;
};

struct tag_framebuffer {
    struct tag tag;
    uint64_t address;
    uint32_t pitch, width, height;
    uint8_t pixel_bits, type;
    uint16_t reserved;
    struct boot_colour red, green, blue; /* FRAMEBUFFER_RGB */
};

#define FRAMEBUFFER_RGB 1
#define FRAMEBUFFER_TEXT 2
#define FRAMEBUFFER_COMMON_BYTES offsetof(struct tag_framebuffer, red)

_Static_assert(FRAMEBUFFER_COMMON_BYTES == 32 && sizeof(struct boot_colour) == 2, "Multiboot2 3.6.12");

#define RSDP_BYTES_MAX 36
static unsigned char rsdp_copy[RSDP_BYTES_MAX] __attribute__((aligned(16)));

static void parse_memory_map(const struct tag_memory_map *map)
{
    const unsigned char *end = (const unsigned char *)map + map->tag.size;

    if (map->entry_bytes < sizeof(struct memory_entry))
        return;
    for (const unsigned char *at = map->entries; at + map->entry_bytes <= end;
         at += map->entry_bytes) {
        const struct memory_entry *entry = (const struct memory_entry *)at;
        boot_add_memory(entry->start, entry->start + entry->bytes, entry->type == MEMORY_USABLE);
    }
}

static void parse_rsdp(const struct tag *tag)
{
    size_t bytes = MIN(tag->size - sizeof(*tag), sizeof(rsdp_copy));

    memcpy(rsdp_copy, tag + 1, bytes);
    boot_info.acpi_rsdp = (uintptr_t)rsdp_copy - KERNEL_BASE;
}

/* Pixels with a colour table (type 0) are not used: no firmware of today sets such a mode. */
static void parse_framebuffer(const struct tag_framebuffer *tag)
{
    struct boot_screen *screen = &boot_info.screen;

    if (tag->tag.size < FRAMEBUFFER_COMMON_BYTES)
        return;
    screen->phys = tag->address;
    screen->pitch = tag->pitch;
    screen->width = tag->width;
    screen->height = tag->height;
    screen->pixel_bits = tag->pixel_bits;
    if (tag->type == FRAMEBUFFER_TEXT) {
        screen->kind = BOOT_SCREEN_TEXT;
    } else if (tag->type == FRAMEBUFFER_RGB && tag->tag.size >= sizeof(*tag) - 2) {
        screen->kind = BOOT_SCREEN_PIXELS;
        screen->red = tag->red;
        screen->green = tag->green;
        screen->blue = tag->blue;
    }
}

void multiboot2_parse(uint64_t info)
{
    const uint32_t *header = boot_memory(info, 8);

    boot_info.protocol = "multiboot2";
    if (!header || !boot_memory(info, header[0]))
        return;
    uint32_t total = header[0];
    for (uint32_t at = 8; at + sizeof(struct tag) <= total;) {
        const struct tag *tag = boot_memory(info + at, sizeof(*tag));
        if (tag->type == TAG_END || tag->size < sizeof(*tag) || tag->size > total - at)
            break;
        switch (tag->type) {
        case TAG_COMMAND_LINE:
            boot_set_command_line((const char *)(tag + 1));
            break;
        case TAG_MODULE: {
            const struct tag_module *module = (const struct tag_module *)tag;
            boot_add_module(module->start, module->end, module->name);
            break;
        }
        case TAG_MEMORY_MAP:
            parse_memory_map((const struct tag_memory_map *)tag);
            break;
        case TAG_FRAMEBUFFER:
            parse_framebuffer((const struct tag_framebuffer *)tag);
            break;
        case TAG_RSDP_OLD:
            if (!boot_info.acpi_rsdp)
                parse_rsdp(tag);
            break;
        case TAG_RSDP_NEW:
            parse_rsdp(tag);
            break;
        }
        at += (uint32_t)align_up(tag->size, 8);
    }
}
