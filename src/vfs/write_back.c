// SPDX-License-Identifier: MIT
/*
 * Write-back: one thread for each mount that can be written to. See write_back.h for what it
 * promises.
 *
 * It wakes every few seconds, when it is kicked, and when somebody asks for a sync or the end of
 * the mount. Each round it frees the blocks of deleted inodes and writes some of what is dirty;
 * what fails stays and is tried again in the next round. A streak of failures is logged once at its
 * beginning.
 */
#include <rt/assert.h>
#include <rt/heap.h>
#include <rt/log.h>
#include <rt/xstack.h>
#include <vfs/internal.h>
#include <vfs/write_back.h>

#define PERIOD_NS (2 * NS_PER_S)

/* Somebody waits for it; lies with the one who waits. */
struct request {
    struct list link;
    bool stop; /* the end; else a sync */
    int error;
    struct completion done;
};

struct write_back {
    struct super *super;
    struct thread *thread;
    struct spinlock lock;
    bool kicked;           /* lock */
    struct list requests;  /* lock */
    struct list evictions; /* lock; inodes by lru_link, the last reference is ours */
    struct waitq waitq;
    bool failing; /* the thread's: the round before failed */
};

static bool take_kick(struct write_back *wb)
{
    bool irq = spin_lock(&wb->lock);
    bool kicked = wb->kicked;

    wb->kicked = false;
    spin_unlock(&wb->lock, irq);
    return kicked;
}

static bool has_requests(struct write_back *wb)
{
    bool irq = spin_lock(&wb->lock);
    bool some = !list_empty(&wb->requests);

    spin_unlock(&wb->lock, irq);
    return some;
}

/* Until there is something to do; whether it is a round that is due, and not only a request. */
static bool wait_for_work(struct write_back *wb, uint64_t deadline_ns)
{
    struct waiter waiter;
    bool due;

    waitq_enter(&wb->waitq, &waiter);
    due = take_kick(wb);
    if (!due && !has_requests(wb))
        due = !waitq_wait(&wb->waitq, &waiter, deadline_ns) || take_kick(wb);
    waitq_leave(&wb->waitq, &waiter);
    return due;
}

static struct inode *take_eviction(struct write_back *wb)
{
    bool irq = spin_lock(&wb->lock);
    struct list *first = list_pop_front(&wb->evictions);

    spin_unlock(&wb->lock, irq);
    return first ? list_entry(first, struct inode, lru_link) : NULL;
}

static void put_back_eviction(struct write_back *wb, struct inode *inode)
{
    bool irq = spin_lock(&wb->lock);

    list_push_front(&wb->evictions, &inode->lru_link);
    spin_unlock(&wb->lock, irq);
}

/* Frees deleted inodes until one fails; that one and the rest are for the next round. */
static int evict_all(struct write_back *wb)
{
    struct inode *inode;

    while ((inode = take_eviction(wb)) != NULL) {
        int err = wb->super->ops->evict(inode);
        if (err) {
            put_back_eviction(wb, inode);
            return err;
        }
        inode_discard(inode);
    }
    return 0;
}

static void note_result(struct write_back *wb, int err)
{
    if (err && !wb->failing) {
        uint64_t dev = wb->super->dev;
        log_warn("write-back to device %u:%u failed: %s; it will be tried again",
                 (unsigned)(dev >> 8), (unsigned)(dev & 255), errno_name(err));
    }
    wb->failing = err != 0;
}

static int sync_now(struct write_back *wb)
{
    int err = evict_all(wb);
    int sync_err = wb->super->ops->sync_super ? wb->super->ops->sync_super(wb->super) : 0;

    return err ? err : sync_err;
}

static void write_some(struct write_back *wb)
{
    int err = evict_all(wb);
    int write_err = wb->super->ops->write_some ? wb->super->ops->write_some(wb->super) : 0;

    note_result(wb, err ? err : write_err);
}

static struct request *take_request(struct write_back *wb)
{
    bool irq = spin_lock(&wb->lock);
    struct list *first = list_pop_front(&wb->requests);

    spin_unlock(&wb->lock, irq);
    return first ? list_entry(first, struct request, link) : NULL;
}

/* Returns the request that asks for the end, not yet answered, or NULL. */
static struct request *serve_requests(struct write_back *wb)
{
    struct request *request;

    while ((request = take_request(wb)) != NULL) {
        if (request->stop)
            return request;
        request->error = sync_now(wb);
        note_result(wb, request->error);
        completion_signal(&request->done);
    }
    return NULL;
}

static void run(void *argument)
{
    struct write_back *wb = argument;
    struct request *last;
    uint64_t next_round = arch_now_ns() + PERIOD_NS;

    while ((last = serve_requests(wb)) == NULL) {
        if (!wait_for_work(wb, next_round))
            continue;
        write_some(wb);
        next_round = arch_now_ns() + PERIOD_NS;
    }
    ASSERT(list_empty(&wb->evictions), "deleted inodes are freed before the end");
    super_put(wb->super);
    xstack_release_private(thread_current());
    completion_signal(&last->done); /* who waits frees *wb */
}

static const struct thread_def write_back_def = { .name = "write-back", .wired = true, .run = run };

int write_back_start(struct super *super)
{
    struct write_back *wb = heap_zalloc(sizeof(*wb));

    if (!wb)
        return -ENOMEM;
    wb->super = super;
    spin_init(&wb->lock, "write-back");
    list_init(&wb->requests);
    list_init(&wb->evictions);
    waitq_init(&wb->waitq);
    int err = thread_prepare(&write_back_def, wb, &wb->thread);
    if (err)
        goto out_free;
    err = xstack_reserve_private(wb->thread, super->reserve_probes);
    if (err)
        goto out_thread;
    super->write_back = wb;
    thread_start(wb->thread);
    return 0;
out_thread:
    thread_discard(wb->thread);
out_free:
    heap_free(wb);
    return err;
}

/* Hands a request over and waits for the answer. */
static int ask(struct write_back *wb, bool stop)
{
    struct request request = { .stop = stop };

    ASSERT(thread_current()->held == 0, "who waits for write-back holds no extra stack");
    ASSERT(thread_current() != wb->thread, "write-back does not wait for itself");
    completion_init(&request.done);
    bool irq = spin_lock(&wb->lock);
    list_push_back(&wb->requests, &request.link);
    spin_unlock(&wb->lock, irq);
    waitq_wake(&wb->waitq, WAITQ_ALL);
    completion_wait(&request.done, WAIT_FOREVER);
    return request.error;
}

int write_back_sync(struct super *super) { return ask(super->write_back, false); }

void write_back_stop(struct super *super)
{
    struct write_back *wb = super->write_back;

    ask(wb, true);
    super->write_back = NULL;
    heap_free(wb);
}

void write_back_kick(struct super *super)
{
    struct write_back *wb = super->write_back;

    if (!wb)
        return;
    bool irq = spin_lock(&wb->lock);
    wb->kicked = true;
    spin_unlock(&wb->lock, irq);
    waitq_wake(&wb->waitq, WAITQ_ALL);
}

void write_back_evict(struct inode *inode)
{
    struct write_back *wb = inode->super->write_back;
    bool irq = spin_lock(&wb->lock);

    list_push_back(&wb->evictions, &inode->lru_link);
    wb->kicked = true;
    spin_unlock(&wb->lock, irq);
    waitq_wake(&wb->waitq, WAITQ_ALL);
}
