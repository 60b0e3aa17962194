// SPDX-License-Identifier: MIT
/*
 * Locks on files: flock, and ranges by fcntl. There is one process, so the locks that belong to it
 * (F_SETLK) never stand in each other's way; those of an open file (F_OFD_SETLK) and of flock do,
 * between two opens of one file. flock and fcntl don't see each other, as on Linux.
 *
 * All are advisory and in one list: few files are locked at a time. A lock of the process goes with
 * the first close of any descriptor of its file, one of an open file with that file.
 */
#include <abi/locks.h>

#include <abi/at.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/process.h>
#include <abi/syscalls.h>
#include <abi/wait.h>
#include <rt/heap.h>

#define TO_THE_END INT64_MAX          /* also for what is appended later */

struct file_lock {
    struct list link;
    const struct inode *inode;
    const struct file *owner;         /* NULL: the process */
    bool whole;                       /* of flock */
    bool exclusive;
    int64_t first, last;
};

static struct mutex lock = MUTEX_INIT(lock);
static struct list locks = LIST_INIT(locks);   /* lock */
static struct waitq released = WAITQ_INIT(released);
static uint64_t releases;             /* atomic: grows with every release */

void locks_start(void)
{
    mutex_init(&lock);
}

static bool overlap(const struct file_lock *a, const struct file_lock *b)
{
    return a->inode == b->inode && a->whole == b->whole && a->first <= b->last &&
           b->first <= a->last;
}

static struct file_lock *conflict_locked(const struct file_lock *wanted)
{
    struct file_lock *l;

    list_for_each(l, &locks, link)
        if (overlap(l, wanted) && l->owner != wanted->owner && (l->exclusive || wanted->exclusive))
            return l;
    return NULL;
}

/* The owner's lock @l loses the range of @cut; @spare is used if it falls into two. */
static void cut_out(struct file_lock *l, const struct file_lock *cut, struct file_lock **spare)
{
    if (l->first < cut->first && l->last > cut->last) {
        struct file_lock *upper = *spare;
        *spare = NULL;
        *upper = *l;
        upper->first = cut->last + 1;
        l->last = cut->first - 1;
        list_push_back(&locks, &upper->link);
    } else if (l->first < cut->first) {
        l->last = cut->first - 1;
    } else if (l->last > cut->last) {
        l->first = cut->last + 1;
    } else {
        list_remove(&l->link);
        heap_free(l);
    }
}

/*
 * The owner's locks in the range make place for @fresh, or with NULL for nothing. Only one of them
 * can reach beyond both ends.
 */
static void replace_locked(const struct file_lock *range, struct file_lock *fresh,
                           struct file_lock **spare)
{
    struct file_lock *l, *next;

    list_for_each_safe(l, next, &locks, link)
        if (overlap(l, range) && l->owner == range->owner)
            cut_out(l, range, spare);
    if (fresh)
        list_push_back(&locks, &fresh->link);
}

static void wake_waiters(void)
{
    __atomic_add_fetch(&releases, 1, __ATOMIC_SEQ_CST);
    waitq_wake(&released, WAITQ_ALL);
}

static void file_ended(struct file *file)
{
    struct file_lock *l, *next;

    mutex_lock(&lock);
    list_for_each_safe(l, next, &locks, link) {
        if (l->owner != file)
            continue;
        list_remove(&l->link);
        heap_free(l);
    }
    mutex_unlock(&lock);
    wake_waiters();
}

static const struct file_end_ops lock_end_ops = {.file_ends = file_ended};

void locks_closing(const struct file *file)
{
    struct file_lock *l, *next;
    bool any = false;

    mutex_lock(&lock);
    list_for_each_safe(l, next, &locks, link) {
        if (l->owner || l->inode != file->inode)
            continue;
        list_remove(&l->link);
        heap_free(l);
        any = true;
    }
    mutex_unlock(&lock);
    if (any)
        wake_waiters();
}

/* Tries once. -EAGAIN: somebody else's lock is in the way. */
static int try_set(struct file *file, const struct file_lock *wanted, bool unlock)
{
    struct file_lock *fresh = unlock ? NULL : heap_alloc(sizeof(*fresh));
    struct file_lock *spare = heap_alloc(sizeof(*spare));
    int error = spare && (fresh || unlock) ? 0 : -ENOLCK;

    mutex_lock(&lock);
    if (!error && !unlock && conflict_locked(wanted))
        error = -EAGAIN;
    if (!error) {
        if (fresh)
            *fresh = *wanted;
        if (wanted->owner)
            file->at_end = &lock_end_ops;
        replace_locked(wanted, fresh, &spare);
        fresh = NULL;
    }
    mutex_unlock(&lock);
    heap_free(fresh);
    heap_free(spare);
    if (!error)
        wake_waiters();               /* a lock may also have become weaker */
    return error;
}

