# SPDX-License-Identifier: MIT
# Generated headers in <build>/gen: version.h, probes.inc, layout.inc and font.inc. Target: gen_headers.
set(GEN_DIR ${CMAKE_BINARY_DIR}/gen)
file(MAKE_DIRECTORY ${GEN_DIR})
set(GEN_HEADERS)

# version.h: SPILLWAY_VERSION, from git when there is a commit to describe, else the project's version.
execute_process(COMMAND git describe --always --dirty
                WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
                OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE
                ERROR_QUIET RESULT_VARIABLE describe_failed)
set(SPILLWAY_VERSION "${PROJECT_VERSION}")
if(NOT describe_failed AND described)
    set(SPILLWAY_VERSION "${PROJECT_VERSION}-${described}")
endif()
file(CONFIGURE OUTPUT ${GEN_DIR}/version.h CONTENT
"// SPDX-License-Identifier: MIT
// Generated when the build was configured.
#define SPILLWAY_VERSION \"@SPILLWAY_VERSION@\"
" @ONLY)

# generated_inc(OUTPUT SOURCE SCRIPT): one awk script turns a C-side list into its NASM form.
function(generated_inc output source script)
    file(GLOB found CONFIGURE_DEPENDS ${source})
    if(NOT found)
        return()
    endif()
    add_custom_command(
        OUTPUT ${GEN_DIR}/${output}
        COMMAND awk -f ${script} ${source} > ${GEN_DIR}/${output}.tmp
        COMMAND ${CMAKE_COMMAND} -E rename ${GEN_DIR}/${output}.tmp ${GEN_DIR}/${output}
        DEPENDS ${source} ${script}
        COMMENT "Generating ${output}" VERBATIM)
    set(GEN_HEADERS ${GEN_HEADERS} ${GEN_DIR}/${output} PARENT_SCOPE)
endfunction()

generated_inc(probes.inc ${CMAKE_SOURCE_DIR}/src/probes.def ${CMAKE_SOURCE_DIR}/tools/gen-probes.awk)
generated_inc(font.inc ${CMAKE_SOURCE_DIR}/src/arch/x86_64/font.txt ${CMAKE_SOURCE_DIR}/tools/gen-font.awk)
generated_inc(layout.inc ${CMAKE_SOURCE_DIR}/src/arch/layout.h ${CMAKE_SOURCE_DIR}/tools/gen-layout.awk)
add_custom_target(gen_headers DEPENDS ${GEN_HEADERS})
