; SPDX-License-Identifier: MIT
;
; The probes: one thunk for each line of src/probes.def, which is where the list is.
;
;   name(up to six arguments): if the stack in use has NEED bytes left, goes on in name_body as if
;   that had been called; else the body runs on an extra stack (morestack.asm).
;
;       r11     changed; every argument register and the stack are left alone
;
; The comparison is of addresses, unsigned. rsp - NEED cannot wrap: no stack lies at the bottom of
; the address space. A base of all ones (stack.need=force) sends every call to an extra stack. The
; base is per-CPU here but belongs to the thread: a switch carries it along, so being interrupted
; between two of these instructions does no harm.
;
; With NO_PROBES the thunks remain and compare nothing. On the host, frames are several times larger
; because of the sanitizers, so NEED is too.

%include "layout.inc"

%ifdef SPILLWAY_HOST
%define NEED_SCALE 8
%else
%define NEED_SCALE 1
%endif

%assign probe_index 0

%macro PROBE_THUNK 2
extern %1_body
section .text
global %1:function
align 16
%1:
%ifndef NO_PROBES
        lea     r11, [rsp - %2 * NEED_SCALE]
        cmp     r11, [gs:CPU_PROBE_BASE]
        jb      .short
%endif
        jmp     %1_body
%ifndef NO_PROBES
.short:
        mov     r11d, probe_index
        jmp     __morestack
%endif
section .rodata
        dq      %1_body
%assign probe_index probe_index + 1
%endmacro

extern __morestack

section .rodata
global probe_bodies:data
align 8
probe_bodies:

%include "probes.inc"

section .note.GNU-stack noalloc noexec nowrite progbits
