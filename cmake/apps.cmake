# SPDX-License-Identifier: MIT
# Apps: ordinary C programs, linked with musl, static. apps/NAME/*.c makes <build>/apps/NAME; each apps/tests/X.c
# makes <build>/apps/tests/X. What several of them use is apps/common, a library: an app gets of it what it calls, and
# includes <common/X.h>. The same binaries run on Linux.
find_program(MUSL_GCC musl-gcc)
if(NOT MUSL_GCC)
    message(WARNING "musl-gcc was not found (Debian package musl-tools): the apps are left out of this build")
    return()
endif()

# musl has no kernel headers (<linux/loop.h>): lend it the system's, searched last.
set(APP_LINUX_HEADERS ${GEN_DIR}/linux-headers)
file(MAKE_DIRECTORY ${APP_LINUX_HEADERS})
foreach(pair linux=/usr/include/linux asm-generic=/usr/include/asm-generic asm=/usr/include/x86_64-linux-gnu/asm)
    string(REGEX REPLACE "=.*" "" link ${pair})
    string(REGEX REPLACE ".*=" "" folder ${pair})
    file(CREATE_LINK ${folder} ${APP_LINUX_HEADERS}/${link} SYMBOLIC)
endforeach()

set(APP_FLAGS -static -O2 -g -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -pthread
    -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -idirafter ${APP_LINUX_HEADERS})
file(GLOB APP_SHARED_HEADERS CONFIGURE_DEPENDS apps/*.h apps/include/*.h apps/common/*.h)
set(APP_INCLUDES -I${CMAKE_SOURCE_DIR}/apps -I${CMAKE_SOURCE_DIR}/apps/include)
set(APP_COMMON ${CMAKE_BINARY_DIR}/apps/common/libcommon.a)
set(APP_BINARIES)

file(GLOB sources CONFIGURE_DEPENDS apps/common/*.c)
set(objects)
foreach(source ${sources})
    cmake_path(GET source STEM name)
    set(object ${CMAKE_BINARY_DIR}/apps/common/${name}.o)
    add_custom_command(
        OUTPUT ${object}
        COMMAND ${MUSL_GCC} ${APP_FLAGS} ${APP_INCLUDES} -c -o ${object} ${source}
        DEPENDS ${source} ${APP_SHARED_HEADERS}
        COMMENT "Building apps/common/${name}" VERBATIM)
    list(APPEND objects ${object})
endforeach()
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/apps/common)
add_custom_command(
    OUTPUT ${APP_COMMON}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${APP_COMMON}
    COMMAND ${CMAKE_AR} rcsD ${APP_COMMON} ${objects}
    DEPENDS ${objects} VERBATIM)
add_custom_target(app_common DEPENDS ${APP_COMMON})

# app(NAME OUTPUT SOURCE...): one program.
function(app name output)
    file(GLOB headers CONFIGURE_DEPENDS apps/${name}/*.h)
    cmake_path(GET output PARENT_PATH folder)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(
        OUTPUT ${output}
        COMMAND ${MUSL_GCC} ${APP_FLAGS} ${APP_INCLUDES} -o ${output} ${ARGN} ${APP_COMMON}
        DEPENDS ${ARGN} ${headers} ${APP_SHARED_HEADERS} ${APP_COMMON} app_common
        COMMENT "Building app ${name}" VERBATIM)
    set(APP_BINARIES ${APP_BINARIES} ${output} PARENT_SCOPE)
endfunction()

file(GLOB app_folders CONFIGURE_DEPENDS LIST_DIRECTORIES true apps/*)
foreach(folder ${app_folders})
    cmake_path(GET folder FILENAME name)
    if(NOT IS_DIRECTORY ${folder} OR name STREQUAL "tests" OR name STREQUAL "include" OR name STREQUAL "common")
        continue()
    endif()
    file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.c)
    if(sources)
        app(${name} ${CMAKE_BINARY_DIR}/apps/${name} ${sources})
        add_custom_target(app_${name} DEPENDS ${CMAKE_BINARY_DIR}/apps/${name})
    endif()
endforeach()
set(APP_MAIN_BINARIES ${APP_BINARIES})

file(GLOB app_tests CONFIGURE_DEPENDS apps/tests/*.c)
foreach(source ${app_tests})
    cmake_path(GET source STEM name)
    app(tests ${CMAKE_BINARY_DIR}/apps/tests/${name} ${source})
endforeach()
add_custom_target(apps ALL DEPENDS ${APP_BINARIES})
