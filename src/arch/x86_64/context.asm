; SPDX-License-Identifier: MIT
;
; The thread switch. Shared with the host port, where no thread is ever preempted.
;
;   void arch_switch(struct arch_thread *prev, struct arch_thread *next)
;       rdi  prev       rsi  next       interrupts off
;
; What a thread that switched away leaves on its stack; THREAD_RSP points at the last word:
;
;   return address | rbp | rbx | r12 | r13 | r14 | r15 | rflags
;
; Between the two threads the code runs on the CPU's interrupt stack, so that arch_switched() may
; let another CPU have `prev`. That stack is empty before and after.
;
;   noreturn void arch_switch_preempted(struct arch_thread *prev, struct arch_thread *next)
;       the same for a thread whose registers are in its frame: called on the interrupt stack,
;       saves nothing.
;
;   arch_restore_frame (jumped to)
;       rsp  struct arch_frame; loads all of it. The instruction at arch_iretq may fault on an
;       app's bad frame and is known to the fault handler by its address.

%include "layout.inc"

extern arch_switched

section .text

global arch_switch:function
align 16
arch_switch:
        push    rbp
        mov     rbp, rsp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        pushfq
        mov     [rdi + THREAD_RSP], rsp
        mov     rsp, [gs:CPU_IRQ_STACK_TOP]
        xor     ebp, ebp                ; prev's frames are not ours to walk from here on

global arch_switch_preempted:function
arch_switch_preempted:
        and     rsp, -16
        push    rsi
        push    rsi
        call    arch_switched
        pop     rsi
        cmp     qword [rsi + THREAD_PREEMPTED], 0
        jne     .preempted

        mov     rsp, [rsi + THREAD_RSP]
        popfq
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret

.preempted:
        mov     qword [rsi + THREAD_PREEMPTED], 0
        lea     rsp, [rsi + THREAD_FRAME]

global arch_restore_frame:function
arch_restore_frame:
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     r11
        pop     r10
        pop     r9
        pop     r8
        pop     rdi
        pop     rsi
        pop     rbp
        pop     rbx
        pop     rdx
        pop     rcx
        pop     rax
        add     rsp, 16                 ; vector and error
global arch_iretq:function
arch_iretq:
        iretq

section .note.GNU-stack noalloc noexec nowrite progbits
