// SPDX-License-Identifier: MIT
/*
 * Floating-point and vector state: x87, SSE and AVX, by xsave where the CPU has it, else by fxsave.
 * The kernel itself never uses these registers.
 *
 * Source: Intel SDM volume 1, chapter 13.
 */
#include <x86.h>

#include <lib/string.h>

#define STATE_X87 1u
#define STATE_SSE 2u
#define STATE_AVX 4u

#define LEGACY_BYTES 512u
#define HEADER_BYTES 64u
#define LEGACY_CONTROL 0 /* offset of the x87 control word */
#define LEGACY_MXCSR 24
#define CONTROL_DEFAULT 0x037f
#define MXCSR_DEFAULT 0x1f80
#define MXCSR_SETTABLE 0xffffu

static uint32_t state_mask(void)
{
    return STATE_X87 | STATE_SSE | (x86_features.avx ? STATE_AVX : 0);
}

void fpu_init_cpu(void)
{
    uint32_t bytes = LEGACY_BYTES;

    if (x86_features.xsave) {
        __asm__ volatile("xsetbv" : : "c"(0), "a"(state_mask()), "d"(0));
        bytes = cpuid(0xd, 0).ebx;
    }
    if (!x86_features.fpu_bytes)
        x86_features.fpu_bytes = bytes;
}

size_t arch_fpu_bytes(void) { return x86_features.fpu_bytes; }

void arch_fpu_init(void *area)
{
    uint16_t control = CONTROL_DEFAULT;
    uint32_t mxcsr = MXCSR_DEFAULT;

    memset(area, 0, arch_fpu_bytes());
    memcpy((char *)area + LEGACY_CONTROL, &control, sizeof(control));
    memcpy((char *)area + LEGACY_MXCSR, &mxcsr, sizeof(mxcsr));
}

/* @area holds a state already: the processor leaves the rest of its header alone. */
void fpu_save(void *area)
{
    if (x86_features.xsave)
        __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(state_mask()), "d"(0) : "memory");
    else
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

void arch_fpu_save(void *area)
{
    if (x86_features.xsave)
        memset((char *)area + LEGACY_BYTES, 0, HEADER_BYTES);
    fpu_save(area);
}

/* Bits that are reserved would fault. */
void arch_fpu_load(void *area)
{
    uint64_t *header = (uint64_t *)((char *)area + LEGACY_BYTES);
    uint32_t mxcsr;

    memcpy(&mxcsr, (char *)area + LEGACY_MXCSR, sizeof(mxcsr));
    mxcsr &= MXCSR_SETTABLE;
    memcpy((char *)area + LEGACY_MXCSR, &mxcsr, sizeof(mxcsr));
    if (x86_features.xsave) {
        header[0] &= state_mask();
        memset(&header[1], 0, HEADER_BYTES - sizeof(header[0]));
    }
    fpu_restore(area);
}

void fpu_restore(const void *area)
{
    if (x86_features.xsave)
        __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(state_mask()), "d"(0) : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}
