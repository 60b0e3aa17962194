; SPDX-License-Identifier: MIT
;
; Copies between kernel and app memory that may turn out to be unmapped (copy.c). No stack is used between
; the labels x86_copy_start and x86_copy_end; a page fault or a general protection fault there
; resumes at x86_copy_fault (traps.c), which returns -EFAULT.
;
;   int x86_copy(void *dst, const void *src, size_t bytes)     rdi, rsi, rdx
;   int x86_zero(void *dst, size_t bytes)                      rdi, rsi

EFAULT_VALUE    equ 14

section .text

global x86_copy:function
align 16
x86_copy:
        mov     rcx, rdx
        shr     rcx, 3
        and     edx, 7
global x86_copy_start
x86_copy_start:
        rep movsq
        mov     ecx, edx
        rep movsb
        xor     eax, eax
        ret

global x86_zero:function
align 16
x86_zero:
        mov     rcx, rsi
        mov     edx, esi
        xor     eax, eax
        shr     rcx, 3
        and     edx, 7
        rep stosq
        mov     ecx, edx
        rep stosb
global x86_copy_end
x86_copy_end:
        ret

global x86_copy_fault
x86_copy_fault:
        mov     eax, -EFAULT_VALUE
        ret

section .note.GNU-stack noalloc noexec nowrite progbits
