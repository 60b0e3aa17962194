// SPDX-License-Identifier: MIT
/*
 * The runtime under a host test: boots it once a process on the host port, then runs test bodies as
 * threads of it, on guarded stacks, with sleeping and real stack switches.
 *
 *     static const struct thread_def body_def = {.name = "body", .run = body};
 *     rt_boot(MIB(64), "stack.extra=4");
 *     rt_run(&body_def, argument);           returns when the thread has ended and been reaped
 */
#pragma once

#include <rt/thread.h>

/* @parameters go behind "stack.size=64K stack.extra_size=64K": sanitized frames are several times bigger. */
void rt_boot(uint64_t memory_bytes, const char *parameters);
void rt_run(const struct thread_def *def, void *argument);
/* A cmocka test NAME_test that runs NAME_body(NULL) as a thread. */
#define THREAD_TEST(test)                                                                           \
    static void test##_test(void **state)                                                           \
    {                                                                                               \
        static const struct thread_def def = {.name = #test, .run = test##_body};                   \
        (void)state;                                                                                \
        rt_run(&def, NULL);                                                                         \
    }
/* Runs what is ready and fires what is due, from the test's own context, until nothing is ready. */
void rt_settle(void);
