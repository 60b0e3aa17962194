# SPDX-License-Identifier: MIT
# Benchmarks: nothing of it is part of the default target.
#   bench_guest   static programs that tools/costs boots in the guest
#   bench_stacks  the programs of `./spillway bench stacks`, in <build>/bench; those of packages that are not
#                 installed are left out, and tools/lib/bench.sh says so
if(MUSL_GCC)
    app(bench ${CMAKE_BINARY_DIR}/bench/guest_syscall ${CMAKE_SOURCE_DIR}/tests/bench/guest_syscall.c)
    add_custom_target(bench_guest DEPENDS ${CMAKE_BINARY_DIR}/bench/guest_syscall)
endif()

set(BENCH_C_FLAGS -O2 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-pie -fno-strict-aliasing -fno-common
    -fno-stack-protector -fcf-protection=none -fno-stack-clash-protection -Wall -Wextra -Werror)
set(BENCH_SOURCE ${CMAKE_SOURCE_DIR}/tests/bench)
add_custom_target(bench_stacks)

# bench_program(NAME SOURCE...): <build>/bench/bench_NAME, and part of bench_stacks.
function(bench_program name)
    set(target bench_${name})
    add_executable(${target} EXCLUDE_FROM_ALL ${ARGN})
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench LINKER_LANGUAGE C)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C>:${BENCH_C_FLAGS}>)
    target_link_options(${target} PRIVATE -no-pie -Wl,-z,noexecstack)
    add_dependencies(bench_stacks ${target})
endfunction()

# Our own code, on the host port and without sanitizers.
function(bench_runtime target)
    add_dependencies(${target} gen_headers)
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/src/arch/x86_64
        ${GEN_DIR} ${CMAKE_SOURCE_DIR}/tests/host)
    target_compile_definitions(${target} PRIVATE SPILLWAY_HOST=1)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C>:${BENCH_C_FLAGS}>)
endfunction()

file(GLOB BENCH_RUNTIME CONFIGURE_DEPENDS src/lib/*.c src/arch/host/*.c src/rt/*.c)
set(BENCH_ASM src/arch/x86_64/morestack.asm src/arch/x86_64/probe_thunks.asm)
set(BENCH_RUNTIME_ASM ${HOST_ASM})
list(REMOVE_ITEM BENCH_RUNTIME_ASM ${BENCH_ASM})
add_library(bench_runtime STATIC EXCLUDE_FROM_ALL ${BENCH_RUNTIME} ${BENCH_RUNTIME_ASM} tests/host/support/rt.c)
bench_runtime(bench_runtime)

bench_program(driver ${BENCH_SOURCE}/driver.c)
bench_program(spillway ${BENCH_SOURCE}/spillway.c ${BENCH_SOURCE}/subject.c ${BENCH_ASM})
bench_runtime(bench_spillway)
target_link_libraries(bench_spillway PRIVATE bench_runtime pthread)
bench_program(switch ${BENCH_SOURCE}/switch.c ${BENCH_SOURCE}/subject.c ${BENCH_ASM})
bench_runtime(bench_switch)
target_link_libraries(bench_switch PRIVATE pthread)
bench_program(contexts ${BENCH_SOURCE}/contexts.c ${BENCH_SOURCE}/subject.c)
target_link_libraries(bench_contexts PRIVATE pthread)
bench_program(pools ${BENCH_SOURCE}/pools.c ${BENCH_SOURCE}/subject.c)
target_link_libraries(bench_pools PRIVATE pthread)
target_compile_options(bench_pools PRIVATE -mcx16)
bench_program(split ${BENCH_SOURCE}/split.c ${BENCH_SOURCE}/split_callee.c ${BENCH_SOURCE}/subject.c)
set_source_files_properties(${BENCH_SOURCE}/split_callee.c PROPERTIES COMPILE_OPTIONS -fsplit-stack)
target_link_options(bench_split PRIVATE -fsplit-stack)
target_link_libraries(bench_split PRIVATE pthread)

# bench_peer(NAME HEADER LIBRARY): a program of a package that may be missing.
function(bench_peer name header library)
    find_path(BENCH_${name}_HEADER ${header})
    find_library(BENCH_${name}_LIBRARY ${library})
    if(BENCH_${name}_HEADER AND BENCH_${name}_LIBRARY)
        bench_program(${name} ${BENCH_SOURCE}/${name}.c ${BENCH_SOURCE}/subject.c)
        target_link_libraries(bench_${name} PRIVATE ${BENCH_${name}_LIBRARY} pthread)
    endif()
endfunction()
bench_peer(boost boost/context/fiber.hpp boost_context)
bench_peer(ck ck_stack.h ck)
bench_peer(urcu urcu/lfstack.h urcu-cds)
