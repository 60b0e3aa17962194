// SPDX-License-Identifier: MIT
/*
 * Other pools of stacks, 64 stacks in each: take one, give it back. Alone, and by two threads at once.
 *
 *     two locks      as the proposal of 2007 describes it: a counting semaphore, tried and raised under its lock, and
 *                    a free list under a lock of its own. In a kernel both also turn interrupts off; not counted here.
 *     tagged LIFO    a list whose head is one 64-bit word: index of the first, and a tag against ABA
 *     cmpxchg16b     a list whose head is {pointer, tag}, swapped as 16 bytes
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define STACKS 64u

struct item {
    struct item *next;
    uint32_t next_index;
} __attribute__((aligned(64)));
static struct item items[STACKS];

static void no_stack(void)
{
    fprintf(stderr, "bench: a pool ran empty\n");
    exit(1);
}

/* ---- locks ---- */

struct lock {
    uint32_t word, serving;
} __attribute__((aligned(64)));

static inline void lock_spin(struct lock *lock)
{
    while (__atomic_exchange_n(&lock->word, 1, __ATOMIC_ACQUIRE))
        while (__atomic_load_n(&lock->word, __ATOMIC_RELAXED))
            __builtin_ia32_pause();
}
static inline void unlock_spin(struct lock *lock) { __atomic_store_n(&lock->word, 0, __ATOMIC_RELEASE); }

static inline void lock_ticket(struct lock *lock)
{
    uint32_t mine = __atomic_fetch_add(&lock->word, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != mine)
        __builtin_ia32_pause();
}
static inline void unlock_ticket(struct lock *lock)
{
    __atomic_store_n(&lock->serving, lock->serving + 1, __ATOMIC_RELEASE);
}

/* ---- two locks ---- */

static struct lock semaphore_lock, list_lock;
static int64_t semaphore_count;
static struct item *list_head;

static void fill_list(void)
{
    semaphore_lock = list_lock = (struct lock){0, 0};      /* both kinds use them, each in its way */
    list_head = NULL;
    semaphore_count = STACKS;
    for (unsigned i = 0; i < STACKS; i++) {
        items[i].next = list_head;
        list_head = &items[i];
    }
}

#define TWO_LOCKS(kind)                                                                             \
    static struct item *take_##kind(void)                                                           \
    {                                                                                               \
        lock_##kind(&semaphore_lock);                                                               \
        bool got = semaphore_count > 0;                                                             \
        semaphore_count -= got;                                                                     \
        unlock_##kind(&semaphore_lock);                                                             \
        if (!got)                                                                                   \
            return NULL;                                                                            \
        lock_##kind(&list_lock);                                                                    \
        struct item *item = list_head;                                                              \
        list_head = item->next;                                                                     \
        unlock_##kind(&list_lock);                                                                  \
        return item;                                                                                \
    }                                                                                               \
    static void give_##kind(struct item *item)                                                      \
    {                                                                                               \
        lock_##kind(&list_lock);                                                                    \
        item->next = list_head;                                                                     \
        list_head = item;                                                                           \
        unlock_##kind(&list_lock);                                                                  \
        lock_##kind(&semaphore_lock);                                                               \
        semaphore_count++;                                                                          \
        unlock_##kind(&semaphore_lock);                                                             \
    }
TWO_LOCKS(spin)
TWO_LOCKS(ticket)

/* ---- a list with a tagged head: low half the index + 1 of the first, high half the tag ---- */

static uint64_t tagged_head __attribute__((aligned(64)));

static void fill_tagged(void)
{
    tagged_head = 0;
    for (uint32_t i = 0; i < STACKS; i++) {
        items[i].next_index = (uint32_t)tagged_head;
        tagged_head = i + 1;
    }
}

