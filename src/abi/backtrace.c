// SPDX-License-Identifier: MIT
/*
 * A backtrace of the app, without relying on frame pointers or tables of unwinding. The words of
 * the stack are read upwards from its pointer. One that points into code, behind a call, is taken
 * for a return address. Those where the chain of frame pointers says there is one are sure; the
 * others may be left over from calls that have returned, and get a '?'.
 *
 * Every word is read by a copy that may fail. A stack that has overflowed, or lost its pointer, is
 * entered where its next mapped page begins.
 */
#include <abi/backtrace.h>

#include <abi/memory.h>
#include <abi/symbols.h>
#include <lib/bits.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/log.h>

#define FRAMES_MAX 32
#define FRAMES_FIRST 24               /* from the stack's pointer on; the others are from its far end */
#define WALK_BYTES KIB(64)            /* how much of a stack is looked at */
#define FAR_END_BYTES KIB(8)
#define NEAR_BYTES KIB(64)            /* how far from the pointer it may begin */
#define NAME_BYTES 64
#define PIECE_WORDS 64

struct app_frame {
    uintptr_t address;                /* as printed: a return address, or where the thread is */
    uintptr_t inside;                 /* an address within the instruction, for the search */
    uint32_t repeats;                 /* of the same address right above it: recursion */
    bool sure, far;                   /* far: there is more between this and the one before */
    struct symbol symbol;             /* of those that may be it, the best so far */
    bool found;
};

static struct {
    struct app_frame frames[FRAMES_MAX];
    uint32_t count, limit;
    bool gap;                         /* the next frame is a far one */
    uintptr_t chain;                  /* where the next saved frame pointer should be; 0: broken */
    uint64_t words[PIECE_WORDS];
    char name[NAME_BYTES];
    struct symbol_reader reader;
} trace;

/* The mapping at @address, or the next above it within @distance. */
static bool find_mapping(uintptr_t address, uint64_t distance, uintptr_t *start, uintptr_t *end,
                         unsigned *access)
{
    mutex_lock(&app_memory.lock);
    const struct vma *vma = vma_find(&app_memory.vmas, address);
    bool found = vma && (vma->start <= address || vma->start - address <= distance);
    while (found && !vma->access && vma_next(vma) && vma_next(vma)->start - address <= distance)
        vma = vma_next(vma);          /* a guard */
    if (found) {
        *start = vma->start;
        *end = vma->end;
        *access = vma->access;
    }
    mutex_unlock(&app_memory.lock);
    return found;
}

static bool is_code(uintptr_t address)
{
    uintptr_t start, end;
    unsigned access;

    return address >= PAGE_BYTES && address < APP_LIMIT &&
           find_mapping(address, 0, &start, &end, &access) && (access & ARCH_EXEC);
}

/* Whether a call ends at @address. */
static bool is_behind_call(uintptr_t address)
{
    uint8_t code[ARCH_CALL_BYTES_MAX];
    enum arch_insn_kind kind;

    if (!is_code(address) || !is_code(address - sizeof(code)) ||
        arch_copy(code, (const void *)(address - sizeof(code)), sizeof(code)))
        return false;
    for (size_t bytes = 2; bytes <= sizeof(code); bytes++)
        if (arch_insn_decode(code + sizeof(code) - bytes, bytes, &kind) == bytes &&
            kind == ARCH_INSN_CALL)
            return true;
    return false;
}

static void add_frame(uintptr_t address, bool called, bool sure)
{
    struct app_frame *frame = &trace.frames[trace.count];

    if (called && !trace.gap && trace.count > 1 && frame[-1].address == address &&
        frame[-1].sure == sure) {
        frame[-1].repeats++;
        return;
    }
    trace.count++;
    memset(frame, 0, sizeof(*frame));
    frame->address = address;
    frame->inside = address - called;
    frame->sure = sure;
    frame->far = trace.gap;
    trace.gap = false;
}

/* The word at @slot of the stack; a chain of frame pointers goes up and only up. */
static void take_word(uintptr_t slot, uint64_t word, uint64_t before)
{
    bool on_chain = trace.chain && slot == trace.chain + sizeof(word);

    if (on_chain)
        trace.chain = before > trace.chain && before % 8 == 0 ? before : 0;
    if (is_behind_call(word))
        add_frame(word, true, on_chain);
    else if (on_chain)
        trace.chain = 0;
}

