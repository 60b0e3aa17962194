; SPDX-License-Identifier: MIT
;
; Every way into the kernel: interrupts, exceptions, system calls; and into the app.
;
; Each vector has a stub of 16 bytes that makes the CPU's frame whole (error code, vector) and goes
; on to one of two common parts. What lies on the stack then is struct arch_frame, built downwards:
;
;   [rsp+168] ss  rsp  rflags  cs  rip      pushed by the CPU
;   [rsp+128] error                         by the CPU or the stub
;   [rsp+120] vector                        by the stub
;   [rsp+112] rax rcx rdx rbx rbp rsi rdi r8 ... r15    by SAVE_REGISTERS
;   [rsp]     r15
;
; Interrupts use IST 1, which is the frame area of the thread that runs: nothing is pushed on the
; thread's stack. They are handled on the CPU's interrupt stack. Exceptions stay on their own IST
; stack unless they are the app's. Below the frame, two words {caller's rbp, rip} make a link for
; backtraces.
;
; GS always holds the per-CPU area: the app runs in ring 0 and there is no swapgs. `cld` because the
; app may have left the direction flag set.

%include "layout.inc"

extern arch_restore_frame
extern arch_switch_preempted
extern x86_interrupt
extern x86_exception
extern x86_app_fault
extern x86_system_call

VECTOR_IRQ_FIRST        equ 32
VECTOR_SYSCALL          equ 0x100
VECTOR_NMI              equ 2
NMI_CARRY               equ X86_IST_SHIFT / 2
FLAG_IF                 equ 1 << 9

%macro SAVE_REGISTERS 0
        push    rax
        push    rcx
        push    rdx
        push    rbx
        push    rbp
        push    rsi
        push    rdi
        push    r8
        push    r9
        push    r10
        push    r11
        push    r12
        push    r13
        push    r14
        push    r15
%endmacro

section .text

; ---- the stubs -----------------------------------------------------------------------------------

global x86_stubs
align 16
x86_stubs:
%assign vector 0
%rep 256
        align   16
%if vector < 32 && (0x60227d00 >> vector) & 1
        ; 8, 10-14, 17, 21, 29, 30: the CPU has pushed an error code
%else
        push    0
%endif
        push    strict dword vector
%if vector < VECTOR_IRQ_FIRST
        jmp     strict near exception_entry
%else
        jmp     strict near interrupt_entry
%endif
%assign vector vector + 1
%endrep

; ---- interrupts: on IST 1, the running thread's frame area ---------------------------------------

align 16
interrupt_entry:
        cld
        SAVE_REGISTERS
        mov     rbx, rsp                ; struct arch_frame
        mov     rsp, [gs:CPU_IRQ_STACK_TOP]
        push    qword [rbx + FRAME_RIP]
        push    rbp
        mov     rbp, rsp
        mov     rdi, rbx
        call    x86_interrupt           ; struct arch_thread *x86_interrupt(struct arch_frame *)
        test    rax, rax
        jnz     .switch
        mov     rsp, rbx
        jmp     arch_restore_frame
.switch:
        mov     rdi, [gs:CPU_CURRENT]
        mov     qword [rdi + THREAD_PREEMPTED], 1
        mov     rsi, rax
        mov     rsp, [gs:CPU_IRQ_STACK_TOP]
        xor     ebp, ebp
        jmp     arch_switch_preempted

; ---- exceptions: on an IST stack of the vector ---------------------------------------------------

align 16
exception_entry:
        cld
        SAVE_REGISTERS
        mov     rbx, rsp
        push    qword [rbx + FRAME_RIP]
        push    rbp
        mov     rbp, rsp
        mov     rdi, rbx
        call    x86_exception           ; {frame to resume, address}: in rax and rdx
        cmp     rax, rbx
        jne     .app
        cmp     qword [rbx + FRAME_VECTOR], VECTOR_NMI
        je      nmi_exit
        mov     rsp, rbx                ; fixed up: go on from here
        jmp     arch_restore_frame
.app:                                   ; a copy of the frame lies on top of the thread's home stack
        mov     rsp, rax
        mov     rbx, rax
        xor     ebp, ebp
        mov     rdi, rax
        mov     rsi, rdx
        sti
        call    x86_app_fault
        cli
        mov     rsp, rbx
        jmp     arch_restore_frame

; ---- after an interrupt of the app that asked for it (arch_notice): on the home stack, IF is 0 -----

global x86_notice_entry
align 16
x86_notice_entry:
        mov     rbx, rsp                ; the app's struct arch_frame
        xor     ebp, ebp
        mov     rdi, rsp
        xor     esi, esi
        sti
        call    x86_app_fault
        cli
        mov     rsp, rbx
        jmp     arch_restore_frame

; ---- the end of an NMI: still on its IST stack, whose top in the TSS is moved down ---------------
;
; What is left to load when the top moves back up is carried to the middle between the two tops. An
; NMI that comes before the move writes below that, one that comes after it takes the words over
; (traps.c) before its frames reach them.
;
;   [rbx+136] rip cs rflags rsp ss      the frame's end, where the next NMI will push
;   [rbx+136-CARRY] rip cs rflags rsp ss    a copy of it
;   [rbx+128-CARRY] rax

align 16
nmi_exit:
        lea     rsi, [rbx + FRAME_RIP]
        lea     rdi, [rsi - NMI_CARRY]
        mov     rax, [rbx + FRAME_RAX]
        mov     [rdi - 8], rax
        mov     ecx, 5
        rep movsq
        mov     rsp, rbx
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
        lea     rsp, [rsp + FRAME_RIP - FRAME_RAX - NMI_CARRY - 8]
        mov     rax, [gs:CPU_PORT]
        add     qword [rax + X86_NMI_SLOT], X86_IST_SHIFT
global x86_nmi_last_pop
x86_nmi_last_pop:
        pop     rax
global x86_nmi_iretq
x86_nmi_iretq:
        iretq

; ---- system calls: rcx and r11 hold rip and rflags; IF is 0 and DF is 0 by FMASK -----------------

global x86_syscall_entry:function
align 16
x86_syscall_entry:
        mov     [gs:CPU_SCRATCH0], rsp
        mov     rsp, [gs:CPU_HOME_TOP]
        push    KERNEL_DS
        push    qword [gs:CPU_SCRATCH0]
        or      r11d, FLAG_IF           ; in ring 0 the app's popf can clear it; it comes back here at the latest
        push    r11
        push    KERNEL_CS
        push    rcx
        push    0
        push    VECTOR_SYSCALL
        SAVE_REGISTERS
        mov     rdi, rsp
        xor     ebp, ebp
        sti
        call    x86_system_call         ; void x86_system_call(struct arch_frame *)
        cli
        jmp     arch_restore_frame

;   noreturn void arch_enter_app(struct arch_frame *frame)      rdi  frame, on the home stack
global arch_enter_app:function
align 16
arch_enter_app:
        cli
        mov     rsp, rdi
        jmp     arch_restore_frame

section .note.GNU-stack noalloc noexec nowrite progbits