static int set(struct file *file, const struct file_lock *wanted, bool unlock, bool wait_for_it)
{
    struct app_thread *t = app_thread_current();
    struct app_wait wait;
    int error = 0;

    while (!error) {
        uint64_t seen = __atomic_load_n(&releases, __ATOMIC_SEQ_CST);
        int result = try_set(file, wanted, unlock);
        if (result != -EAGAIN || !wait_for_it)
            return result;
        app_wait_enter(&wait, &released);
        if (__atomic_load_n(&releases, __ATOMIC_SEQ_CST) != seen) {
            app_wait_leave(&wait);
        } else {
            __atomic_store_n(&t->waits_with, file, __ATOMIC_SEQ_CST);
            error = app_wait(&wait, WAIT_FOREVER);
            __atomic_store_n(&t->waits_with, NULL, __ATOMIC_SEQ_CST);
        }
    }
    return error;
}

/* ---- ranges ---- */

static int range_of(struct file *file, const struct linux_flock *in, struct file_lock *out)
{
    enum { START, POSITION, END };
    int64_t first = in->start, last;

    if (in->whence == POSITION)
        first += (int64_t)file->position;
    else if (in->whence == END)
        first += (int64_t)file->inode->size;
    else if (in->whence != START)
        return -EINVAL;
    last = TO_THE_END;
    if (in->length > 0 && __builtin_add_overflow(first, in->length - 1, &last))
        return -EOVERFLOW;
    if (in->length < 0) {
        last = first - 1;
        first += in->length;
    }
    if (first < 0)
        return -EINVAL;
    out->first = first;
    out->last = last;
    return 0;
}

static int check_type(const struct file *file, int type)
{
    unsigned access = file->flags & OPEN_ACCESS;

    if (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK)
        return -EINVAL;
    if ((type == F_RDLCK && access == OPEN_WRITE) || (type == F_WRLCK && access == OPEN_READ))
        return -EBADF;
    return 0;
}

static int query(const struct file_lock *wanted, struct linux_flock *l)
{
    mutex_lock(&lock);
    const struct file_lock *other = conflict_locked(wanted);
    l->type = F_UNLCK;
    if (other) {
        l->type = other->exclusive ? F_WRLCK : F_RDLCK;
        l->whence = 0;
        l->start = other->first;
        l->length = other->last == TO_THE_END ? 0 : other->last - other->first + 1;
        l->pid = other->owner ? -1 : (int32_t)app.pid;
    }
    mutex_unlock(&lock);
    return 0;
}

long locks_fcntl(struct file *file, uint64_t command, uint64_t address)
{
    bool of_file = command >= F_OFD_GETLK;
    struct linux_flock l;

    int error = app_copy_in(&l, address, sizeof(l));
    if (error)
        return error;
    struct file_lock wanted = {
        .inode = file->inode,
        .owner = of_file ? file : NULL,
        .exclusive = l.type == F_WRLCK,
    };
    if (of_file && l.pid)
        return -EINVAL;
    error = range_of(file, &l, &wanted);
    if (error)
        return error;
    if (command == F_GETLK || command == F_OFD_GETLK) {
        if (l.type != F_RDLCK && l.type != F_WRLCK)
            return -EINVAL;
        query(&wanted, &l);
        return app_copy_out(address, &l, sizeof(l));
    }
    error = check_type(file, l.type);
    if (error)
        return error;
    return set(file, &wanted, l.type == F_UNLCK, command == F_SETLKW || command == F_OFD_SETLKW);
}

/* (fd, operation) */
SYSCALL(flock)
{
    enum { SHARED = 1, EXCLUSIVE = 2, NO_WAIT = 4, UNLOCK = 8 };
    uint64_t operation = args->a[1] & ~(uint64_t)NO_WAIT;
    struct file *file;

    if (operation != SHARED && operation != EXCLUSIVE && operation != UNLOCK)
        return -EINVAL;
    int error = file_of(args->a[0], &file);
    if (error)
        return error;
    struct file_lock wanted = {
        .inode = file->inode,
        .owner = file,
        .whole = true,
        .exclusive = operation == EXCLUSIVE,
        .last = TO_THE_END,
    };
    error = set(file, &wanted, operation == UNLOCK, !(args->a[1] & NO_WAIT));
    file_put(file);
    return error;
}
