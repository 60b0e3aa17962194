// SPDX-License-Identifier: MIT
/*
 * What the loader told us, copied out of low memory before anything is reused, in one form for
 * multiboot2 and PVH. boot/ fills it; the runtime reads it.
 */
#pragma once

#include <lib/types.h>

#define BOOT_REGIONS_MAX 128
#define BOOT_MODULES_MAX 16
#define BOOT_CMDLINE_BYTES 4096

struct boot_region {
    uint64_t start, end;              /* physical, page-aligned inwards; free RAM only, ascending */
};

struct boot_module {
    uint64_t start, end;              /* physical; not in the regions */
    char name[64];                    /* the module's own string, possibly empty */
};

/* What the console is shown on besides the serial line. */
enum boot_screen_kind { BOOT_SCREEN_NONE, BOOT_SCREEN_TEXT, BOOT_SCREEN_PIXELS };

/* Where a colour stands in a pixel. */
struct boot_colour {
    uint8_t shift, bits;
};

struct boot_screen {
    enum boot_screen_kind kind;
    uint64_t phys;
    uint32_t pitch;                   /* bytes of a line */
    uint32_t width, height;           /* pixels; characters for BOOT_SCREEN_TEXT */
    uint32_t pixel_bits;
    struct boot_colour red, green, blue;
};

struct boot_info {
    const char *protocol;             /* "multiboot2", "pvh", "host" */
    char command_line[BOOT_CMDLINE_BYTES];
    bool command_line_cut;
    uint32_t region_count, module_count;
    struct boot_region regions[BOOT_REGIONS_MAX];
    struct boot_module modules[BOOT_MODULES_MAX];
    uint64_t kernel_start, kernel_end; /* physical extent of the image */
    uint64_t acpi_rsdp;               /* physical, 0 if not given */
    struct boot_screen screen;
    uintptr_t stack_base, stack_top;  /* the stack that kernel_main() runs on, guarded on both sides */
};

extern struct boot_info boot_info;

/* Entered by the boot code in 64-bit mode on the boot stack, interrupts off, boot_info filled. */
void kernel_main(void);
