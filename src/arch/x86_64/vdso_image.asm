; SPDX-License-Identifier: MIT
;
; The linked vDSO (vdso/), as bytes:  const unsigned char x86_vdso_start[], and an address that is its size: x86_vdso_size[]

section .rodata

global x86_vdso_start
global x86_vdso_size
align 16
x86_vdso_start:
        incbin  "vdso.so"
x86_vdso_size equ $ - x86_vdso_start

section .note.GNU-stack noalloc noexec nowrite progbits
