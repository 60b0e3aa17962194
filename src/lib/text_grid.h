// SPDX-License-Identifier: MIT
/*
 * The characters of a screen: text goes in as to a terminal, lines scroll up, and what stands in each place can be read.
 * Drawing is the caller's. Known: newline, carriage return, backspace, tabulator. Escape sequences are swallowed; of
 * a character beyond ASCII, which comes as several bytes of UTF-8, a '?' is shown.
 *
 * One writer at a time. A reader at the same time sees each place as it was or as it is, possibly a line off.
 */
#pragma once

#include <lib/types.h>

enum text_escape { TEXT_PLAIN, TEXT_ESCAPE, TEXT_SEQUENCE };

struct text_grid {
    char *cells;                      /* @rows lines of @cols characters, used in turns from @top on */
    uint32_t cols, rows, top;
    uint32_t col, row;                /* of the next character; @col is @cols when the line is full */
    enum text_escape escape;
};

/* An empty screen; @cells, of @cols * @rows bytes (neither is 0), stays the grid's. */
void text_grid_init(struct text_grid *grid, char *cells, uint32_t cols, uint32_t rows);
void text_grid_write(struct text_grid *grid, const char *text, size_t bytes);
/* What stands at @col, @row; always printable. */
char text_grid_at(const struct text_grid *grid, uint32_t col, uint32_t row);
