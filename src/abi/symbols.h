// SPDX-License-Identifier: MIT
/*
 * The program's own symbol table, read from its file when it is needed: at load to find functions,
 * at a crash to name them. Everything in the file is doubted; where a table is missing or damaged
 * there are just fewer symbols.
 *
 *     if (symbols_open(reader) == 0)
 *         while (symbols_next(reader, &symbol))
 *             …
 *
 * Thread context; reads the file, so it may sleep.
 */
#pragma once

#include <lib/types.h>

struct file;

#define SYMBOLS_PIECE_BYTES 4096

/* A function, or a label without a type in what the assembler made (@bytes 0 then, mostly). */
struct symbol {
    uint64_t address, bytes;          /* where it was loaded */
    uint32_t name;                    /* for symbols_name() */
    bool function;
};

/* Too large for a stack. */
struct symbol_reader {
    uint64_t table_offset, count, next;
    uint64_t names_offset, names_bytes;
    uint64_t piece_first, piece_count;  /* entries that `piece` holds */
    uint8_t piece[SYMBOLS_PIECE_BYTES];
};

/* The file to read from, from now on until symbols_stop(); takes a reference of its own. */
void symbols_start(struct file *file, uint64_t bias);
void symbols_stop(void);

/* Where a section was loaded, if it was. @name: up to 15 characters. Errors: as symbols_open(). */
int symbols_find_section(struct symbol_reader *reader, const char *name, uint64_t *address,
                         uint64_t *bytes);
/* -ENOENT no file or no table; -ENOEXEC a damaged one; errors of vfs_read(). */
int symbols_open(struct symbol_reader *reader);
/* The next function; false at the end, or where the file cannot be read. */
bool symbols_next(struct symbol_reader *reader, struct symbol *out);
/* Its name, cut to fit and always terminated; characters that do not belong in a name become '?'. */
int symbols_name(const struct symbol_reader *reader, uint32_t name, char *text, size_t size);
