// SPDX-License-Identifier: MIT
/*
 * The screen: what the console writes goes into a grid of characters, which costs little and never waits. Painting, which
 * costs more, compares the grid with what was painted and draws what differs. Who paints when: <arch/arch.h>.
 *
 * A screen of pixels comes from the loader. Text memory, which the BIOS has set up, is used when the VGA that the
 * registers belong to is there and in such a mode, whatever the loader says: a machine without a screen has loaders that
 * promise one, and PVH has no word for it.
 *
 * The grid is written under the runtime's console lock, or by the only CPU that runs. `painted` and `painting` belong to
 * who paints: until arch_screen_defer() and from screen_alone() on who writes, in between the one painting thread.
 *
 * Sources: IBM VGA (registers 0x3c0-0x3df), Multiboot2 specification 2.0, 3.6.12.
 */
#include "screen.h"

#include <lib/bits.h>
#include <lib/string.h>
#include <lib/text_grid.h>

#include <x86.h>

enum {
    VGA_MISC_READ = 0x3cc,
    VGA_GRAPHICS = 0x3ce,
    VGA_CRTC = 0x3d4,
    GRAPHICS_MISC = 6,
    CRTC_CURSOR_START = 0x0a,
    CRTC_CURSOR_LOW = 0x0f,
};
#define MISC_COLOUR 0x01              /* the CRTC's registers are at 0x3d4 */
#define GRAPHICS_PIXELS 0x01
#define GRAPHICS_MEMORY 0x0c          /* 0x0c: at 0xb8000 */
#define CURSOR_OFF 0x20

#define VGA_TEXT_PHYS 0xb8000u
#define VGA_TEXT_COLS 80u
#define VGA_TEXT_ROWS 25u

static char cells[SCREEN_COLS_MAX * SCREEN_ROWS_MAX];
static char painted[SCREEN_COLS_MAX * SCREEN_ROWS_MAX]; /* 0: not known */
static struct text_grid grid;
static bool present, deferred, stale, painting;

/* ---- which one ---- */

static uint8_t vga_read(uint16_t port, uint8_t index)
{
    arch_out8(port, index);
    return arch_in8(port + 1);
}

static void vga_write(uint16_t port, uint8_t index, uint8_t value)
{
    arch_out8(port, index);
    arch_out8(port + 1, value);
}

/* A register that keeps what is written, and the bits that say "characters, at 0xb8000". */
static bool vga_shows_text(void)
{
    if (!acpi_parts.vga || !(arch_in8(VGA_MISC_READ) & MISC_COLOUR))
        return false;
    uint8_t was = vga_read(VGA_CRTC, CRTC_CURSOR_LOW);
    vga_write(VGA_CRTC, CRTC_CURSOR_LOW, 0x5a);
    bool kept = vga_read(VGA_CRTC, CRTC_CURSOR_LOW) == 0x5a;
    vga_write(VGA_CRTC, CRTC_CURSOR_LOW, was);
    uint8_t mode = vga_read(VGA_GRAPHICS, GRAPHICS_MISC);
    return kept && (mode & (GRAPHICS_MEMORY | GRAPHICS_PIXELS)) == GRAPHICS_MEMORY;
}

void screen_find(void)
{
    struct boot_screen *screen = &boot_info.screen;

    if (screen->kind == BOOT_SCREEN_NONE)
        *screen = (struct boot_screen){ .kind = BOOT_SCREEN_TEXT, .phys = VGA_TEXT_PHYS,
                                        .pitch = VGA_TEXT_COLS * 2, .width = VGA_TEXT_COLS,
                                        .height = VGA_TEXT_ROWS };
    if (!screen_draw_can(screen) || (screen->kind == BOOT_SCREEN_TEXT && !vga_shows_text()))
        screen->kind = BOOT_SCREEN_NONE;
}

/* ---- painting ---- */

static void paint(void)
{
    char *was = painted;

    __atomic_store_n(&painting, true, __ATOMIC_RELAXED);
    for (uint32_t row = 0; row < grid.rows; row++) {
        for (uint32_t col = 0; col < grid.cols; col++, was++) {
            char c = text_grid_at(&grid, col, row);
            if (*was != c) {
                *was = c;
                screen_draw(col, row, c);
            }
        }
    }
    __asm__ volatile("sfence" ::: "memory"); /* nothing stays in the buffers where writes combine */
    __atomic_store_n(&painting, false, __ATOMIC_RELAXED);
}

void screen_init(void)
{
    const struct boot_screen *screen = &boot_info.screen;
    uint64_t at = SCREEN_WINDOW_BASE + screen->phys % MIB(2);
    uint32_t cols, rows;

    if (screen->kind == BOOT_SCREEN_NONE)
        return;
    screen_draw_init(screen, (volatile unsigned char *)at, &cols, &rows);
    if (screen->kind == BOOT_SCREEN_TEXT)
        vga_write(VGA_CRTC, CRTC_CURSOR_START, CURSOR_OFF);
    text_grid_init(&grid, cells, cols, rows);
    present = true;
    paint();
}

void screen_write(const char *text, size_t bytes)
{
    if (!present)
        return;
    text_grid_write(&grid, text, bytes);
    if (deferred)
        __atomic_store_n(&stale, true, __ATOMIC_SEQ_CST); /* before the painter is looked at */
    else
        paint();
}

/* The painting thread may have been stopped in the middle of a character: all are painted again. */
void screen_alone(void)
{
    if (!present || !deferred)
        return;
    deferred = false;
    memset(painted, 0, sizeof(painted));
    paint();
}

void screen_distrust(void)
{
    if (painting)
        present = false;
}

/* ---- what the runtime asks ---- */

bool arch_screen_size(uint32_t *cols, uint32_t *rows)
{
    *cols = grid.cols;
    *rows = grid.rows;
    return present;
}

void arch_screen_defer(void) { deferred = true; }

bool arch_screen_stale(void) { return __atomic_load_n(&stale, __ATOMIC_ACQUIRE); }

void arch_screen_paint(void)
{
    __atomic_store_n(&stale, false, __ATOMIC_SEQ_CST);
    paint();
}
