// SPDX-License-Identifier: MIT
/*
 * Page tables: four levels, one set for everything. There is no ring 3, so no entry has the user
 * bit; CR0.WP makes read-only pages hold in ring 0 too.
 *
 * An entry that arch_protect() left without rights is not present but keeps its frame and
 * ENTRY_KEPT.
 *
 * `lock` guards every change. arch_lookup() takes no lock: it reads entries one by one with interrupts
 * off, so that a report can use it whatever was interrupted. A table that it walks is not freed
 * meanwhile (tlb.c); that the range is not being unmapped its caller sees to.
 *
 * Nothing that was present is taken away or restricted without a flush of all TLBs before the return;
 * what was not present no TLB holds. Two callers that change one range at a time are not served.
 */
#include <x86.h>

#include <lib/bits.h>
#include <lib/errno.h>

#include "paging.h"

#define ENTRIES 512
#define TRIM_BATCH 8

uint64_t arch_direct_map = DIRECT_MAP_BASE;
uintptr_t arch_stack_window = STACK_WINDOW_BASE;
uintptr_t arch_io_window = IO_WINDOW_BASE;

static uint32_t lock;

static bool tables_lock(void)
{
    bool irq = arch_irq_save();

    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
        arch_spin_wait();
    return irq;
}

static void tables_unlock(bool irq)
{
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    arch_irq_restore(irq);
}

static uint64_t *table_at(uint64_t entry) { return arch_phys_to_virt(entry & ENTRY_ADDRESS); }

static unsigned index_of(uintptr_t va, unsigned level)
{
    return (va >> (PAGE_SHIFT + 9 * level)) & (ENTRIES - 1);
}

/* The processors read entries at any time. */
static void set(uint64_t *entry, uint64_t value)
{
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static uint64_t *root(void) { return table_at(read_cr3()); }

uint64_t paging_entry_bits(unsigned access)
{
    uint64_t bits = access & (ARCH_READ | ARCH_WRITE | ARCH_EXEC) ? ENTRY_PRESENT : ENTRY_KEPT;

    if (access & ARCH_WRITE)
        bits |= ENTRY_WRITE;
    if (!(access & ARCH_EXEC))
        bits |= ENTRY_NO_EXECUTE;
    if (access & ARCH_UNCACHED)
        bits |= ENTRY_UNCACHED;
    else if (access & ARCH_COMBINED)
        bits |= ENTRY_COMBINED;
    return bits;
}

/*
 * The slot of @va's 4 KiB entry; NULL where a table is missing or a large page lies. With @create
 * missing tables are made, and NULL means out of memory.
 */
static uint64_t *walk(uintptr_t va, bool create)
{
    uint64_t *table = root();

    for (unsigned level = 3; level > 0; level--) {
        uint64_t *entry = &table[index_of(va, level)];
        if (!(*entry & ENTRY_PRESENT)) {
            uint64_t phys = create ? arch_upcalls.table_page() : 0;
            if (!phys)
                return NULL;
            set(entry, phys | ENTRY_PRESENT | ENTRY_WRITE);
        } else if (*entry & ENTRY_LARGE) {
            return NULL;
        }
        table = table_at(*entry);
    }
    return &table[index_of(va, 0)];
}

/*
 * Under the lock. Table after table, so that a large hole costs little. Whether any was present: then
 * TLBs must be flushed.
 */
static bool clear(uintptr_t va, size_t count)
{
    uint64_t seen = 0;

    for (size_t i = 0; i < count;) {
        uint64_t *entry = walk(va + i * PAGE_BYTES, false);
        size_t left_in_table = ENTRIES - index_of(va + i * PAGE_BYTES, 0);
        size_t run = MIN(left_in_table, count - i);
        for (size_t j = 0; entry && j < run; j++) {
            seen |= entry[j];
            set(&entry[j], 0);
        }
        i += run;
    }
    return seen & ENTRY_PRESENT;
}

int arch_map(uintptr_t va, uint64_t phys, size_t count, unsigned access)
{
    uint64_t bits = paging_entry_bits(access);
    bool irq = tables_lock();
    size_t done = 0;

    for (; done < count; done++) {
        uint64_t *entry = walk(va + done * PAGE_BYTES, true);
        if (!entry)
            break;
        set(entry, (phys + done * PAGE_BYTES) | bits);
    }
    if (done < count)
        clear(va, done);
    tables_unlock(irq);
    if (done == count)
        return 0;
    tlb_flush(va, done);
    return -ENOMEM;
}

void arch_unmap(uintptr_t va, size_t count)
{
    bool irq = tables_lock();

    bool flush = clear(va, count);
    tables_unlock(irq);
    if (flush)
        tlb_flush(va, count);
}

void arch_protect(uintptr_t va, size_t count, unsigned access)
{
    uint64_t bits = paging_entry_bits(access);
    uint64_t seen = 0;
    bool irq = tables_lock();

    for (size_t i = 0; i < count;) {
        uint64_t *entry = walk(va + i * PAGE_BYTES, false);
        size_t left_in_table = ENTRIES - index_of(va + i * PAGE_BYTES, 0);
        size_t run = MIN(left_in_table, count - i);
        for (size_t j = 0; entry && j < run; j++) {
            seen |= entry[j];
            if (entry[j] & (ENTRY_PRESENT | ENTRY_KEPT))
                set(&entry[j], (entry[j] & ENTRY_ADDRESS) | bits);
        }
        i += run;
    }
    tables_unlock(irq);
    if (seen & ENTRY_PRESENT)
        tlb_flush(va, count);
}

static unsigned access_of(uint64_t entry)
{
    uint64_t caching = entry & ENTRY_UNCACHED;

    if (!(entry & ENTRY_PRESENT))
        return 0;
    return ARCH_READ | (entry & ENTRY_WRITE ? ARCH_WRITE : 0) |
           (entry & ENTRY_NO_EXECUTE ? 0 : ARCH_EXEC) |
           (caching == ENTRY_COMBINED ? ARCH_COMBINED : caching ? ARCH_UNCACHED : 0);
}

static bool lookup(uintptr_t va, uint64_t *phys, unsigned *access)
{
    uint64_t *table = root();

    for (unsigned level = 3;; level--) {
        uint64_t entry = __atomic_load_n(&table[index_of(va, level)], __ATOMIC_RELAXED);
        bool leaf = level == 0 || (entry & ENTRY_LARGE);
        if (!(entry & ENTRY_PRESENT) && !(level == 0 && (entry & ENTRY_KEPT)))
            return false;
        if (leaf) {
            uint64_t offset_mask = (UINT64_C(1) << (PAGE_SHIFT + 9 * level)) - 1;
            if (phys)
                *phys = (entry & ENTRY_ADDRESS & ~offset_mask) | (va & offset_mask);
            if (access)
                *access = access_of(entry);
            return true;
        }
        table = table_at(entry);
    }
}

bool arch_lookup(uintptr_t va, uint64_t *phys, unsigned *access)
{
    if ((int64_t)(va << 16) >> 16 != (int64_t)va)
        return false;
    bool irq = arch_irq_save();
    bool found = lookup(va, phys, access);
    arch_irq_restore(irq);
    return found;
}

size_t arch_count_tables(uintptr_t va, uint64_t bytes)
{
    size_t count = 0;
    bool irq = tables_lock();

    for (uintptr_t at = va; at - va < bytes;) {
        uint64_t *table = root(), span = 0;
        for (unsigned level = 3; level > 0; level--) {
            uint64_t entry = table[index_of(at, level)];
            span = UINT64_C(1) << (PAGE_SHIFT + 9 * level);
            if (!(entry & ENTRY_PRESENT) || (entry & ENTRY_LARGE))
                break;
            count += at == va || at % span == 0;
            table = table_at(entry);
        }
        at = align_down(at, span) + span;
    }
    tables_unlock(irq);
    return count;
}

static bool table_empty(const uint64_t *table)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        if (table[i])
            return false;
    }
    return true;
}

