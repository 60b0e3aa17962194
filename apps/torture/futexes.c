// SPDX-License-Identifier: MIT
/* Futexes under many hands, locks and conditions of the C library, and sleep. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "notes.h"
#include "torture.h"

/* Linux's <linux/futex.h>. */
enum {
    FUTEX_WAIT = 0,
    FUTEX_WAKE = 1,
    FUTEX_CMP_REQUEUE = 4,
    FUTEX_WAIT_BITSET = 9,
    FUTEX_PRIVATE = 128
};
enum { WORDS = 4 };

static _Atomic uint32_t words[WORDS];

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const void *timeout, void *other,
                  uint32_t value3)
{
    return syscall(SYS_futex, word, op | FUTEX_PRIVATE, value, timeout, other, value3);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static struct timespec span(uint64_t ns)
{
    return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000),
                              .tv_nsec = (long)(ns % 1000000000) };
}

static enum outcome too_early(const char *what, uint64_t got, uint64_t wanted)
{
    note_wrong(what, "ended too early", -1, -1, (long)got, (long)wanted);
    return FAILED;
}

static enum outcome wait_on(struct worker *w, _Atomic uint32_t *word)
{
    uint64_t patience = pick(w, 3000) * 1000ull, begin = now_ns(), took;
    bool absolute = pick(w, 2);
    struct timespec timeout = span(absolute ? begin + patience : patience);
    long result;

    actor_step(w->actor, "futex wait", -1, (long)(patience / 1000));
    result =
        futex(word, absolute ? FUTEX_WAIT_BITSET : FUTEX_WAIT, *word, &timeout, NULL, UINT32_MAX);
    took = now_ns() - begin;
    if (result == 0 || errno == EAGAIN || errno == EINTR)
        return DONE;
    if (errno != ETIMEDOUT)
        return judge(w, "futex wait", NULL, -1, errno, 0);
    return took < patience ? too_early("futex wait", took, patience) : DONE;
}

static enum outcome wake_on(struct worker *w, unsigned index)
{
    for (unsigned i = 1 + pick(w, 40); i-- > 0;) {
        unsigned other = (index + 1 + pick(w, WORDS - 1)) % WORDS;
        long result;

        atomic_fetch_add(&words[index], 1);
        if (i % 4 == 3)
            result = futex(&words[index], FUTEX_CMP_REQUEUE, 1, (void *)(long)pick(w, 5),
                           &words[other], words[index]);
        else
            result = futex(&words[index], FUTEX_WAKE, i % 2 ? 1 : INT_MAX, NULL, NULL, 0);
        if (result < 0 && errno != EAGAIN)
            return judge(w, "futex wake or requeue", NULL, i, errno, 0);
    }
    return DONE;
}

enum outcome op_futex(struct worker *w)
{
    unsigned index = pick(w, WORDS);

    if (pick(w, 2))
        return wait_on(w, &words[index]);
    actor_step(w->actor, "futex wake", -1, index);
    return wake_on(w, index);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static uint64_t left, right; /* mutex: always equal */
static uint64_t put_count, taken_count, tokens;

/* Takes a token, or gives up after a while. With the mutex held. */
static int take_token(struct worker *w)
{
    struct timespec until;
    int error = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until =
        span((uint64_t)until.tv_sec * 1000000000ull + (uint64_t)until.tv_nsec + pick(w, 5000000));
    while (!tokens && !error)
        error = pthread_cond_timedwait(&condition, &mutex, &until);
    if (tokens) {
        tokens--;
        taken_count++;
        error = 0;
    }
    return error == ETIMEDOUT ? 0 : error;
}

enum outcome op_lock(struct worker *w)
{
    enum outcome outcome = DONE;
    int error = 0;

    actor_step(w->actor, "pthread_mutex_lock", -1, -1);
    pthread_mutex_lock(&mutex);
    actor_step(w->actor, "holding the mutex", -1, -1);
    left++;
    if (pick(w, 4) == 0)
        sched_yield();
    right++;
    if (left != right || put_count != taken_count + tokens) {
        note_wrong("mutex", "two were inside at once", -1, -1, (long)left, (long)right);
        outcome = FAILED;
    }
    if (pick(w, 2)) {
        tokens++;
        put_count++;
        pick(w, 2) ? pthread_cond_signal(&condition) : pthread_cond_broadcast(&condition);
    } else {
        actor_step(w->actor, "pthread_cond_timedwait", -1, -1);
        error = take_token(w);
    }
    pthread_mutex_unlock(&mutex);
    return error ? judge(w, "pthread_cond_timedwait", NULL, -1, error, 0) : outcome;
}

enum outcome op_sleep(struct worker *w)
{
    uint64_t wanted = pick(w, 3000) * 1000ull, begin = now_ns(), took;
    struct timespec t = span(wanted);

    actor_step(w->actor, "nanosleep", -1, (long)(wanted / 1000));
    if (nanosleep(&t, NULL) < 0)
        return judge(w, "nanosleep", NULL, -1, errno, 0);
    took = now_ns() - begin;
    return took < wanted ? too_early("nanosleep", took, wanted) : DONE;
}
