# SPDX-License-Identifier: MIT
# The image: spillway.elf (and spillway.debug beside it). Nothing is built while boot/ has no sources.
#
# It is linked three times. The table of symbols for backtraces needs the addresses of the link it is part of:
#   kernel_pass0  without the table: gives the names, and so the table's size
#   kernel_pass1  with a table of that size: gives the addresses
#   spillway.elf  with the true table; cmake/finish checks that no address moved since pass 1.
file(GLOB KERNEL_SOURCES CONFIGURE_DEPENDS
     boot/*.asm boot/*.c
     src/lib/*.c src/arch/x86_64/*.c src/arch/x86_64/*.asm src/rt/*.c src/block/*.c src/vfs/*.c
     src/abi/*.c src/init/*.c)
file(GLOB_RECURSE KERNEL_TREES CONFIGURE_DEPENDS src/fs/*.c src/drivers/*.c)
if(SPILLWAY_GUEST_TESTS)
    file(GLOB GUEST_TESTS CONFIGURE_DEPENDS tests/guest/*.c)
    list(REMOVE_ITEM KERNEL_SOURCES ${CMAKE_SOURCE_DIR}/src/init/app.c)
    list(APPEND KERNEL_SOURCES ${GUEST_TESTS})
endif()
file(GLOB KERNEL_BOOT CONFIGURE_DEPENDS boot/*.asm)
file(GLOB KERNEL_LD CONFIGURE_DEPENDS boot/kernel.ld)

if(NOT KERNEL_BOOT OR NOT KERNEL_LD)
    message(STATUS "boot/ is empty: the kernel is left out of this build")
    return()
endif()

set(KERNEL_C_FLAGS
    -ffreestanding -fno-pic -no-pie -mno-red-zone -mgeneral-regs-only -mcmodel=kernel
    -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-stack-protector -fcf-protection=none
    -fno-stack-clash-protection -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-strict-aliasing
    -fno-common -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -O2 -g -Wall -Wextra -Wvla -Werror)

add_library(kernel_objects OBJECT ${KERNEL_SOURCES} ${KERNEL_TREES})
add_dependencies(kernel_objects gen_headers)
target_include_directories(kernel_objects PRIVATE
    src boot src/arch/x86_64 ${GEN_DIR})
target_compile_definitions(kernel_objects PRIVATE ${SPILLWAY_DEFINITIONS})
target_compile_options(kernel_objects PRIVATE $<$<COMPILE_LANGUAGE:C>:${KERNEL_C_FLAGS}>)
# The vDSO: an object of its own, linked by itself, which vdso_image.asm takes in as bytes.
set(VDSO_FOLDER ${CMAKE_SOURCE_DIR}/src/arch/x86_64/vdso)
add_custom_command(
    OUTPUT ${GEN_DIR}/vdso.so
    COMMAND ${CMAKE_C_COMPILER} -shared -fPIC -nostdlib -O2 -std=gnu17 -Wall -Wextra -Werror -fno-builtin
            -fvisibility=hidden -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -mgeneral-regs-only
            -Wl,-T,${VDSO_FOLDER}/vdso.ld -Wl,-soname=linux-vdso.so.1 -Wl,--hash-style=both -Wl,--build-id=none
            -Wl,-Bsymbolic -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 -Wl,--strip-all
            -I${CMAKE_SOURCE_DIR}/src -I${CMAKE_SOURCE_DIR}/src/arch/x86_64
            -o ${GEN_DIR}/vdso.so ${VDSO_FOLDER}/vdso.c
    DEPENDS ${VDSO_FOLDER}/vdso.c ${VDSO_FOLDER}/../vdso_data.h ${VDSO_FOLDER}/vdso.ld src/arch/layout.h
    COMMENT "Building the vDSO" VERBATIM)
# The assembler notes the files it includes, but not that the generated ones must exist first.
file(GLOB KERNEL_ASM CONFIGURE_DEPENDS boot/*.asm src/arch/x86_64/*.asm)
set_source_files_properties(${KERNEL_ASM} PROPERTIES OBJECT_DEPENDS "${GEN_HEADERS}")
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/arch/x86_64/vdso_image.asm PROPERTIES
    OBJECT_DEPENDS ${GEN_DIR}/vdso.so)
# memcpy and its kin are written as loops; gcc must not turn those loops back into calls of memcpy.
file(GLOB KERNEL_LIB CONFIGURE_DEPENDS src/lib/*.c)
set_source_files_properties(${KERNEL_LIB} PROPERTIES COMPILE_OPTIONS -fno-tree-loop-distribute-patterns)

# kernel_link(TARGET [SOURCE]...): one link of the kernel's objects.
function(kernel_link target)
    add_executable(${target} $<TARGET_OBJECTS:kernel_objects> ${ARGN})
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE C LINK_DEPENDS ${KERNEL_LD})
    target_link_options(${target} PRIVATE
        -nostdlib -static -no-pie -Wl,-T,${KERNEL_LD} -Wl,--build-id=none
        -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack)
endfunction()

# kernel_symbols(OUTPUT PASS): the table of PASS's symbols, as assembly.
function(kernel_symbols output pass)
    add_custom_command(
        OUTPUT ${GEN_DIR}/${output}
        COMMAND sh ${CMAKE_SOURCE_DIR}/tools/ksyms.sh $<TARGET_FILE:${pass}> ${GEN_DIR}/${output}
        DEPENDS ${pass} ${CMAKE_SOURCE_DIR}/tools/ksyms.sh
        COMMENT "Collecting symbols of ${pass}" VERBATIM)
endfunction()

kernel_link(kernel_pass0)
kernel_symbols(ksyms0.asm kernel_pass0)
kernel_link(kernel_pass1 ${GEN_DIR}/ksyms0.asm)
kernel_symbols(ksyms1.asm kernel_pass1)
kernel_link(spillway.elf ${GEN_DIR}/ksyms1.asm)
add_custom_command(TARGET spillway.elf POST_BUILD
    COMMAND sh ${CMAKE_SOURCE_DIR}/tools/kfinish.sh $<TARGET_FILE:kernel_pass1> $<TARGET_FILE:spillway.elf>
            ${CMAKE_BINARY_DIR}/spillway.debug
    BYPRODUCTS ${CMAKE_BINARY_DIR}/spillway.debug
    VERBATIM)
