// SPDX-License-Identifier: MIT
/* Memory that is mapped, touched, protected, cut, moved and unmapped; each page says whose it is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "notes.h"
#include "torture.h"

enum { PAGE = 4096, MOST_PAGES = 96 };

static uint64_t mark(uint64_t key, uint32_t page)
{
    return (key ^ page) * 0x9e3779b97f4a7c15ull | 1;
}

static void touch(unsigned char *at, uint32_t pages, uint64_t key)
{
    for (uint32_t i = 0; i < pages; i++) {
        uint64_t value = mark(key, i);

        memcpy(at + (size_t)i * PAGE + i % 500 * 8, &value, sizeof(value));
    }
}

/* @first is the number of the page at @at when it was touched; @key 0: zeros. */
static bool check_pages(const unsigned char *at, uint32_t first, uint32_t pages, uint64_t key)
{
    for (uint32_t i = 0; i < pages; i++) {
        uint32_t page = first + i;
        uint64_t value, wanted = key ? mark(key, page) : 0;

        memcpy(&value, at + (size_t)i * PAGE + page % 500 * 8, sizeof(value));
        if (value != wanted) {
            note_wrong("memory", key ? "another content than was written" : "fresh, and not zero",
                       -1, page, (long)value, (long)wanted);
            return false;
        }
    }
    return true;
}

/* Unmap some of the pages. Never ones that are unmapped already: they may be another's by now. */
static enum outcome unmap(struct worker *w, unsigned char *at, uint32_t pages)
{
    actor_step(w->actor, "munmap", -1, pages);
    if (pages && munmap(at, (size_t)pages * PAGE) < 0)
        return judge(w, "munmap", NULL, pages, errno, 0);
    return DONE;
}

/*
 * Take the middle out, or give it back as zeros, or make it unreadable for a while. *hole and
 * *hole_pages are what is unmapped by then.
 */
static enum outcome cut(struct worker *w, unsigned char *at, uint32_t pages, uint64_t key,
                        uint32_t *hole, uint32_t *hole_pages)
{
    uint32_t first = pick(w, pages), count = 1 + pick(w, pages - first), what = pick(w, 4);
    unsigned char *middle = at + (size_t)first * PAGE;
    size_t bytes = (size_t)count * PAGE;

    if (what == 0) {
        enum outcome outcome = unmap(w, middle, count);

        if (outcome != DONE)
            return outcome;
        *hole = first;
        *hole_pages = count;
    } else if (what == 1) {
        actor_step(w->actor, "madvise", -1, count);
        if (madvise(middle, bytes, MADV_DONTNEED) < 0)
            return judge(w, "madvise", NULL, count, errno, 0);
        if (!check_pages(middle, first, count, 0))
            return FAILED;
    } else {
        actor_step(w->actor, "mprotect", -1, count);
        if (mprotect(middle, bytes, what == 2 ? PROT_READ : PROT_NONE) < 0)
            return judge(w, "mprotect", NULL, count, errno, 0);
        if (what == 2 && !check_pages(middle, first, count, key))
            return FAILED;
        if (mprotect(middle, bytes, PROT_READ | PROT_WRITE) < 0)
            return judge(w, "mprotect back", NULL, count, errno, 0);
        if (!check_pages(middle, first, count, key))
            return FAILED;
    }
    if (!check_pages(at, 0, first, key) ||
        !check_pages(middle + bytes, first + count, pages - first - count, key))
        return FAILED;
    return DONE;
}

static enum outcome resize_mapping(struct worker *w, unsigned char **at, uint32_t *pages,
                                   uint64_t key)
{
    uint32_t now = 1 + pick(w, MOST_PAGES), kept = now < *pages ? now : *pages;
    void *moved;

    actor_step(w->actor, "mremap", -1, now);
    moved = mremap(*at, (size_t)*pages * PAGE, (size_t)now * PAGE, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED)
        return judge(w, "mremap", NULL, now, errno, 0);
    *at = moved;
    *pages = now;
    if (!check_pages(*at, 0, kept, key) ||
        !check_pages(*at + (size_t)kept * PAGE, kept, now - kept, 0))
        return FAILED;
    touch(*at, now, key);
    return DONE;
}

static enum outcome use_mapping(struct worker *w)
{
    uint32_t pages = 1 + pick(w, pick(w, 4) ? 12 : MOST_PAGES);
    uint64_t key = w->random | 1;
    enum outcome outcome = DONE, last;
    uint32_t hole, hole_pages = 0;
    unsigned char *at;

    actor_step(w->actor, "mmap", -1, pages);
    at = mmap(NULL, (size_t)pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
              0);
    if (at == MAP_FAILED)
        return judge(w, "mmap", NULL, pages, errno, 0);
    actor_step(w->actor, "touching memory", -1, pages);
    if (!check_pages(at, 0, pages, 0))
        return FAILED;
    touch(at, pages, key);
    if (pick(w, 3) == 0)
        outcome = resize_mapping(w, &at, &pages, key);
    if (outcome == DONE && !check_pages(at, 0, pages, key))
        outcome = FAILED;
    hole = pages;
    if (outcome == DONE)
        outcome = cut(w, at, pages, key, &hole, &hole_pages);
    last = unmap(w, at, hole);
    if (last == DONE)
        last = unmap(w, at + (size_t)(hole + hole_pages) * PAGE, pages - hole - hole_pages);
    return outcome == DONE ? last : outcome;
}

/* The C library's heap, which is brk, mmap and locks between threads. */
static enum outcome use_heap(struct worker *w)
{
    enum { PIECES = 24 };
    unsigned char *piece[PIECES];
    uint32_t bytes[PIECES];
    enum outcome outcome = DONE;

    actor_step(w->actor, "malloc", -1, -1);
    for (int i = 0; i < PIECES; i++) {
        bytes[i] = 16 + pick(w, pick(w, 8) ? 600 : 50000);
        piece[i] = malloc(bytes[i]);
        if (piece[i])
            memset(piece[i], (int)(w->index + i), bytes[i]);
        else
            outcome = LEGAL;
    }
    for (int i = 0; i < PIECES; i++) {
        unsigned char wanted = (unsigned char)(w->index + i);

        if (piece[i] && (piece[i][0] != wanted || piece[i][bytes[i] - 1] != wanted ||
                         piece[i][bytes[i] / 2] != wanted)) {
            note_wrong("heap", "another content than was written", -1, i, piece[i][0], wanted);
            outcome = FAILED;
        }
        free(piece[i]);
    }
    return outcome;
}

enum outcome op_memory(struct worker *w) { return pick(w, 4) ? use_mapping(w) : use_heap(w); }
