// SPDX-License-Identifier: MIT
/* The table of boot parameters, and the parser that trusts nothing. */
#include <rt/param.h>

#include <lib/errno.h>
#include <lib/format.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/log.h>
#include <rt/machine.h>
#include <rt/xstack.h>

#define LINE_BYTES_MAX 4096u
#define CPUS_SUPPORTED 64u
#define GROWN_STACK_BYTES KIB(16)     /* stack.size with stack.grow, unless it is given */

struct params params;

struct param_def {
    const char *name;
    enum param_type type;
    const char *text_default;         /* parsed like a given value; NULL: none */
    uint64_t min, max, step;          /* PARAM_UINT, PARAM_SIZE, PARAM_NEED */
    const char *const *choices;       /* PARAM_CHOICE: NULL-terminated; the value is the index */
    uint64_t *value;
    const char **string;              /* PARAM_STRING; PARAM_LIST: the array */
    uint32_t *count;                  /* PARAM_LIST */
    const char *form;                 /* PARAM_LIST: what a value looks like */
    const char *what;
};

static const char *const policies[] = {"eio", NULL};
static const char *const growths[] = {"off", "fault", "prefill", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static uint64_t policy, help;
static bool extra_given, size_given;

static const struct param_def defs[] = {
    {.name = "stack.extra", .type = PARAM_UINT, .text_default = "64", .max = 65536,
     .value = &params.stack_extra, .what = "extra stacks made for each CPU at boot"},
    {.name = "stack.extra_size", .type = PARAM_SIZE, .text_default = "4K", .min = KIB(4),
     .max = KIB(64), .step = KIB(4), .value = &params.stack_extra_size,
     .what = "bytes of an extra stack"},
    {.name = "stack.extra_max", .type = PARAM_UINT, .text_default = "1024", .max = 65536,
     .value = &params.stack_extra_max, .what = "most extra stacks, all CPUs together"},
    {.name = "stack.size", .type = PARAM_SIZE, .text_default = "4K", .min = KIB(4), .max = KIB(64),
     .step = KIB(4), .value = &params.stack_size, .what = "bytes of a thread's home stack"},
    {.name = "stack.policy", .type = PARAM_CHOICE, .text_default = "eio", .choices = policies,
     .value = &policy, .what = "what a probe does when no extra stack is left"},
    {.name = "stack.grow", .type = PARAM_CHOICE, .text_default = "off", .choices = growths,
     .value = &params.stack_grow,
     .what = "whether home stacks start with one page and grow to stack.size (then 16K)"},
    {.name = "stack.need", .type = PARAM_NEED, .text_default = "auto", .max = KIB(64),
     .value = &params.stack_need,
     .what = "bytes demanded at every probe beyond its own need; force: every probe switches; off: none"},
    {.name = "app", .type = PARAM_STRING, .string = &params.app, .what = "the program to run"},
    {.name = "mount", .type = PARAM_LIST, .string = params.mounts, .count = &params.mount_count,
     .form = "SOURCE:DIR[:TYPE]", .what = "SOURCE:DIR[:TYPE], mounted before the app starts; repeatable"},
    {.name = "env", .type = PARAM_LIST, .string = params.env, .count = &params.env_count,
     .form = "NAME=VALUE", .what = "NAME=VALUE for the app's environment; repeatable"},
    {.name = "cwd", .type = PARAM_STRING, .text_default = "/", .string = &params.cwd,
     .what = "the app's first current directory"},
    {.name = "disk.timeout", .type = PARAM_UINT, .text_default = "30", .min = 1, .max = 3600,
     .value = &params.disk_timeout, .what = "seconds until a disk that does not answer is given up"},
    {.name = "mem", .type = PARAM_SIZE, .min = MIB(4), .max = GIB(1024), .step = KIB(4),
     .value = &params.mem, .what = "use at most this much memory"},
    {.name = "cpus", .type = PARAM_UINT, .text_default = "64", .min = 1, .max = CPUS_SUPPORTED,
     .value = &params.cpus, .what = "use at most this many CPUs"},
    {.name = "log", .type = PARAM_CHOICE, .text_default = "info", .choices = log_levels,
     .value = &params.log_level, .what = "the least important log lines to show"},
    {.name = "stats", .type = PARAM_UINT, .min = 1, .max = 3600000, .value = &params.stats_ms,
     .what = "milliseconds between samples of the extra stacks, written to port 0xe9"},
    {.name = "help", .type = PARAM_FLAG, .value = &help, .what = "list the parameters, then end"},
};

/* ---- messages ---- */

static void describe_size(struct strbuf *out, uint64_t bytes)
{
    if (bytes && bytes % GIB(1) == 0)
        strbuf_printf(out, "%luG", (unsigned long)(bytes >> 30));
    else if (bytes && bytes % MIB(1) == 0)
        strbuf_printf(out, "%luM", (unsigned long)(bytes >> 20));
    else if (bytes && bytes % KIB(1) == 0)
        strbuf_printf(out, "%luK", (unsigned long)(bytes >> 10));
    else
        strbuf_printf(out, "%lu", (unsigned long)bytes);
}

static void describe_allowed(const struct param_def *def, struct strbuf *out)
{
    switch (def->type) {
    case PARAM_UINT:
        strbuf_printf(out, "a number from %lu to %lu", (unsigned long)def->min,
                      (unsigned long)def->max);
        break;
    case PARAM_NEED:
        strbuf_puts(out, "auto, force, off, or a size from 0 to ");
        describe_size(out, def->max);
        break;
    case PARAM_SIZE:
        strbuf_puts(out, "a size from ");
        describe_size(out, def->min);
        strbuf_puts(out, " to ");
        describe_size(out, def->max);
        strbuf_puts(out, ", a multiple of ");
        describe_size(out, def->step);
        break;
    case PARAM_CHOICE:
        strbuf_puts(out, "one of:");
        for (unsigned i = 0; def->choices[i]; i++)
            strbuf_printf(out, " %s", def->choices[i]);
        break;
    case PARAM_STRING: strbuf_puts(out, "text"); break;
    case PARAM_LIST: strbuf_printf(out, "%s, at most 64 times", def->form); break;
    case PARAM_FLAG: strbuf_puts(out, "no value"); break;
    }
}

noreturn_fn static void bad_value(const struct param_def *def, const char *value)
{
    char allowed[160];
    struct strbuf sb;
    strbuf_init(&sb, allowed, sizeof(allowed));
    describe_allowed(def, &sb);
    console_printf("spillway: bad boot parameter %s=%s: allowed is %s (nearest known name: %s)\n",
                   def->name, value, allowed, def->name);
    machine_end(EXIT_PARAM);
}

noreturn_fn static void unknown_name(const char *word)
{
    const struct param_def *nearest = &defs[0];
    char name[64];
    unsigned length = 0, best = ~0u;
    while (word[length] && word[length] != '=' && length < sizeof(name) - 1)
        length++;
    memcpy(name, word, length);
    name[length] = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(defs); i++) {
        unsigned distance = str_distance(name, defs[i].name);
        if (distance < best) {
            best = distance;
            nearest = &defs[i];
        }
    }
    console_printf("spillway: unknown boot parameter %s (in \"%s\"): allowed are the names that `help` "
                   "lists (nearest known name: %s)\n",
                   name, word, nearest->name);
    machine_end(EXIT_PARAM);
}

