; SPDX-License-Identifier: MIT
;
; The slow path of a probe: the probed function goes on on an extra stack.
;
;   signed __morestack(up to six arguments)     not called, jumped to by a thunk (probe_thunks.asm)
;       r11d    index of the probe
;       others  as the probed function was called: rdi rsi rdx rcx r8 r9, return address at [rsp]
;   returns what the body returned, or -EIO when no stack was left; then nothing has happened.
;
; Old stack, from the return address down:          New stack:
;
;   [rbp+8]   return address (the caller's)           top       xstack_take's result, 16-aligned
;   [rbp]     the caller's rbp                        [top-8]   return address into __morestack
;   [rbp-8]   rdi; later the body's result            ...       the body pushes rbp: the chain of
;   [rbp-16]  rsi                                               frames leads to the old stack
;   [rbp-24]  rdx
;   [rbp-32]  rcx
;   [rbp-40]  r8
;   [rbp-48]  r9
;   [rbp-56]  index of the probe
;   [rbp-64]  (alignment)
;
; It uses 72 bytes of the old stack (below the caller's return address), and 8 more for each of its
; calls of xstack_take and xstack_give, plus what those two use.
;
; The symbol is named __morestack because gdb lets a backtrace cross to a stack at any address only
; below a function of that name. It keeps an rbp frame and pairs every call with a ret. xstack_take
; and xstack_give set the base that probes compare with; no probe lies between that and the change
; of rsp.

%include "layout.inc"

extern probe_bodies
extern xstack_take
extern xstack_give

section .text

global __morestack:function
align 16
__morestack:
        push    rbp
        mov     rbp, rsp
        push    rdi
        push    rsi
        push    rdx
        push    rcx
        push    r8
        push    r9
        push    r11
        sub     rsp, 8
        mov     edi, r11d
        call    xstack_take
        test    rax, rax
        jz      .refused

        mov     rdi, [rbp - 8]
        mov     rsi, [rbp - 16]
        mov     rdx, [rbp - 24]
        mov     rcx, [rbp - 32]
        mov     r8, [rbp - 40]
        mov     r9, [rbp - 48]
        mov     r11, [rbp - 56]
        mov     rsp, rax
        call    [probe_bodies + r11 * 8]
        lea     rsp, [rbp - 64]

        mov     [rbp - 8], rax
        call    xstack_give
        mov     rax, [rbp - 8]
        leave
        ret

.refused:
        mov     rax, -EIO_VALUE
        leave
        ret

section .note.GNU-stack noalloc noexec nowrite progbits