static struct item *take_tagged(void)
{
    uint64_t head = __atomic_load_n(&tagged_head, __ATOMIC_ACQUIRE), next;
    do {
        if (!(uint32_t)head)
            return NULL;
        uint32_t second = __atomic_load_n(&items[(uint32_t)head - 1].next_index, __ATOMIC_RELAXED);
        next = ((head >> 32) + 1) << 32 | second;
    } while (!__atomic_compare_exchange_n(&tagged_head, &head, next, true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
    return &items[(uint32_t)head - 1];
}

static void give_tagged(struct item *item)
{
    uint64_t head = __atomic_load_n(&tagged_head, __ATOMIC_RELAXED), next;
    do {
        __atomic_store_n(&item->next_index, (uint32_t)head, __ATOMIC_RELAXED);
        next = ((head >> 32) + 1) << 32 | (uint32_t)(item - items + 1);
    } while (!__atomic_compare_exchange_n(&tagged_head, &head, next, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

/* ---- a list with a head of 16 bytes ---- */

static struct wide {
    struct item *first;
    uint64_t tag;
} wide_head __attribute__((aligned(64)));

/* Replaces *@expected by @wanted; false, and *@expected is what there was. */
static inline bool swap_wide(struct wide *expected, struct wide wanted)
{
    bool swapped;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(swapped), "+m"(wide_head), "+a"(expected->first), "+d"(expected->tag)
                     : "b"(wanted.first), "c"(wanted.tag)
                     : "memory");
    return swapped;
}

static struct wide read_wide(void)
{
    struct wide head = {__atomic_load_n(&wide_head.first, __ATOMIC_ACQUIRE),
                        __atomic_load_n(&wide_head.tag, __ATOMIC_ACQUIRE)};
    return head;
}

static void fill_wide(void)
{
    fill_list();
    wide_head = (struct wide){list_head, 0};
}

static struct item *take_wide(void)
{
    struct wide head = read_wide();
    for (;;) {
        if (!head.first)
            return NULL;
        struct wide next = {__atomic_load_n(&head.first->next, __ATOMIC_RELAXED), head.tag + 1};
        if (swap_wide(&head, next))
            return head.first;
    }
}

static void give_wide(struct item *item)
{
    struct wide head = read_wide();
    do
        __atomic_store_n(&item->next, head.first, __ATOMIC_RELAXED);
    while (!swap_wide(&head, (struct wide){item, head.tag + 1}));
}

/* ---- rows ---- */

#define POOL_ROWS(kind, fill)                                                                       \
    static void kind##_loop(uint64_t count)                                                         \
    {                                                                                               \
        for (uint64_t i = 0; i < count; i++) {                                                      \
            struct item *item = take_##kind();                                                      \
            if (!item)                                                                              \
                no_stack();                                                                         \
            give_##kind(item);                                                                      \
        }                                                                                           \
    }                                                                                               \
    static uint64_t kind##_alone(uint64_t count)                                                    \
    {                                                                                               \
        fill();                                                                                     \
        uint64_t start = bench_start();                                                             \
        kind##_loop(count);                                                                         \
        return bench_stop() - start;                                                                \
    }                                                                                               \
    static uint64_t kind##_both(uint64_t count)                                                     \
    {                                                                                               \
        static const struct bench_pair pair = {.loop = kind##_loop};                                \
        fill();                                                                                     \
        return bench_both(&pair, count);                                                            \
    }
POOL_ROWS(spin, fill_list)
POOL_ROWS(ticket, fill_list)
POOL_ROWS(tagged, fill_tagged)
POOL_ROWS(wide, fill_wide)

static const struct bench_row rows[] = {
    {"two-locks", "pool: two spin locks and a list (2007): take and give", 1, spin_alone},
    {"two-ticket-locks", "pool: the same with ticket locks", 1, ticket_alone},
    {"tagged-lifo", "pool: list with a tagged head of 8 bytes", 1, tagged_alone},
    {"wide-lifo", "pool: list with a tagged head of 16 bytes (cmpxchg16b)", 1, wide_alone},
    {"two-locks-both", "pool: two spin locks and a list, 2 threads", 2, spin_both},
    {"two-ticket-locks-both", "pool: the same with ticket locks, 2 threads", 2, ticket_both},
    {"tagged-lifo-both", "pool: list with a tagged head of 8 bytes, 2 threads", 2, tagged_both},
    {"wide-lifo-both", "pool: list with a tagged head of 16 bytes, 2 threads", 2, wide_both},
    {NULL, NULL, 0, NULL},
};

int main(void) { return bench_serve(rows); }
