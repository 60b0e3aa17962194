; SPDX-License-Identifier: MIT
;
; Where every processor but the first begins. src/arch/x86_64/smp.c copies boot_trampoline to a page
; below 1 MiB, fills in the fields at its start (struct trampoline there), and sends that page's
; number. The processor enters at offset 0 in real mode: cs = page / 16, ip = 0. From real mode it
; goes to 64-bit mode in one step, with the kernel's page tables, in which the page is mapped at its
; physical address, readable and executable; so the descriptors have their "accessed" bit set.
;
; It reads two words of the image, and writes the first:
;
;   struct arch_cpu *x86_starting       whose processor this is; taken by exchange with NULL
;   uintptr_t x86_starting_stack        its stack
;
; Source: Intel SDM volume 3, 8.4.3 and 9.8.5.

%include "layout.inc"

extern x86_starting
extern x86_starting_stack
extern x86_ap_main

MSR_EFER                equ 0xc0000080
EFER_LME_NXE            equ (1 << 8) | (1 << 11)
CR0_PG_WP_NE_ET_MP_PE   equ (1 << 31) | (1 << 16) | (1 << 5) | (1 << 4) | (1 << 1) | 1
CR4_PAE                 equ 1 << 5

%define OFFSET(label)   ((label) - boot_trampoline)

section .rodata progbits alloc noexec nowrite align=16

global boot_trampoline
boot_trampoline:
bits 16
        jmp     short .start
.gdt_limit:
        dw      boot_trampoline_gdt_end - boot_trampoline_gdt - 1
        dd      0                               ; gdt_base
.cr3:
        dd      0
.entry:
        dd      0                               ; entry_offset
        dw      0                               ; entry_selector

.start:
        cli
        cld
        mov     ax, cs
        mov     ds, ax
        o32 lgdt [OFFSET(.gdt_limit)]
        mov     eax, CR4_PAE
        mov     cr4, eax
        mov     eax, [OFFSET(.cr3)]
        mov     cr3, eax
        mov     ecx, MSR_EFER
        rdmsr
        or      eax, EFER_LME_NXE
        wrmsr
        mov     eax, CR0_PG_WP_NE_ET_MP_PE
        mov     cr0, eax
        jmp     dword far [OFFSET(.entry)]

bits 64
global boot_trampoline_64
boot_trampoline_64:
        mov     rax, x86_ap_entry
        jmp     rax

        align   8
global boot_trampoline_gdt
boot_trampoline_gdt:
        dq      0
        dq      0x00af9b000000ffff              ; KERNEL_CS: 64-bit code
        dq      0x00cf93000000ffff              ; KERNEL_DS: data
boot_trampoline_gdt_end:
global boot_trampoline_end
boot_trampoline_end:

section .text

;   noreturn x86_ap_entry       jumped to; no stack yet, interrupts off
global x86_ap_entry:function
align 16
x86_ap_entry:
        xor     eax, eax
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     fs, eax
        mov     gs, eax
        xchg    rax, [x86_starting]
        test    rax, rax
        jz      .late
        mov     rsp, [x86_starting_stack]
        xor     ebp, ebp
        push    0                               ; no return address: a backtrace ends here
        mov     rdi, rax
        jmp     x86_ap_main                     ; noreturn void x86_ap_main(struct arch_cpu *)
.late:
        cli
        hlt
        jmp     .late

section .note.GNU-stack noalloc noexec nowrite progbits