/* ---- values ---- */

static void set_number(const struct param_def *def, const char *text, bool suffix)
{
    uint64_t value;
    if (parse_u64(text, suffix, &value) || value < def->min || value > def->max ||
        (def->step && value % def->step))
        bad_value(def, text);
    *def->value = value;
}

static void set_choice(const struct param_def *def, const char *text)
{
    for (unsigned i = 0; def->choices[i]; i++)
        if (!strcmp(text, def->choices[i])) {
            *def->value = i;
            return;
        }
    bad_value(def, text);
}

static void set_need(const struct param_def *def, const char *text)
{
    if (!strcmp(text, "auto"))
        *def->value = 0;
    else if (!strcmp(text, "force"))
        *def->value = PARAM_NEED_FORCE;
    else if (!strcmp(text, "off"))
        *def->value = PARAM_NEED_OFF;
    else
        set_number(def, text, true);
}

/* mount=SOURCE:DIR[:TYPE] with an absolute DIR; env=NAME=VALUE. */
static bool list_value_parses(const struct param_def *def, const char *text)
{
    if (def->string == params.env)
        return strchr(text, '=') > text;
    const char *colon = strchr(text, ':');
    if (!colon || colon == text || colon[1] != '/')
        return false;
    const char *second = strchr(colon + 1, ':');
    return !second || (second[1] && !strchr(second + 1, ':'));
}

static void add_to_list(const struct param_def *def, const char *text)
{
    if (*def->count == PARAM_LIST_MAX || !list_value_parses(def, text))
        bad_value(def, text);
    def->string[(*def->count)++] = text;
}

static void set_value(const struct param_def *def, const char *text)
{
    switch (def->type) {
    case PARAM_UINT: set_number(def, text, false); break;
    case PARAM_SIZE: set_number(def, text, true); break;
    case PARAM_NEED: set_need(def, text); break;
    case PARAM_CHOICE: set_choice(def, text); break;
    case PARAM_LIST: add_to_list(def, text); break;
    case PARAM_FLAG: bad_value(def, text); break;
    case PARAM_STRING:
        if (!*text)
            bad_value(def, text);
        *def->string = text;
        break;
    }
}

