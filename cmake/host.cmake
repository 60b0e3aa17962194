# SPDX-License-Identifier: MIT
# The host port: everything that does not touch the CPU, with the real switch assembly, as a library for the tests
# in tests/host, under ASan and UBSan.
file(GLOB HOST_SOURCES CONFIGURE_DEPENDS
     src/lib/*.c src/arch/host/*.c src/rt/*.c src/block/*.c src/vfs/*.c
     src/drivers/ram*.c src/drivers/stacked/*.c)
file(GLOB_RECURSE HOST_FS CONFIGURE_DEPENDS src/fs/*.c)
# Assembly shared with the kernel.
set(HOST_ASM_NAMES morestack context probe_thunks)
# Files of src/abi that do not depend on the CPU; a list, not a glob: most of src/abi does.
set(HOST_ABI)

set(HOST_ASM)
foreach(name ${HOST_ASM_NAMES})
    if(EXISTS ${CMAKE_SOURCE_DIR}/src/arch/x86_64/${name}.asm)
        list(APPEND HOST_ASM src/arch/x86_64/${name}.asm)
    endif()
endforeach()

set(HOST_C_FLAGS
    -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -fno-pie
    -fno-strict-aliasing -fno-common -Wall -Wextra -Wvla -Werror)

# host_target(TARGET): the flags every host object and program shares.
function(host_target target)
    add_dependencies(${target} gen_headers)
    target_include_directories(${target} PRIVATE
        ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/src/arch/x86_64 ${GEN_DIR})
    target_compile_definitions(${target} PRIVATE SPILLWAY_HOST=1 SPILLWAY_FAIL=1 SPILLWAY_LOCK_ORDER=1 ${SPILLWAY_DEFINITIONS})
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C>:${HOST_C_FLAGS}>)
endfunction()

if(HOST_SOURCES OR HOST_FS)
    add_library(spillway_host STATIC EXCLUDE_FROM_ALL ${HOST_SOURCES} ${HOST_FS} ${HOST_ASM} ${HOST_ABI})
    host_target(spillway_host)
    if(HOST_ASM)
        set_source_files_properties(${HOST_ASM} PROPERTIES OBJECT_DEPENDS "${GEN_HEADERS}")
    endif()
endif()
