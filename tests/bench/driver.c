// SPDX-License-Identifier: MIT
/*
 * The driver of the stack benchmark: starts the subjects (bench.h), has all their rows measured in rounds, one row
 * after the other, and prints JSON lines, then a table. It judges nothing.
 *
 *     bench_driver ROUNDS SUBJECT[:ARGUMENT]... [-m NAME REASON]...
 *
 * -m names a row that could not be measured. The row "call" is what all ratios refer to. Progress goes to stderr.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUBJECTS_MAX 32
#define ROWS_MAX 128
#define ROUNDS_MAX 1001
#define TARGET_CYCLES 3000000.0           /* about a millisecond for a row in a round */
#define COUNT_MAX 1000000u

struct subject {
    const char *command;
    FILE *to, *from;
};

struct row {
    char name[64], text[128];
    const char *missing;                  /* why it is not measured; NULL: it is */
    struct subject *subject;
    int threads;
    uint64_t count;
    double samples[ROUNDS_MAX];           /* cycles an operation; sorted in the end */
};

static struct subject subjects[SUBJECTS_MAX];
static struct row rows[ROWS_MAX];
static unsigned subject_count, row_count, rounds;

static void failed(const char *what)
{
    perror(what);
    exit(1);
}

static struct row *add_row(void)
{
    if (row_count == ROWS_MAX) {
        fprintf(stderr, "bench: too many rows\n");
        exit(1);
    }
    return &rows[row_count++];
}

/* ---- subjects ---- */

static void start(struct subject *s, char *command)
{
    int in[2], out[2];
    s->command = command;
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
        failed("bench: pipe");
    pid_t pid = fork();
    if (pid < 0)
        failed("bench: fork");
    if (pid == 0) {
        char *argument = strchr(command, ':');
        if (argument)
            *argument++ = 0;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(in[0], 0);
        dup2(out[1], 1);
        execl(command, command, argument, (char *)NULL);
        failed(command);
    }
    close(in[0]);
    close(out[1]);
    s->to = fdopen(in[1], "w");
    s->from = fdopen(out[0], "r");
}

/* An answer takes milliseconds; a subject that gives none for a minute ends the benchmark. */
static void answer(struct subject *s, char *line, int size)
{
    alarm(60);
    if (!fgets(line, size, s->from)) {
        fprintf(stderr, "bench: %s ended\n", s->command);
        exit(1);
    }
    line[strcspn(line, "\n")] = 0;
}

static void list(struct subject *s, int cpus)
{
    char line[256];
    fprintf(s->to, "list\n");
    fflush(s->to);
    for (answer(s, line, sizeof(line)); line[0]; answer(s, line, sizeof(line))) {
        struct row *row = add_row();
        row->subject = s;
        if (sscanf(line, "%63s %d %127[^\n]", row->name, &row->threads, row->text) != 3) {
            fprintf(stderr, "bench: %s says '%s'\n", s->command, line);
            exit(1);
        }
        if (row->threads > cpus)
            row->missing = "needs two processors";
    }
}

static double measure(const struct row *row)
{
    char line[256];
    fprintf(row->subject->to, "run %s %llu\n", row->name, (unsigned long long)row->count);
    fflush(row->subject->to);
    answer(row->subject, line, sizeof(line));
    char *end;
    unsigned long long cycles = strtoull(line, &end, 10);
    if (*end || end == line) {
        fprintf(stderr, "bench: %s: %s\n", row->name, line);
        exit(1);
    }
    return (double)cycles / (double)row->count;
}

/* How many operations take about TARGET_CYCLES. */
static void calibrate(struct row *row)
{
    for (row->count = 10; row->count < COUNT_MAX; row->count *= 4)
        if (measure(row) * (double)row->count > TARGET_CYCLES / 8)
            break;
    double wanted = TARGET_CYCLES / measure(row);
    row->count = wanted < 10 ? 10 : wanted > COUNT_MAX ? COUNT_MAX : (uint64_t)wanted;
}

