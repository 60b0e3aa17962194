// SPDX-License-Identifier: MIT
/*
 * Boot parameters. The line is split as GRUB and shells quote it: words at blanks, "…" keeps blanks,
 * a backslash takes the next character as it is. `--` ends the parameters; the rest is the app's.
 * An unknown name or a bad value ends the machine with status 203 and says what is allowed.
 */
#pragma once

#include <lib/types.h>

enum param_type { PARAM_UINT, PARAM_SIZE, PARAM_CHOICE, PARAM_STRING, PARAM_LIST, PARAM_NEED, PARAM_FLAG };

#define PARAM_LIST_MAX 64
#define PARAM_ARGS_MAX 128

struct params {
    uint64_t stack_extra, stack_extra_size, stack_extra_max, stack_size;
    uint64_t stack_need;              /* bytes added; PARAM_NEED_FORCE: every probe switches; _OFF: none does */
    uint64_t stack_grow;              /* enum stack_growth */
    uint64_t disk_timeout;            /* seconds */
    uint64_t mem, cpus, log_level;
    uint64_t stats_ms;                /* 0: no samples */
    const char *app, *cwd;
    const char *mounts[PARAM_LIST_MAX], *env[PARAM_LIST_MAX];
    uint32_t mount_count, env_count;
    const char *args[PARAM_ARGS_MAX];
    uint32_t arg_count;
};
#define PARAM_NEED_FORCE UINT64_MAX
#define PARAM_NEED_OFF (UINT64_MAX - 1)
extern struct params params;

/* Parses boot_info.command_line into `params`; ends the machine on an error and for `help`. */
void params_parse(const char *line);
/* Now that the number of CPUs is known: whether stack.extra on each of them fits; ends the machine if not. */
void params_check_cpus(uint32_t cpus);
/* Prints the effective settings, one line. */
void params_echo(void);
