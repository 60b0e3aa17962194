// SPDX-License-Identifier: MIT
/*
 * How long an instruction is: arch_insn_decode(). A table for each opcode map says what follows the
 * opcode; no operand is understood. Instructions that no program can execute (those of a kernel)
 * count as none, for where they turn up it is data that is being decoded.
 *
 * Knows 64-bit mode with legacy, REX, VEX and EVEX prefixes; not XOP, 3DNow!, REX2.
 * Source: Intel SDM volume 2, chapter 2 and appendix A.
 */
#include <arch/arch.h>
#include <lib/bits.h>

#define INSN_BYTES_MAX 15

/* What follows an opcode. */
enum {
    X = 0x80,                         /* not an instruction of a program */
    P = 0x40,                         /* prefix or escape: handled before the table is asked */
    M = 0x01,                         /* ModRM, with all that it brings */
    B = 0x02,                         /* one byte */
    W = 0x04,                         /* two bytes */
    Z = 0x08,                         /* four bytes, or two after an operand-size prefix */
    Q = 0x10,                         /* as Z, eight after REX.W */
    A = 0x20,                         /* an address: eight bytes, or four */
};

static const uint8_t one_byte[256] = {
    M, M, M, M, B, Z, X, X, M, M, M, M, B, Z, X, P, /* 00 */
    M, M, M, M, B, Z, X, X, M, M, M, M, B, Z, X, X, /* 10 */
    M, M, M, M, B, Z, P, X, M, M, M, M, B, Z, P, X, /* 20 */
    M, M, M, M, B, Z, P, X, M, M, M, M, B, Z, P, X, /* 30 */
    P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, /* 40 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 50 */
    X, X, P, M, P, P, P, P, Z, M | Z, B, M | B, X, X, X, X, /* 60 */
    B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, /* 70 */
    M | B, M | Z, X, M | B, M, M, M, M, M, M, M, M, M, M, M, M, /* 80 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, X, 0, 0, 0, 0, 0, /* 90 */
    A, A, A, A, 0, 0, 0, 0, B, Z, 0, 0, 0, 0, 0, 0, /* a0 */
    B, B, B, B, B, B, B, B, Q, Q, Q, Q, Q, Q, Q, Q, /* b0 */
    M | B, M | B, W, 0, P, P, M | B, M | Z, W | B, 0, X, X, 0, B, X, X, /* c0 */
    M, M, M, M, X, X, X, 0, M, M, M, M, M, M, M, M, /* d0 */
    B, B, B, B, X, X, X, X, Z, Z, X, B, X, X, X, X, /* e0 */
    P, X, P, P, 0, 0, M, M, 0, 0, X, X, 0, 0, M, M, /* f0 */
};

/* After 0f. */
static const uint8_t two_byte[256] = {
    X, M, M, M, X, 0, X, X, X, X, X, 0, X, M, X, X, /* 00 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, /* 10 */
    X, X, X, X, X, X, X, X, M, M, M, M, M, M, M, M, /* 20 */
    X, 0, X, X, X, X, X, X, P, X, P, X, X, X, X, X, /* 30 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, /* 40 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, /* 50 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, /* 60 */
    M | B, M | B, M | B, M | B, M, M, M, 0, X, X, X, X, M, M, M, M, /* 70 */
    Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, /* 80 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, /* 90 */
    0, 0, 0, M, M | B, M, X, X, 0, 0, X, M, M | B, M, M, M, /* a0 */
    M, M, M, M, M, M, M, M, M, M, M | B, M, M, M, M, M, /* b0 */
    M, M, M | B, M, M | B, M | B, M | B, M, 0, 0, 0, 0, 0, 0, 0, 0, /* c0 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, /* d0 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, /* e0 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, /* f0 */
};

enum map { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_5 = 5, MAP_6 = 6 };

struct decoding {
    const uint8_t *code;
    size_t bytes, at;
    bool narrow, short_address;       /* prefixes 66, 67 */
    bool repeat, rex, wide, vector;   /* f2 or f3; REX; REX.W; VEX or EVEX */
    unsigned map;
    uint8_t opcode;
};

static bool take_prefixes(struct decoding *d)
{
    for (; d->at < d->bytes; d->at++) {
        uint8_t byte = d->code[d->at];
        if (byte == 0x66)
            d->narrow = true;
        else if (byte == 0x67)
            d->short_address = true;
        else if (byte == 0xf2 || byte == 0xf3)
            d->repeat = true;
        else if (byte != 0xf0 && byte != 0x64 && byte != 0x65 && (byte & 0xe7) != 0x26)
            break;
    }
    if (d->at < d->bytes && (d->code[d->at] & 0xf0) == 0x40) {
        d->rex = true;
        d->wide = d->code[d->at] & 8;
        d->at++;
    }
    return d->at < d->bytes;
}

/* VEX (c5, c4) or EVEX (62), whose own bytes name the map. */
static bool take_vector_prefix(struct decoding *d, uint8_t first)
{
    unsigned payload = first == 0xc5 ? 1 : first == 0xc4 ? 2 : 3;

    if (d->narrow || d->repeat || d->rex || d->at + payload >= d->bytes)
        return false;
    d->vector = true;
    uint8_t selector = d->code[d->at];
    d->map = first == 0xc5 ? MAP_0F : first == 0xc4 ? selector & 0x1f : selector & 7;
    d->at += payload;
    d->opcode = d->code[d->at++];
    if (first == 0x62)
        return d->map != MAP_ONE && d->map != 4 && d->map <= MAP_6;
    return d->map >= MAP_0F && d->map <= MAP_0F3A;
}