/* ---- results ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const struct row *row, double part)
{
    return row->samples[(unsigned)(part * (double)(rounds - 1) + 0.5)];
}

static double median_of(const char *name)
{
    for (unsigned i = 0; i < row_count; i++)
        if (!rows[i].missing && !strcmp(rows[i].name, name))
            return quantile(&rows[i], 0.5);
    return 0;
}

static void print_json(double call)
{
    for (unsigned i = 0; i < row_count; i++) {
        const struct row *row = &rows[i];
        if (row->missing) {
            printf("{\"bench\":\"stacks\",\"row\":\"%s\",\"measured\":false,\"reason\":\"%s\"}\n", row->name,
                   row->missing);
            continue;
        }
        printf("{\"bench\":\"stacks\",\"row\":\"%s\",\"measured\":true,\"threads\":%d,\"rounds\":%u,\"count\":%llu,"
               "\"cycles_min\":%.2f,\"cycles_p25\":%.2f,\"cycles_median\":%.2f,\"cycles_p75\":%.2f,\"ratio\":%.3f}\n",
               row->name, row->threads, rounds, (unsigned long long)row->count, row->samples[0],
               quantile(row, 0.25), quantile(row, 0.5), quantile(row, 0.75), quantile(row, 0.5) / call);
    }
}

static void print_table(double call, double ours)
{
    printf("\n%-56s %10s %21s %9s %9s\n", "cycles of one operation", "median", "middle half", "/ call", "/ ours");
    for (unsigned i = 0; i < row_count; i++) {
        const struct row *row = &rows[i];
        if (row->missing) {
            printf("%-56s not measured: %s\n", row->text[0] ? row->text : row->name, row->missing);
            continue;
        }
        double median = quantile(row, 0.5);
        printf("%-56s %10.1f %10.1f %10.1f %9.2f %9.2f\n", row->text, median, quantile(row, 0.25),
               quantile(row, 0.75), median / call, median / ours);
    }
    printf("\nMedians of %u rounds, in each of which every row was measured once. Cycles of the time-stamp counter, a call of\n"
           "the same empty function and the loop included. / call: against a plain call. / ours: against our probe, taken,\n"
           "with the pool of 22 words. Rows with two threads: cycles of an operation of each, both at work.\n", rounds);
}

/* ---- all ---- */

/* Names the first two processors this process may use for the subjects; returns how many there are. */
static int choose_cpus(void)
{
    cpu_set_t set;
    char text[32] = "";
    int found = 0;
    if (sched_getaffinity(0, sizeof(set), &set))
        failed("bench: sched_getaffinity");
    for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
        if (CPU_ISSET(cpu, &set))
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d", found++ ? "," : "", cpu);
    setenv("BENCH_CPUS", text, 1);
    return found;
}

static void read_arguments(int count, char **arguments)
{
    rounds = count > 1 ? (unsigned)atoi(arguments[1]) : 0;
    if (rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "bench: 1 to %d rounds\n", ROUNDS_MAX);
        exit(2);
    }
    int cpus = choose_cpus();
    for (int i = 2; i < count; i++) {
        if (!strcmp(arguments[i], "-m") && i + 2 < count) {
            struct row *row = add_row();
            snprintf(row->name, sizeof(row->name), "%s", arguments[i + 1]);
            row->missing = arguments[i + 2];
            i += 2;
        } else if (subject_count < SUBJECTS_MAX) {
            start(&subjects[subject_count], arguments[i]);
            list(&subjects[subject_count++], cpus);
        }
    }
}

int main(int count, char **arguments)
{
    signal(SIGPIPE, SIG_IGN);
    read_arguments(count, arguments);
    for (unsigned i = 0; i < row_count; i++)
        if (!rows[i].missing)
            calibrate(&rows[i]);
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned i = 0; i < row_count; i++)
            if (!rows[i].missing)
                rows[i].samples[round] = measure(&rows[i]);
    for (unsigned i = 0; i < row_count; i++)
        qsort(rows[i].samples, rounds, sizeof(rows[i].samples[0]), by_value);
    double call = median_of("call"), ours = median_of("probe-taken");
    print_json(call);
    print_table(call, ours);
    for (unsigned i = 0; i < subject_count; i++)
        fclose(subjects[i].to);
    while (wait(NULL) > 0)
        ;
    return 0;
}
