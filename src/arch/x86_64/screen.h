// SPDX-License-Identifier: MIT
/*
 * Drawing characters, into VGA text memory or into pixels: screen_draw.c, for screen.c. A cell of pixels is 8 by
 * 16, times a whole number on screens with more of them than fit SCREEN_COLS_MAX and SCREEN_ROWS_MAX.
 */
#pragma once

#include <lib/types.h>

struct boot_screen;

#define SCREEN_COLS_MAX 240u          /* 1920 by 1080 pixels */
#define SCREEN_ROWS_MAX 68u

/* Whether @screen describes something that can be drawn into. */
bool screen_draw_can(const struct boot_screen *screen);
/* @base: where it is mapped. Clears it; how many characters fit comes back. */
void screen_draw_init(const struct boot_screen *screen, volatile unsigned char *base, uint32_t *cols,
                      uint32_t *rows);
/* @c is printable. */
void screen_draw(uint32_t col, uint32_t row, char c);