/* The slot of the entry that points at @va's table of @level; NULL if there is none. */
static uint64_t *slot_of_table(uintptr_t va, unsigned level)
{
    uint64_t *table = root();

    for (unsigned at = 3;; at--) {
        uint64_t *entry = &table[index_of(va, at)];
        if (!(*entry & ENTRY_PRESENT) || (*entry & ENTRY_LARGE))
            return NULL;
        if (at == level + 1)
            return entry;
        table = table_at(*entry);
    }
}

/* Tables taken out, to be freed after the flush; where to go on. */
struct trim {
    uint64_t phys[TRIM_BATCH];
    uint32_t count;
    unsigned level;
    uintptr_t at;
};

/* Takes empty tables of one level out, until the batch is full or @end is reached. Under the lock. */
static void trim_level(struct trim *trim, uintptr_t end)
{
    uint64_t span = UINT64_C(1) << (PAGE_SHIFT + 9 * (trim->level + 1));

    while (trim->at < end && trim->count < TRIM_BATCH) {
        uint64_t *slot = slot_of_table(trim->at, trim->level);
        /* Without the table above, nothing more lies in what that covers. */
        if (!slot && trim->level < 2 && !slot_of_table(trim->at, trim->level + 1)) {
            trim->at = align_up(trim->at + 1, span << 9);
            continue;
        }
        if (slot && table_empty(table_at(*slot))) {
            trim->phys[trim->count++] = *slot & ENTRY_ADDRESS;
            set(slot, 0);
        }
        trim->at += span;
    }
}

/* Level by level from the bottom; returns false when the last one is through. */
static bool trim_some(struct trim *trim, uintptr_t va, uintptr_t end)
{
    bool irq = tables_lock();

    trim->count = 0;
    while (trim->level < 3 && trim->count < TRIM_BATCH) {
        trim_level(trim, end);
        if (trim->at >= end) {
            trim->level++;
            trim->at = align_down(va, UINT64_C(1) << (PAGE_SHIFT + 9 * (trim->level + 1)));
        }
    }
    tables_unlock(irq);
    return trim->level < 3;
}

/*
 * Processors remember tables, not only pages, and may read one until they have flushed; so it is left
 * as it is, empty, until then.
 */
void arch_trim_tables(uintptr_t va, size_t count)
{
    struct trim trim = { .level = 0, .at = align_down(va, MIB(2)) };
    bool more;

    do {
        more = trim_some(&trim, va, va + count * PAGE_BYTES);
        if (trim.count)
            tlb_flush_everywhere();
        for (uint32_t i = 0; i < trim.count; i++)
            arch_upcalls.table_page_free(trim.phys[i]);
    } while (more);
}
