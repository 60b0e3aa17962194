// SPDX-License-Identifier: MIT
/*
 * As many threads at once as memory allows: creation ends with EAGAIN, what is printed then comes out, all end, and
 * their memory is there again.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 100000, ROUNDS = 3000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool may_go;
static pthread_t threads[MOST];

static void *wait_for_it(void *unused)
{
    pthread_mutex_lock(&lock);
    while (!may_go)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return unused;
}

static void let_go(bool go)
{
    pthread_mutex_lock(&lock);
    may_go = go;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

int main(void)
{
    pthread_attr_t small;
    int count = 0, error = 0, before = 0;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 4096);
    for (int round = 0; round < 2; round++) {
        let_go(false);
        before = count;
        for (count = 0; count < MOST && !error; count++)
            error = pthread_create(&threads[count], &small, wait_for_it, NULL);
        count--;
        printf("many: %d threads, then error %d\n", count, error);
        let_go(true);
        for (int i = 0; i < count; i++)
            if (pthread_join(threads[i], NULL))
                return 3;
        if (error != EAGAIN)
            return 4;
        error = 0;
    }
    for (int i = 0; i < ROUNDS; i++)
        if (pthread_create(&threads[0], &small, wait_for_it, NULL) || pthread_join(threads[0], NULL))
            return 5;
    return count >= before - before / 50 ? 0 : 6;
}
