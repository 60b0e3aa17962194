// SPDX-License-Identifier: MIT
/* Sleeping locks on wait queues. A mutex is handed to its first waiter directly, so nobody overtakes. */
#include <rt/sync.h>

#include <rt/assert.h>

/* ---- wait queue ---- */

void (waitq_init)(struct waitq *q)
{
    q->lock = (struct spinlock)SPINLOCK_INIT;
    list_init(&q->waiters);
}

/* q->lock held. */
static void enter_locked(struct waitq *q, struct waiter *w)
{
    w->thread = thread_current();
    w->woken = false;
    thread_prepare_block();
    list_push_back(&q->waiters, &w->link);
}

void waitq_enter(struct waitq *q, struct waiter *w)
{
    bool irq = spin_lock(&q->lock);
    enter_locked(q, w);
    spin_unlock(&q->lock, irq);
}

bool waitq_wait(struct waitq *q, struct waiter *w, uint64_t deadline_ns)
{
    (void)q;
    thread_block(deadline_ns);
    return __atomic_load_n(&w->woken, __ATOMIC_ACQUIRE);
}

void waitq_leave(struct waitq *q, struct waiter *w)
{
    bool irq = spin_lock(&q->lock);
    if (!w->woken)
        list_remove(&w->link);
    spin_unlock(&q->lock, irq);
    thread_cancel_block();
}

/* q->lock held; the first waiter, off the queue and woken, or NULL. */
static struct waiter *wake_first(struct waitq *q)
{
    struct list *link = list_pop_front(&q->waiters);
    if (!link)
        return NULL;
    struct waiter *w = list_entry(link, struct waiter, link);
    struct thread *thread = w->thread;
    __atomic_store_n(&w->woken, true, __ATOMIC_RELEASE);
    thread_wake(thread);
    return w;
}

unsigned waitq_wake(struct waitq *q, unsigned count)
{
    unsigned woken = 0;
    bool irq = spin_lock(&q->lock);
    while (woken < count && wake_first(q))
        woken++;
    spin_unlock(&q->lock, irq);
    return woken;
}

/*
 * Sleeps until woken or too late; @irq is what spin_lock(&q->lock) returned, and the lock is held. A wake-up
 * that was meant for something else (a timer that fired late on another CPU) is slept over.
 */
static bool sleep_locked(struct waitq *q, uint64_t deadline_ns, bool irq)
{
    struct waiter w;
    bool late = false;
    enter_locked(q, &w);
    for (;;) {
        spin_unlock(&q->lock, irq);
        late = !thread_block(deadline_ns);
        irq = spin_lock(&q->lock);
        if (w.woken || late)
            break;
        thread_prepare_block();
    }
    if (!w.woken)
        list_remove(&w.link);
    spin_unlock(&q->lock, irq);
    return w.woken;
}

/* ---- mutex ---- */

void (mutex_init)(struct mutex *m)
{
    m->owner = NULL;
    waitq_init(&m->queue);
}

static inline __attribute__((always_inline)) void lock_it(struct mutex *m, unsigned nest, const void *where)
{
    assert_may_sleep("mutex_lock");
    lock_order_take(&m->dep, m, 0, nest, where);
    struct thread *self = thread_current();
    bool irq = spin_lock(&m->queue.lock);
    if (!m->owner) {
        m->owner = self;
        spin_unlock(&m->queue.lock, irq);
        lock_order_got(&m->dep, m, 0, nest, where);
        return;
    }
    ASSERT(m->owner != self, "a mutex is not recursive");
    sleep_locked(&m->queue, WAIT_FOREVER, irq);
    ASSERT(m->owner == self, "a mutex is handed over");
    lock_order_got(&m->dep, m, 0, nest, where);
}

void mutex_lock(struct mutex *m) { lock_it(m, 0, LOCK_WHERE); }

