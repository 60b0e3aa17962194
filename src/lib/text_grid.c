// SPDX-License-Identifier: MIT
/* See text_grid.h. A line that is full goes on when the next character comes, not before. */
#include <lib/text_grid.h>

#include <lib/string.h>

#define ESCAPE 0x1b
#define TAB_COLS 8u

static char *line_at(const struct text_grid *grid, uint32_t row)
{
    uint32_t line = grid->top + row;

    return grid->cells + (size_t)(line < grid->rows ? line : line - grid->rows) * grid->cols;
}

void text_grid_init(struct text_grid *grid, char *cells, uint32_t cols, uint32_t rows)
{
    memset(cells, ' ', (size_t)cols * rows);
    *grid = (struct text_grid){ .cells = cells, .cols = cols, .rows = rows };
}

char text_grid_at(const struct text_grid *grid, uint32_t col, uint32_t row)
{
    return __atomic_load_n(line_at(grid, row) + col, __ATOMIC_RELAXED);
}

static void new_line(struct text_grid *grid)
{
    grid->col = 0;
    if (grid->row + 1 < grid->rows) {
        grid->row++;
        return;
    }
    memset(line_at(grid, 0), ' ', grid->cols);
    grid->top = grid->top + 1 < grid->rows ? grid->top + 1 : 0;
}

static void put(struct text_grid *grid, char c)
{
    if (grid->col == grid->cols)
        new_line(grid);
    line_at(grid, grid->row)[grid->col++] = c;
}

static void control(struct text_grid *grid, unsigned char c)
{
    switch (c) {
    case '\n':
        new_line(grid);
        break;
    case '\r':
        grid->col = 0;
        break;
    case '\b':
        if (grid->col > 0)
            grid->col--;
        break;
    case '\t':
        grid->col = MIN((grid->col / TAB_COLS + 1) * TAB_COLS, grid->cols - 1);
        break;
    case ESCAPE:
        grid->escape = TEXT_ESCAPE;
        break;
    }
}

/* Whether @c belonged to an escape sequence: ESC and a character, or ESC [ ... and a letter. */
static bool escaped(struct text_grid *grid, unsigned char c)
{
    enum text_escape was = grid->escape;

    if (was == TEXT_PLAIN || c < ' ') {
        grid->escape = TEXT_PLAIN;
        return false;
    }
    if (was == TEXT_ESCAPE)
        grid->escape = c == '[' ? TEXT_SEQUENCE : TEXT_PLAIN;
    else if (c >= 0x40 && c <= 0x7e)
        grid->escape = TEXT_PLAIN;
    return true;
}

void text_grid_write(struct text_grid *grid, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if (escaped(grid, c))
            continue;
        if (c < ' ')
            control(grid, c);
        else if (c < 0x7f)
            put(grid, (char)c);
        else if (c >= 0xc0)
            put(grid, '?');               /* the rest of the character, 0x80 to 0xbf, shows nothing */
    }
}
