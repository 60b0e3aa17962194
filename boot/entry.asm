; SPDX-License-Identifier: MIT
;
; From the loader to C. Both protocols enter in 32-bit protected mode, paging off, with a pointer in
; ebx:
;
;   start_multiboot2   eax = 0x36d76289, ebx = multiboot2 information
;   start_pvh          ebx = struct hvm_start_info
;
; Here: check for a 64-bit CPU with NX, map the first 4 GiB three times (at 0, at the direct map, at
; KERNEL_BASE) with 2 MiB pages, enter 64-bit mode, call boot_main(is_pvh, ebx) on the boot stack.
; The tables made here serve until src/arch/x86_64/paging_boot.c has built the real ones; the map at
; 0 is gone then.
;
; Sources: Multiboot2 specification 2.0, 3.1 and 3.3; Xen's PVH boot protocol
; (docs/misc/pvh.pandoc).

extern boot_main
extern boot_tables_phys

MULTIBOOT2_MAGIC        equ 0xe85250d6
MULTIBOOT2_LOADED       equ 0x36d76289
XEN_ELFNOTE_PHYS32_ENTRY equ 18

PAGE_PRESENT_WRITE      equ 0x3
PAGE_LARGE              equ 0x80
BOOT_TABLES             equ 6                   ; PML4, PDPT, four page directories
DIRECT_MAP_SLOT         equ 256                 ; of the PML4: 0xffff800000000000
KERNEL_PDPT_SLOT        equ 510                 ; of the PDPT: KERNEL_BASE

MSR_EFER                equ 0xc0000080
EFER_LME_NXE            equ (1 << 8) | (1 << 11)
CR0_PG_WP_MP_PE         equ (1 << 31) | (1 << 16) | (1 << 1) | 1
CR4_PAE                 equ 1 << 5

section .multiboot2 progbits alloc noexec nowrite align=8
multiboot2_header:
        dd      MULTIBOOT2_MAGIC
        dd      0                               ; i386, protected mode
        dd      multiboot2_header_end - multiboot2_header
        dd      -(MULTIBOOT2_MAGIC + multiboot2_header_end - multiboot2_header) & 0xffffffff
        align   8
        dw      4, 1                            ; consoles, optional: text is known
        dd      12, 2
        align   8
        dw      5, 1                            ; framebuffer, optional: any size, any depth
        dd      20, 0, 0, 0
        align   8
        dw      0, 0                            ; end of the tags
        dd      8
multiboot2_header_end:

section .note.pvh progbits alloc noexec nowrite align=4
        dd      4                               ; name
        dd      4                               ; descriptor
        dd      XEN_ELFNOTE_PHYS32_ENTRY
        db      "Xen", 0
        dd      start_pvh

section .boot progbits alloc exec nowrite align=16
bits 32

global start_multiboot2:function
start_multiboot2:
        cli
        cld
        cmp     eax, MULTIBOOT2_LOADED
        mov     edi, 0
        je      start_32
        mov     esi, text_no_loader
        jmp     refuse

global start_pvh:function
start_pvh:
        cli
        cld
        mov     edi, 1

; edi: 1 for PVH; ebx: the loader's information. No stack is used before 64-bit mode.
start_32:
        mov     ebp, ebx
        mov     eax, 0x80000000
        cpuid
        cmp     eax, 0x80000001
        jb      no_64_bit
        mov     eax, 0x80000001
        cpuid
        bt      edx, 29                         ; long mode
        jnc     no_64_bit
        bt      edx, 20                         ; NX
        jnc     no_64_bit

        ; The tables are zeroed here: not every loader of old did it for .bss.
        mov     edx, edi
        mov     edi, boot_tables_phys
        xor     eax, eax
        mov     ecx, BOOT_TABLES * 1024
        rep stosd

        mov     edi, boot_tables_phys
        lea     eax, [edi + 0x1000 + PAGE_PRESENT_WRITE]
        mov     [edi], eax
        mov     [edi + DIRECT_MAP_SLOT * 8], eax
        mov     [edi + 511 * 8], eax
        lea     eax, [edi + 0x2000 + PAGE_PRESENT_WRITE]
        mov     [edi + 0x1000 + KERNEL_PDPT_SLOT * 8], eax
        xor     ecx, ecx
.directories:
        mov     [edi + 0x1000 + ecx * 8], eax
        add     eax, 0x1000
        inc     ecx
        cmp     ecx, 4
        jb      .directories
        mov     eax, PAGE_PRESENT_WRITE | PAGE_LARGE
        xor     ecx, ecx
.pages:
        mov     [edi + 0x2000 + ecx * 8], eax
        add     eax, 0x200000
        inc     ecx
        cmp     ecx, 2048
        jb      .pages

        mov     eax, CR4_PAE
        mov     cr4, eax
        mov     cr3, edi
        mov     edi, edx
        mov     ecx, MSR_EFER
        rdmsr
        or      eax, EFER_LME_NXE
        wrmsr
        mov     eax, CR0_PG_WP_MP_PE
        mov     cr0, eax
        lgdt    [boot_gdt_pointer]
        jmp     0x08:start_64

no_64_bit:
        mov     esi, text_no_64_bit

; esi: text; to the first serial port, then for ever to sleep.
refuse:
        mov     dx, 0x3f8
.next:
        lodsb
        test    al, al
        jz      .halt
        out     dx, al
        jmp     .next
.halt:
        cli
        hlt
        jmp     .halt

bits 64
start_64:
        xor     eax, eax
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     fs, eax
        mov     gs, eax
        mov     rsp, boot_stack_top
        mov     esi, ebp
        xor     ebp, ebp
        push    0                               ; no return address: a backtrace ends here
        mov     rax, boot_main
        jmp     rax

        align   8
boot_gdt:
        dq      0
        dq      0x00af9a000000ffff              ; 0x08: 64-bit code
        dq      0x00cf92000000ffff              ; 0x10: data
boot_gdt_pointer:
        dw      boot_gdt_pointer - boot_gdt - 1
        dd      boot_gdt

text_no_loader:
        db      "spillway: not started by a multiboot2 loader", 13, 10, 0
text_no_64_bit:
        db      "spillway: this CPU has no 64-bit mode with NX", 13, 10, 0

; The boot stack: the CPU's idle thread stays on it. Its guard pages are left out of the final page
; tables.
BOOT_STACK_BYTES        equ 16384

section .bss.pages nobits alloc noexec write align=4096
global boot_tables
boot_tables:
        resb    BOOT_TABLES * 4096
global boot_stack_guard_low
boot_stack_guard_low:
        resb    4096
global boot_stack_base
boot_stack_base:
        resb    BOOT_STACK_BYTES
global boot_stack_top
boot_stack_top:
global boot_stack_guard_high
boot_stack_guard_high:
        resb    4096

section .note.GNU-stack noalloc noexec nowrite progbits