#ifdef SPILLWAY_LOCK_ORDER
void mutex_lock_nested(struct mutex *m, unsigned nest) { lock_it(m, nest, LOCK_WHERE); }
#endif

bool mutex_trylock(struct mutex *m)
{
    bool irq = spin_lock(&m->queue.lock);
    bool got = !m->owner;
    if (got)
        m->owner = thread_current();
    spin_unlock(&m->queue.lock, irq);
    if (got)
        lock_order_got(&m->dep, m, LOCK_TRY, 0, LOCK_WHERE);
    return got;
}

void mutex_unlock(struct mutex *m)
{
    lock_order_drop(&m->dep, m, 0, LOCK_WHERE);
    bool irq = spin_lock(&m->queue.lock);
    ASSERT(m->owner == thread_current(), "a mutex is unlocked by its owner");
    m->owner = list_empty(&m->queue.waiters)
                   ? NULL
                   : list_first(&m->queue.waiters, struct waiter, link)->thread;
    wake_first(&m->queue);
    spin_unlock(&m->queue.lock, irq);
}

bool mutex_is_mine(const struct mutex *m) { return m->owner == thread_current(); }

/* ---- condition variable ---- */

void cond_init(struct cond *c) { waitq_init(&c->queue); }

bool cond_wait(struct cond *c, struct mutex *m, uint64_t deadline_ns)
{
    struct waiter w;
    ASSERT(mutex_is_mine(m), "cond_wait is called with its mutex");
    bool irq = spin_lock(&c->queue.lock);
    w.thread = thread_current();
    w.woken = false;
    list_push_back(&c->queue.waiters, &w.link);
    spin_unlock(&c->queue.lock, irq);
    mutex_unlock(m);

    irq = spin_lock(&c->queue.lock);
    bool woken = w.woken;
    if (!woken)
        thread_prepare_block();
    spin_unlock(&c->queue.lock, irq);
    if (!woken) {
        thread_block(deadline_ns);
        waitq_leave(&c->queue, &w);
        woken = w.woken;
    }
    mutex_lock(m);
    return woken;
}

void cond_signal(struct cond *c) { waitq_wake(&c->queue, 1); }
void cond_broadcast(struct cond *c) { waitq_wake(&c->queue, WAITQ_ALL); }

/* ---- semaphore ---- */

void semaphore_init(struct semaphore *s, uint32_t count)
{
    s->count = count;
    waitq_init(&s->queue);
}

bool semaphore_try_down(struct semaphore *s)
{
    bool irq = spin_lock(&s->queue.lock);
    bool got = s->count > 0;
    if (got)
        s->count--;
    spin_unlock(&s->queue.lock, irq);
    return got;
}

bool semaphore_down(struct semaphore *s, uint64_t deadline_ns)
{
    assert_may_sleep("semaphore_down");
    bool irq = spin_lock(&s->queue.lock);
    if (s->count > 0) {
        s->count--;
        spin_unlock(&s->queue.lock, irq);
        return true;
    }
    return sleep_locked(&s->queue, deadline_ns, irq);   /* woken: the unit was handed over */
}

void semaphore_up(struct semaphore *s)
{
    bool irq = spin_lock(&s->queue.lock);
    if (!wake_first(&s->queue))
        s->count++;
    spin_unlock(&s->queue.lock, irq);
}

/* ---- completion ---- */

void completion_init(struct completion *c)
{
    c->done = false;
    waitq_init(&c->queue);
}

void completion_signal(struct completion *c)
{
    bool irq = spin_lock(&c->queue.lock);
    c->done = true;
    while (wake_first(&c->queue))
        ;
    spin_unlock(&c->queue.lock, irq);
}

bool completion_wait(struct completion *c, uint64_t deadline_ns)
{
    assert_may_sleep("completion_wait");
    bool irq = spin_lock(&c->queue.lock);
    if (c->done) {
        spin_unlock(&c->queue.lock, irq);
        return true;
    }
    return sleep_locked(&c->queue, deadline_ns, irq);
}