static bool take_opcode(struct decoding *d)
{
    d->opcode = d->code[d->at++];
    if (d->opcode == 0xc4 || d->opcode == 0xc5 || d->opcode == 0x62)
        return take_vector_prefix(d, d->opcode);
    if (d->opcode != 0x0f)
        return true;
    d->map = MAP_0F;
    if (d->at == d->bytes)
        return false;
    d->opcode = d->code[d->at++];
    if (d->opcode != 0x38 && d->opcode != 0x3a)
        return true;
    d->map = d->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
    if (d->at == d->bytes)
        return false;
    d->opcode = d->code[d->at++];
    return true;
}

static uint8_t what_follows(const struct decoding *d)
{
    if (d->map == MAP_ONE)
        return one_byte[d->opcode];
    if (d->map == MAP_0F3A)
        return M | B;
    if (d->map != MAP_0F)
        return M;
    if (!d->vector)
        return two_byte[d->opcode];
    /* What has no ModRM in the old map has one here, but for vzeroupper. */
    return d->opcode == 0x77 ? 0 : M | (two_byte[d->opcode] & B);
}

/* Of the groups that a second opcode field divides: what a program cannot execute. */
static bool is_refused_group(const struct decoding *d, uint8_t modrm)
{
    unsigned field = modrm >> 3 & 7;

    if (d->map == MAP_0F && d->opcode == 0x01 && !d->vector)  /* xgetbv, xend, xtest, rdtscp, PKRU */
        return modrm != 0xd0 && modrm != 0xd5 && modrm != 0xd6 && modrm != 0xf9 &&
               modrm != 0xee && modrm != 0xef;
    if (d->map != MAP_ONE)
        return false;
    if (d->opcode == 0xff)            /* far calls and jumps */
        return field == 3 || field == 5 || field == 7;
    if (d->opcode == 0xfe)
        return field > 1;
    return d->opcode == 0x8f && field != 0;
}

/* Bytes of SIB and displacement behind ModRM; 0 with *@ok false if they are cut off. */
static size_t modrm_tail(const struct decoding *d, uint8_t modrm, bool *ok)
{
    unsigned mod = modrm >> 6, rm = modrm & 7;
    size_t sib = mod != 3 && rm == 4;

    *ok = !sib || d->at < d->bytes;
    if (mod == 3 || !*ok)
        return 0;
    unsigned base = sib ? d->code[d->at] & 7 : rm;
    size_t displacement = mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0;
    return sib + displacement;
}

static size_t immediate_bytes(const struct decoding *d, uint8_t follows, uint8_t modrm)
{
    size_t wide = d->narrow && !d->wide ? 2 : 4, count = 0;

    if (d->map == MAP_ONE && (d->opcode & 0xfe) == 0xf6 && (modrm >> 3 & 7) < 2)
        return d->opcode == 0xf6 ? 1 : wide;  /* test */
    count += follows & B ? 1 : 0;
    count += follows & W ? 2 : 0;
    count += follows & Z ? wide : 0;
    count += follows & Q ? (d->wide ? 8 : wide) : 0;
    count += follows & A ? (d->short_address ? 4 : 8) : 0;
    return count;
}

static enum arch_insn_kind kind_of(const struct decoding *d, uint8_t modrm)
{
    if (d->map != MAP_ONE)
        return ARCH_INSN_PLAIN;
    if (d->opcode == 0xe8 || (d->opcode == 0xff && (modrm >> 3 & 7) == 2))
        return ARCH_INSN_CALL;
    return d->opcode == 0xf4 && d->at == 1 ? ARCH_INSN_HALT : ARCH_INSN_PLAIN;
}

unsigned arch_insn_decode(const uint8_t *code, size_t bytes, enum arch_insn_kind *kind)
{
    struct decoding d = {.code = code, .bytes = MIN(bytes, (size_t)INSN_BYTES_MAX)};
    uint8_t modrm = 0;
    bool ok = true;

    if (!take_prefixes(&d) || !take_opcode(&d))
        return 0;
    uint8_t follows = what_follows(&d);
    if (follows & (X | P))
        return 0;
    /* Near branches with an operand-size prefix: makers of CPUs differ. */
    bool near_branch = (d.map == MAP_ONE && (d.opcode & 0xfe) == 0xe8) ||
                       (d.map == MAP_0F && (d.opcode & 0xf0) == 0x80 && !d.vector);
    if (near_branch && d.narrow && !d.wide)
        return 0;
    *kind = ARCH_INSN_PLAIN;
    if (follows & M) {
        if (d.at == d.bytes)
            return 0;
        modrm = code[d.at++];
        if (is_refused_group(&d, modrm))
            return 0;
    }
    *kind = kind_of(&d, modrm);
    size_t tail = follows & M ? modrm_tail(&d, modrm, &ok) : 0;
    size_t total = d.at + tail + immediate_bytes(&d, follows, modrm);
    return ok && total <= d.bytes ? (unsigned)total : 0;
}
