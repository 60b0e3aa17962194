// SPDX-License-Identifier: MIT
/*
 * See screen.h. The memory of a screen is only written: reading it is slow on any PC.
 *
 * The pixels' format comes from the loader: 2, 3 or 4 bytes, a shift and a number of bits for each colour. Text
 * is light grey on black.
 */
#include "screen.h"

#include <arch/boot_info.h>
#include <lib/bits.h>

#define CELL_WIDTH 8u
#define FONT_LINES 8u                 /* each drawn twice */
#define CELL_HEIGHT (2 * FONT_LINES)
#define GREY 0xaau
#define VGA_GREY 0x0700u
#define SCREEN_BYTES_MAX MIB(256)
#define PHYS_END (UINT64_C(1) << 52)

static const unsigned char font[][FONT_LINES] = {
#include "font.inc"
};

_Static_assert(ARRAY_COUNT(font) == 0x7f - ' ', "every printable character");

static struct {
    volatile unsigned char *base;
    uint32_t pitch;
    uint32_t pixel_bytes;             /* 0: VGA text */
    uint32_t scale;
    uint32_t ink;
} target;

bool screen_draw_can(const struct boot_screen *screen)
{
    bool text = screen->kind == BOOT_SCREEN_TEXT;
    uint32_t cell_width = text ? 1 : CELL_WIDTH, cell_height = text ? 1 : CELL_HEIGHT;
    uint64_t pixel_bytes = text ? 2 : (screen->pixel_bits + 7) / 8;
    uint64_t bytes = (uint64_t)screen->pitch * screen->height;

    return screen->kind != BOOT_SCREEN_NONE && screen->width >= cell_width &&
           screen->height >= cell_height && pixel_bytes >= 2 && pixel_bytes <= 4 &&
           screen->pitch >= screen->width * pixel_bytes && bytes <= SCREEN_BYTES_MAX &&
           screen->phys && screen->phys < PHYS_END - bytes &&
           (!text || (screen->width <= SCREEN_COLS_MAX && screen->height <= SCREEN_ROWS_MAX));
}

static uint32_t grey_part(struct boot_colour colour)
{
    if (colour.bits > 8 || colour.shift > 31)
        return 0;
    return (GREY >> (8 - colour.bits)) << colour.shift;
}

static void put_pixel(volatile unsigned char *at, uint32_t value)
{
    switch (target.pixel_bytes) {
    case 2:
        *(volatile uint16_t *)at = (uint16_t)value;
        break;
    case 3:
        at[0] = (unsigned char)value;
        at[1] = (unsigned char)(value >> 8);
        at[2] = (unsigned char)(value >> 16);
        break;
    case 4:
        *(volatile uint32_t *)at = value;
        break;
    }
}

static void clear(uint32_t width, uint32_t height)
{
    for (uint32_t y = 0; y < height; y++) {
        volatile unsigned char *line = target.base + (size_t)y * target.pitch;
        for (uint32_t x = 0; x < width; x++)
            put_pixel(line + x * target.pixel_bytes, 0);
    }
}

void screen_draw_init(const struct boot_screen *screen, volatile unsigned char *base, uint32_t *cols,
                      uint32_t *rows)
{
    target.base = base;
    target.pitch = screen->pitch;
    *cols = screen->width;
    *rows = screen->height;
    if (screen->kind == BOOT_SCREEN_TEXT)
        return;
    target.pixel_bytes = (screen->pixel_bits + 7) / 8;
    target.ink = grey_part(screen->red) | grey_part(screen->green) | grey_part(screen->blue);
    target.scale = 1;
    while (screen->width / (CELL_WIDTH * target.scale) > SCREEN_COLS_MAX ||
           screen->height / (CELL_HEIGHT * target.scale) > SCREEN_ROWS_MAX)
        target.scale++;
    *cols = screen->width / (CELL_WIDTH * target.scale);
    *rows = screen->height / (CELL_HEIGHT * target.scale);
    clear(screen->width, screen->height);
}

/* One line of dots, @scale pixels high. */
static void draw_dots(volatile unsigned char *at, unsigned char dots)
{
    for (uint32_t y = 0; y < target.scale; y++, at += target.pitch) {
        volatile unsigned char *pixel = at;
        for (uint32_t dot = 0; dot < CELL_WIDTH; dot++) {
            uint32_t value = dots & (0x80u >> dot) ? target.ink : 0;
            for (uint32_t x = 0; x < target.scale; x++, pixel += target.pixel_bytes)
                put_pixel(pixel, value);
        }
    }
}

void screen_draw(uint32_t col, uint32_t row, char c)
{
    if (!target.pixel_bytes) {
        volatile unsigned char *at = target.base + (size_t)row * target.pitch + col * 2;
        *(volatile uint16_t *)at = (uint16_t)(VGA_GREY | (unsigned char)c);
        return;
    }
    size_t line_bytes = (size_t)target.pitch * target.scale;
    volatile unsigned char *at = target.base + row * CELL_HEIGHT * line_bytes +
                                 (size_t)col * CELL_WIDTH * target.scale * target.pixel_bytes;
    for (uint32_t i = 0; i < CELL_HEIGHT; i++, at += line_bytes)
        draw_dots(at, font[c - ' '][i / 2]);
}
