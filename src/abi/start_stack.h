// SPDX-License-Identifier: MIT
/*
 * What a program finds on its stack when it starts. Source: x86-64 psABI 3.4.1, "Initial Stack and
 * Registers".
 */
#pragma once

#include <abi/elf.h>

struct start_info {
    const char *path;
    const char *const *argv, *const *env;
    uint32_t argc, envc;
    const struct elf_image *image;
    uint64_t bias;
    uint64_t vdso;                    /* app address of the vDSO, or 0 */
};

/**
 * start_stack_build() - write arguments, environment and auxiliary vector below @top.
 * @top: the end of the main stack, which is mapped. @rsp: out, what the program starts with.
 * Errors: -E2BIG they do not fit @stack_bytes / 2; -ENOMEM; -EFAULT.
 */
int start_stack_build(const struct start_info *info, uint64_t top, uint64_t stack_bytes,
                      uint64_t *rsp);
