// SPDX-License-Identifier: MIT
/*
 * The checks of the small test programs in apps/tests: a check that fails prints one line and is
 * counted, the program goes on, and check_end() gives the exit status. One source file a program,
 * so all is static here.
 */
#ifndef APPS_CHECK_H
#define APPS_CHECK_H

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static _Atomic unsigned check_count, check_failures;

/* check_that() - count a check; @ok false prints @what and the line. Returns @ok. Any thread. */
static inline int check_that(int ok, int line, const char *what)
{
    atomic_fetch_add(&check_count, 1);
    if (!ok) {
        atomic_fetch_add(&check_failures, 1);
        printf("FAILED line %d: %s\n", line, what);
    }
    return ok;
}

/* check_call() - a call must give @expected as errno, 0 for success. Returns @result. */
static inline long check_call(long result, int error, int expected, int line, const char *what)
{
    int got = result < 0 ? error : 0;

    atomic_fetch_add(&check_count, 1);
    if (got != expected) {
        atomic_fetch_add(&check_failures, 1);
        printf("FAILED line %d: %s: expected %s (%d), got %s (%d)\n", line, what,
               expected ? strerror(expected) : "success", expected, got ? strerror(got) : "success",
               got);
    }
    return result;
}

static inline void check_equal(long long got, long long expected, int line, const char *what)
{
    atomic_fetch_add(&check_count, 1);
    if (got != expected) {
        atomic_fetch_add(&check_failures, 1);
        printf("FAILED line %d: %s: expected %lld, got %lld\n", line, what, expected, got);
    }
}

/* The condition must hold. */
#define CHECK(condition) check_that(!!(condition), __LINE__, #condition)
/* The call must succeed; its result is the value. */
#define OK(call)                                                                                   \
    ({                                                                                             \
        long check_result_ = (call);                                                               \
        check_call(check_result_, errno, 0, __LINE__, #call);                                      \
    })
/* The call must give -1 and this errno. */
#define FAILS(call, expected)                                                                      \
    ({                                                                                             \
        long check_result_ = (call);                                                               \
        check_call(check_result_, errno, expected, __LINE__, #call);                               \
    })
/* The two numbers must be equal. */
#define EQUAL(got, expected) check_equal(got, expected, __LINE__, #got " == " #expected)

/* check_end() - print the outcome; the program's exit status. */
static inline int check_end(const char *name)
{
    if (check_failures)
        printf("%s: FAILED, %u of %u checks\n", name, check_failures, check_count);
    else
        printf("%s: ok, %u checks\n", name, check_count);
    fflush(stdout);
    return check_failures ? 1 : 0;
}

#endif
