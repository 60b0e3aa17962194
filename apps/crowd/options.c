// SPDX-License-Identifier: MIT
/* The command line of crowd. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crowd.h"

static void print_help(void)
{
    printf("usage: crowd --file FILE [options]\n"
           "       crowd --make FILE [--threads N]\n"
           "Many threads, each on the smallest stack, all inside a read of FILE at the same time.\n\n"
           "  --file FILE      the file to read, made by --make\n"
           "  --make FILE      write a file for N threads, and end\n"
           "  --threads N      1 to %d (default 1000)\n"
           "  --stack BYTES    stack of each thread (default %ld, the least there is)\n"
           "  --probe DISK     before the reads, wait until a read of this block device does not come back: until\n"
           "                   somebody has stopped it\n"
           "  --wait SECONDS   how long to wait for that, and for all threads to be inside (default 60)\n"
           "  --same           all threads read the same block\n"
           "\nExit status: 0 all were inside at the same time and read what they should; 1 not so; 2 usage.\n",
           THREADS_MAX, (long)PTHREAD_STACK_MIN);
}

static unsigned long number(const char *name, const char *text, unsigned long least, unsigned long most)
{
    char *end;

    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || value < least || value > most) {
        fprintf(stderr, "crowd: option --%s: '%s' is not a whole number from %lu to %lu\n", name, text, least, most);
        exit(2);
    }
    return value;
}

void options_read(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {
        { "file", required_argument, NULL, 'f' },  { "make", required_argument, NULL, 'm' },
        { "threads", required_argument, NULL, 't' }, { "stack", required_argument, NULL, 's' },
        { "probe", required_argument, NULL, 'p' }, { "wait", required_argument, NULL, 'w' },
        { "same", no_argument, NULL, 'S' },        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int option;

    *o = (struct options){ .threads = 1000, .stack_bytes = PTHREAD_STACK_MIN, .wait_seconds = 60 };
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (option) {
        case 'f': o->file = optarg; break;
        case 'm': o->make = optarg; break;
        case 't': o->threads = (unsigned)number("threads", optarg, 1, THREADS_MAX); break;
        case 's': o->stack_bytes = number("stack", optarg, PTHREAD_STACK_MIN, 64 << 20); break;
        case 'p': o->probe = optarg; break;
        case 'w': o->wait_seconds = (unsigned)number("wait", optarg, 1, 100000); break;
        case 'S': o->same = true; break;
        case 'h': print_help(); exit(0);
        default: exit(2); /* getopt_long() has said why */
        }
    }
    if (optind < argc || !o->file == !o->make) {
        fprintf(stderr, "crowd: %s%s; expected --file FILE or --make FILE (see --help)\n",
                optind < argc ? "unknown word " : "neither or both of --file and --make are given",
                optind < argc ? argv[optind] : "");
        exit(2);
    }
}
