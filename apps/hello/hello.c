// SPDX-License-Identifier: MIT
/*
 * The smallest useful program: says how it was started, and ends as it is told.
 *
 *     hello [--exit STATUS] [anything]...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv, char **environment)
{
    long status = 0;

    printf("hello: pid %ld, tid %ld\n", (long)getpid(), (long)syscall(SYS_gettid));
    for (int i = 0; i < argc; i++)
        printf("hello: argv[%d] = '%s'\n", i, argv[i]);
    for (char **e = environment; *e; e++)
        printf("hello: env '%s'\n", *e);
    for (int i = 1; i + 1 < argc; i++) {
        char *end;

        if (strcmp(argv[i], "--exit") != 0)
            continue;
        status = strtol(argv[i + 1], &end, 10);
        if (*end || end == argv[i + 1] || status < 0 || status > 255) {
            fprintf(stderr, "hello: option --exit: '%s' is not a status from 0 to 255\n",
                    argv[i + 1]);
            return 2;
        }
    }
    return (int)status;
}