static void walk_words(uintptr_t from, uintptr_t end)
{
    uint64_t before = 0;

    while (from < end && trace.count < trace.limit) {
        size_t bytes = MIN(sizeof(trace.words), end - from);
        bytes = MIN(bytes, PAGE_BYTES - from % PAGE_BYTES);
        if (arch_copy(trace.words, (const void *)from, bytes)) {
            from = align_down(from, PAGE_BYTES) + PAGE_BYTES;
            continue;                 /* a page that was never touched */
        }
        for (size_t i = 0; i < bytes / 8 && trace.count < trace.limit; i++) {
            take_word(from + i * 8, trace.words[i], before);
            before = trace.words[i];
        }
        from += bytes;
    }
}

/* The stack that @pointer points to, or just misses. */
static bool walk_from(uintptr_t pointer)
{
    uintptr_t start, end;
    unsigned access;

    if (pointer >= APP_LIMIT || !find_mapping(pointer, NEAR_BYTES, &start, &end, &access) ||
        !(access & ARCH_WRITE))
        return false;
    uintptr_t from = align_up(MAX(pointer, start), 8);
    trace.limit = FRAMES_FIRST;
    walk_words(from, end - from > WALK_BYTES ? from + WALK_BYTES : end);
    if (end - from > WALK_BYTES + FAR_END_BYTES) {
        trace.limit = FRAMES_MAX;
        trace.gap = true;
        trace.chain = 0;
        walk_words(end - FAR_END_BYTES, end);
    }
    return true;
}

static void collect(const struct arch_frame *f)
{
    uint64_t word;

    trace.count = 0;
    trace.gap = false;
    trace.chain = f->rbp % 8 == 0 ? f->rbp : 0;
    add_frame(f->rip, false, true);
    /* A call to nowhere, or the first instruction of a function: the caller is on top. */
    bool called = !is_code(f->rip) && f->rsp < APP_LIMIT && f->rsp % 8 == 0 &&
                  !arch_copy(&word, (const void *)f->rsp, sizeof(word)) && is_behind_call(word);
    if (called)
        add_frame(word, true, true);
    if (!walk_from(f->rsp + (called ? sizeof(word) : 0)))
        walk_from(f->rbp);
}

/* Whether @symbol fits @frame better than what it has: one that spans it, else the nearest label. */
static bool is_better(const struct app_frame *frame, const struct symbol *symbol)
{
    if (symbol->address > frame->inside)
        return false;
    bool spans = frame->inside - symbol->address < symbol->bytes;
    if (!spans && symbol->bytes)
        return false;
    if (!frame->found)
        return true;
    bool spanned = frame->symbol.bytes != 0;
    if (spans != spanned)
        return spans;
    return symbol->address > frame->symbol.address;
}

static void find_symbols(void)
{
    struct symbol symbol;

    if (symbols_open(&trace.reader))
        return;
    while (symbols_next(&trace.reader, &symbol)) {
        for (uint32_t i = 0; i < trace.count; i++) {
            struct app_frame *frame = &trace.frames[i];
            if (!is_better(frame, &symbol))
                continue;
            frame->symbol = symbol;
            frame->found = true;
        }
    }
}

static void print_frame(uint32_t number)
{
    const struct app_frame *frame = &trace.frames[number];
    const char *mark = frame->sure ? "" : " ?";

    if (frame->far)
        console_printf("    ... and near the other end of the stack:\n");
    if (frame->found && is_code(frame->address) &&
        symbols_name(&trace.reader, frame->symbol.name, trace.name, sizeof(trace.name)) == 0)
        console_printf("    #%u 0x%lx%s %s+0x%lx\n", number, frame->address, mark, trace.name,
                       frame->address - frame->symbol.address);
    else
        console_printf("    #%u 0x%lx%s\n", number, frame->address, mark);
    if (frame->repeats)
        console_printf("    ... and %u more like it\n", frame->repeats);
}

void backtrace_app(const struct arch_frame *f)
{
    console_printf("  backtrace of the app (with ? what may be left over from earlier calls):\n");
    collect(f);
    find_symbols();
    for (uint32_t i = 0; i < trace.count; i++)
        print_frame(i);
}
