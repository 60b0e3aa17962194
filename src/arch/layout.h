/* SPDX-License-Identifier: MIT */
/*
 * Offsets and constants that C and the assembly share. The build turns each line "#define NAME value"
 * into "%define NAME value" for NASM, so: one number a line. The C side asserts every offset
 * (src/arch/arch.h), so a wrong one does not compile.
 */
#pragma once

/* struct arch_cpu, reached through GS */
#define CPU_SELF 0
#define CPU_PROBE_BASE 8
#define CPU_CURRENT 16
#define CPU_SCRATCH0 24
#define CPU_SCRATCH1 32
#define CPU_HOME_TOP 40
#define CPU_IRQ_STACK_TOP 48
#define CPU_INDEX 56
#define CPU_PORT 64

/* struct arch_thread; FRAME_END is what IST 1 of the task state segment points at */
#define THREAD_RSP 0
#define THREAD_PREEMPTED 8
#define THREAD_FRAME 48
#define THREAD_FRAME_END 224

/* struct arch_frame */
#define FRAME_BYTES 176
#define FRAME_RAX 112
#define FRAME_VECTOR 120
#define FRAME_ERROR 128
#define FRAME_RIP 136
#define FRAME_CS 144
#define FRAME_RFLAGS 152
#define FRAME_RSP 160
#define FRAME_SS 168

#define KERNEL_CS 0x08
#define KERNEL_DS 0x10

/* x86_64: struct x86_cpu, reached through CPU_PORT, and how far its IST slots move */
#define X86_NMI_SLOT 60
#define X86_IST_SHIFT 2048

#define EIO_VALUE 5
