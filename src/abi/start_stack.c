// SPDX-License-Identifier: MIT
/*
 * The initial stack: strings at the top, below them argc, argv, the environment and the auxiliary
 * vector as one array of words, which is made in the heap and copied out.
 */
#include <abi/start_stack.h>

#include <abi/copy.h>
#include <abi/linux.h>
#include <arch/arch.h>
#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/heap.h>

#define AUX_WORDS_MAX 48
#define TICKS_PER_S 100

struct builder {
    uint64_t lowest, at;              /* app addresses: strings grow down from the top to @at */
    uint64_t *words;
    uint32_t count;
    int error;                        /* the first */
};

static uint64_t push_bytes(struct builder *b, const void *bytes, size_t count)
{
    if (b->error)
        return 0;
    if (b->at - b->lowest < count) {
        b->error = -E2BIG;
        return 0;
    }
    b->at -= count;
    b->error = app_copy_out(b->at, bytes, count);
    return b->at;
}

static uint64_t push_string(struct builder *b, const char *text)
{
    return push_bytes(b, text, strlen(text) + 1);
}

static void word(struct builder *b, uint64_t value)
{
    b->words[b->count++] = value;
}

static void aux(struct builder *b, uint64_t type, uint64_t value)
{
    word(b, type);
    word(b, value);
}

static void strings(struct builder *b, const char *const *texts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        word(b, push_string(b, texts[i]));
    word(b, 0);
}

static void auxiliary(struct builder *b, const struct start_info *info)
{
    const struct elf_image *image = info->image;
    uint64_t random[2] = {arch_random(), arch_random()};

    aux(b, AT_PHDR, image->phdr_address + info->bias);
    aux(b, AT_PHENT, ELF_PHDR_BYTES);
    aux(b, AT_PHNUM, image->phdr_count);
    aux(b, AT_PAGESZ, PAGE_BYTES);
    aux(b, AT_BASE, 0);
    aux(b, AT_FLAGS, 0);
    aux(b, AT_ENTRY, image->entry + info->bias);
    aux(b, AT_UID, 0);
    aux(b, AT_EUID, 0);
    aux(b, AT_GID, 0);
    aux(b, AT_EGID, 0);
    aux(b, AT_HWCAP, 0);
    aux(b, AT_CLKTCK, TICKS_PER_S);
    aux(b, AT_SECURE, 0);
    if (info->vdso)
        aux(b, AT_SYSINFO_EHDR, info->vdso);
    aux(b, AT_MINSIGSTKSZ, SIGNAL_STACK_BYTES_MIN);
    aux(b, AT_EXECFN, push_string(b, info->path));
    aux(b, AT_PLATFORM, push_string(b, "x86_64"));
    aux(b, AT_RANDOM, push_bytes(b, random, sizeof(random)));
    aux(b, AT_NULL, 0);
}

int start_stack_build(const struct start_info *info, uint64_t top, uint64_t stack_bytes,
                      uint64_t *rsp)
{
    struct builder b = {.lowest = top - stack_bytes / 2, .at = top};

    b.words = heap_alloc((info->argc + info->envc + 3 + AUX_WORDS_MAX) * sizeof(uint64_t));
    if (!b.words)
        return -ENOMEM;
    word(&b, info->argc);
    strings(&b, info->argv, info->argc);
    strings(&b, info->env, info->envc);
    auxiliary(&b, info);
    uint64_t bytes = b.count * sizeof(uint64_t);
    if (!b.error && b.at - b.lowest < bytes + 16)
        b.error = -E2BIG;
    if (!b.error) {
        *rsp = align_down(b.at - bytes, 16);
        b.error = app_copy_out(*rsp, b.words, bytes);
    }
    heap_free(b.words);
    return b.error;
}