static void take_word(char *word)
{
    size_t length = 0;
    while (word[length] && word[length] != '=')
        length++;
    for (unsigned i = 0; i < ARRAY_COUNT(defs); i++) {
        const struct param_def *def = &defs[i];
        if (strlen(def->name) != length || strncmp(word, def->name, length))
            continue;
        if (def->type == PARAM_FLAG && !word[length])
            *def->value = 1;
        else if (!word[length])
            bad_value(def, "");
        else
            set_value(def, word + length + 1);
        extra_given |= def->value == &params.stack_extra;
        size_given |= def->value == &params.stack_size;
        return;
    }
    unknown_name(word);
}

/* ---- the line ---- */

/* Cuts the next word out of *@at in place, without its quotes and backslashes; NULL at the end. */
static char *next_word(char **at)
{
    char *in = *at;
    bool quoted = false;
    while (*in == ' ' || *in == '\t' || *in == '\n')
        in++;
    if (!*in)
        return NULL;
    char *word = in, *out = in;
    for (; *in && (quoted || (*in != ' ' && *in != '\t' && *in != '\n')); in++) {
        if (*in == '"') {
            quoted = !quoted;
        } else if (*in == '\\' && in[1]) {
            *out++ = *++in;
        } else {
            *out++ = *in;
        }
    }
    *at = *in ? in + 1 : in;
    *out = 0;
    return word;
}

static void print_help(void)
{
    console_printf("Boot parameters (NAME=VALUE; sizes take K, M, G; -- ends them):\n");
    for (unsigned i = 0; i < ARRAY_COUNT(defs); i++) {
        char allowed[160];
        struct strbuf sb;
        strbuf_init(&sb, allowed, sizeof(allowed));
        describe_allowed(&defs[i], &sb);
        console_printf("  %-17s %s\n  %-17s allowed: %s; default: %s\n", defs[i].name, defs[i].what, "",
                       allowed, defs[i].text_default ? defs[i].text_default : "none");
    }
}

void params_check_cpus(uint32_t cpus)
{
    if (params.stack_extra * cpus <= params.stack_extra_max)
        return;
    if (!extra_given) {
        params.stack_extra = params.stack_extra_max / cpus;
        return;
    }
    console_printf("spillway: bad boot parameter stack.extra=%lu: allowed is at most stack.extra_max=%lu "
                   "for all %u CPUs together (nearest known name: stack.extra_max)\n",
                   (unsigned long)params.stack_extra, (unsigned long)params.stack_extra_max, cpus);
    machine_end(EXIT_PARAM);
}

void params_parse(const char *line)
{
    static char text[LINE_BYTES_MAX];
    char *at = text, *word;
    bool args = false;
    for (unsigned i = 0; i < ARRAY_COUNT(defs); i++)
        if (defs[i].text_default)
            set_value(&defs[i], defs[i].text_default);
    if (str_copy(text, line, sizeof(text)) >= sizeof(text)) {
        console_printf("spillway: bad boot line: longer than %u bytes\n", LINE_BYTES_MAX - 1);
        machine_end(EXIT_PARAM);
    }
    while ((word = next_word(&at))) {
        if (args) {
            if (params.arg_count == PARAM_ARGS_MAX) {
                console_printf("spillway: bad boot line: more than %u app arguments\n", PARAM_ARGS_MAX);
                machine_end(EXIT_PARAM);
            }
            params.args[params.arg_count++] = word;
        } else if (!strcmp(word, "--")) {
            args = true;
        } else {
            take_word(word);
        }
    }
    if (help) {
        print_help();
        machine_end(0);
    }
    if (params.stack_grow && !size_given)
        params.stack_size = GROWN_STACK_BYTES;
    params_check_cpus(1);
    log_set_level((enum log_level)params.log_level);
}

void params_echo(void)
{
    char text[400];
    struct strbuf sb;
    strbuf_init(&sb, text, sizeof(text));
    for (unsigned i = 0; i < ARRAY_COUNT(defs); i++) {
        const struct param_def *def = &defs[i];
        bool unset = def->string ? !*def->string : !def->text_default && !*def->value;
        if (def->type == PARAM_FLAG || def->type == PARAM_LIST || unset)
            continue;
        strbuf_printf(&sb, " %s=", def->name);
        if (def->type == PARAM_CHOICE)
            strbuf_puts(&sb, def->choices[*def->value]);
        else if (def->type == PARAM_STRING)
            strbuf_puts(&sb, *def->string);
        else if (def->type == PARAM_NEED && !*def->value)
            strbuf_puts(&sb, "auto");
        else if (def->type == PARAM_NEED && *def->value == PARAM_NEED_FORCE)
            strbuf_puts(&sb, "force");
        else if (def->type == PARAM_NEED && *def->value == PARAM_NEED_OFF)
            strbuf_puts(&sb, "off");
        else if (def->type == PARAM_UINT)
            strbuf_printf(&sb, "%lu", (unsigned long)*def->value);
        else
            describe_size(&sb, *def->value);
    }
    console_printf("settings:%s\n", text);
}
