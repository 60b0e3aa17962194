// SPDX-License-Identifier: MIT
/*
 * Reads the text off a screenshot: splits it into cells of WIDTH by HEIGHT pixels and looks each up among glyphs
 * that come from
 *
 *     screen-text SHOT.ppm WIDTH HEIGHT font FONT.txt          the kernel's font
 *     screen-text SHOT.ppm WIDTH HEIGHT like OTHER.ppm OTHER.txt   another screenshot and what it shows, line by line
 *
 * and prints what is shown, without blanks at the ends of lines. Status 1: a cell that is no known glyph, two
 * characters that look the same, or a lit pixel that is not light grey.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_PIXELS_MAX 1024
#define FONT_LINES 8

struct image {
    int width, height;
    unsigned char *pixels;
};

struct glyph {
    unsigned char lit[CELL_PIXELS_MAX];
    int known;
};

static struct glyph glyphs[128];
static int cell_width, cell_height, failures;

static void die(const char *what, const char *file)
{
    fprintf(stderr, "screen-text: %s: %s\n", file, what);
    exit(2);
}

static struct image read_ppm(const char *name)
{
    struct image image;
    FILE *f = fopen(name, "rb");
    if (!f || fscanf(f, "P6 %d %d 255", &image.width, &image.height) != 2 || !isspace(fgetc(f)))
        die("not a PPM image", name);
    size_t bytes = (size_t)image.width * image.height * 3;
    image.pixels = malloc(bytes);
    if (!image.pixels || fread(image.pixels, 1, bytes, f) != bytes)
        die("ends early", name);
    fclose(f);
    return image;
}

static void read_cell(const struct image *image, int col, int row, unsigned char *lit)
{
    for (int y = 0; y < cell_height; y++)
        for (int x = 0; x < cell_width; x++) {
            const unsigned char *p =
                image->pixels + 3 * ((size_t)(row * cell_height + y) * image->width + col * cell_width + x);
            *lit = p[0] || p[1] || p[2];
            if (*lit++ && (p[0] < 0x90 || p[0] > 0xc0 || abs(p[0] - p[1]) > 12 || abs(p[1] - p[2]) > 12)) {
                if (!failures++)
                    fprintf(stderr, "column %d, row %d: colour %02x%02x%02x\n", col, row, p[0], p[1], p[2]);
            }
        }
}

static void learn(int c, const unsigned char *lit, const char *where)
{
    size_t bytes = (size_t)cell_width * cell_height;
    if (glyphs[c].known && memcmp(glyphs[c].lit, lit, bytes)) {
        fprintf(stderr, "%s: '%c' has two forms\n", where, c);
        failures++;
    }
    for (int other = ' '; other < 127; other++)
        if (other != c && glyphs[other].known && !memcmp(glyphs[other].lit, lit, bytes)) {
            fprintf(stderr, "%s: '%c' and '%c' look the same\n", where, c, other);
            failures++;
        }
    memcpy(glyphs[c].lit, lit, bytes);
    glyphs[c].known = 1;
}

static void learn_font(const char *name)
{
    static char lines[FONT_LINES][256];
    unsigned char lit[CELL_PIXELS_MAX];
    char line[256];
    int first;
    FILE *f = fopen(name, "r");
    if (!f)
        die("cannot be read", name);
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "FIRST %d", &first) != 1)
            continue;
        for (int i = 0; i < FONT_LINES; i++)
            if (!fgets(lines[i], sizeof(lines[i]), f))
                die("ends early", name);
        for (int c = first; c < first + 16 && c < 127; c++) {
            for (int y = 0; y < cell_height; y++)
                for (int x = 0; x < cell_width; x++) {
                    int dot = x * 8 / cell_width - 1;
                    const char *dots = lines[y * FONT_LINES / cell_height] + 6 * (c - first);
                    lit[y * cell_width + x] = dot >= 0 && dot < 5 && dots[dot] == '#';
                }
            learn(c, lit, name);
        }
    }
    fclose(f);
}

static void learn_like(const char *picture, const char *text)
{
    struct image image = read_ppm(picture);
    unsigned char lit[CELL_PIXELS_MAX];
    char line[512];
    FILE *f = fopen(text, "r");
    if (!f)
        die("cannot be read", text);
    for (int row = 0; row < image.height / cell_height && fgets(line, sizeof(line), f); row++) {
        size_t length = strcspn(line, "\n");
        for (int col = 0; col < image.width / cell_width; col++) {
            read_cell(&image, col, row, lit);
            learn(col < (int)length ? line[col] & 127 : ' ', lit, picture);
        }
    }
    fclose(f);
}

static int look_up(const unsigned char *lit)
{
    for (int c = ' '; c < 127; c++)
        if (glyphs[c].known && !memcmp(glyphs[c].lit, lit, (size_t)cell_width * cell_height))
            return c;
    return 0;
}

static void print_text(const struct image *image)
{
    unsigned char lit[CELL_PIXELS_MAX];
    char line[512];
    for (int row = 0; row < image->height / cell_height; row++) {
        int length = 0;
        for (int col = 0; col < image->width / cell_width && col < (int)sizeof(line); col++) {
            read_cell(image, col, row, lit);
            int c = look_up(lit);
            if (!c && failures++ < 5)
                fprintf(stderr, "column %d, row %d: no character looks so\n", col, row);
            line[col] = c ? c : '?';
            if (line[col] != ' ')
                length = col + 1;
        }
        printf("%.*s\n", length, line);
    }
}

int main(int argc, char **argv)
{
    if (argc < 6)
        die("usage: SHOT.ppm WIDTH HEIGHT font FONT | like SHOT TEXT", "arguments");
    struct image image = read_ppm(argv[1]);
    cell_width = atoi(argv[2]);
    cell_height = atoi(argv[3]);
    if (cell_width < 1 || cell_height < 1 || cell_width * cell_height > CELL_PIXELS_MAX)
        die("a cell of this size", argv[2]);
    if (!strcmp(argv[4], "font"))
        learn_font(argv[5]);
    else if (argc > 6)
        learn_like(argv[5], argv[6]);
    print_text(&image);
    return failures > 0;
}
