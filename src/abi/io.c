// SPDX-License-Identifier: MIT
/*
 * read, write and their kin. The app's buffer goes down as it is: here it is checked against the
 * mappings and made present, piece by piece, and then the VFS copies to and from it. Between the
 * entry of a system call and the first probe lie only these functions, so their frames are kept
 * small.
 *
 * A transfer that stops half-way, for want of anything, returns what it did; the error shows at
 * the next call.
 */
#include <abi/at.h>
#include <abi/copy.h>
#include <abi/io.h>
#include <abi/memory.h>
#include <abi/process.h>
#include <abi/syscalls.h>
#include <lib/bits.h>
#include <rt/heap.h>

/* Most that is made present at once. */
#define PIECE_BYTES MIB(4)
#define BOUNCE_BYTES PAGE_BYTES

/* What has a position, and a lock on it: a read of a terminal must not block a write to it. */
static bool has_position(const struct file *file)
{
    uint32_t type = file->inode->mode & MODE_TYPE;
    return type == MODE_FILE || type == MODE_DIR || type == MODE_BLOCK;
}

static int check(const struct transfer *t, uint64_t address, uint64_t bytes)
{
    return t->direction == READ ? app_check_write(address, bytes) : app_check_read(address, bytes);
}

/* Of a buffer that is not all good: how many bytes of its start are. */
static noinline uint64_t good_bytes(const struct transfer *t, uint64_t address, uint64_t bytes)
{
    uint64_t first = PAGE_BYTES - address % PAGE_BYTES;
    if (first >= bytes || check(t, address, first))
        return 0;
    uint64_t good = 0, bad = (bytes - first) / PAGE_BYTES + 1;  /* pages behind the first */
    while (bad - good > 1) {
        uint64_t middle = good + (bad - good) / 2;
        if (check(t, address, first + middle * PAGE_BYTES))
            bad = middle;
        else
            good = middle;
    }
    return first + good * PAGE_BYTES;
}

/*
 * Into a mapped file: by way of a buffer, since write-back of that file may take the right to write
 * away while the data comes. What is moved is less than @bytes only at the end.
 */
static noinline ssize_t read_to_mapped(struct transfer *t, uint64_t address, uint64_t bytes)
{
    uint64_t done = 0, offset = t->offset;
    ssize_t got = 0;
    void *buffer = heap_alloc(BOUNCE_BYTES);

    if (!buffer)
        return -ENOMEM;
    while (done < bytes) {
        size_t step = MIN(bytes - done, (uint64_t)BOUNCE_BYTES);
        got = vfs_read(t->file, buffer, step, offset + done);
        int error = got > 0 ? app_copy_out(address + done, buffer, (size_t)got) : 0;
        if (error)
            got = error;
        if (got <= 0)
            break;
        done += (uint64_t)got;
        if ((size_t)got < step)
            break;
    }
    heap_free(buffer);
    return done ? (ssize_t)done : got;
}

static ssize_t move_piece(struct transfer *t, uint64_t address, uint64_t bytes)
{
    const struct stream_ops *stream = t->file->stream;

    if (stream && t->direction == READ)
        return stream->stream_read ? stream->stream_read(t->file, (void *)address, bytes) : -EINVAL;
    if (stream)
        return stream->stream_write ? stream->stream_write(t->file, (void *)address, bytes) : -EINVAL;
    if (t->direction == READ && memory_is_shared_file(address, bytes))
        return read_to_mapped(t, address, bytes);
    int error = check(t, address, bytes);
    if (error == -EFAULT) {
        bytes = good_bytes(t, address, bytes);
        error = bytes ? 0 : error;
    }
    if (error)
        return error;
    if (t->direction == READ)
        return vfs_read(t->file, (void *)address, bytes, t->offset);
    return vfs_write(t->file, (const void *)address, bytes, t->offset);
}

/* One buffer, at t->offset. A result below @bytes with *@stop set ends the transfer. */
static ssize_t move_buffer(struct transfer *t, uint64_t address, uint64_t bytes, bool *stop)
{
    uint64_t done = 0;
    do {
        uint64_t piece = MIN(bytes - done, (uint64_t)PIECE_BYTES);
        ssize_t moved = move_piece(t, address + done, piece);
        if (moved < 0) {
            *stop = true;
            return done ? (ssize_t)done : moved;
        }
        done += (uint64_t)moved;
        t->offset += (uint64_t)moved;
        if ((uint64_t)moved < piece) {
            *stop = true;
            break;
        }
    } while (done < bytes);
    return (ssize_t)done;
}

static ssize_t move_all(struct transfer *t)
{
    const struct linux_iovec *vector = t->vector;
    ssize_t total = 0;
    bool stop = false;

    for (uint32_t i = 0; i < t->count && !stop; i++) {
        if (vector[i].bytes == 0 && t->count > 1)
            continue;
        ssize_t moved = move_buffer(t, vector[i].base, vector[i].bytes, &stop);
        if (moved < 0)
            return total ? total : moved;
        total += moved;
    }
    return total;
}

static ssize_t move_at_position(struct transfer *t)
{
    struct file *file = t->file;

    if (!has_position(file))
        return move_all(t);
    mutex_lock(&file->position_lock);
    t->offset = file->position;
    ssize_t total = move_all(t);
    if (total > 0 && t->direction == WRITE && (file->flags & OPEN_APPEND))
        file->position = file->append_end;
    else if (total > 0)
        file->position += (uint64_t)total;
    mutex_unlock(&file->position_lock);
    return total;
}

static int open_transfer(struct transfer *t, uint64_t fd)
{
    int error = file_of(fd, &t->file);
    if (error)
        return error;
    unsigned access = t->file->flags & OPEN_ACCESS;
    if (access == (t->direction == READ ? OPEN_WRITE : OPEN_READ))
        error = -EBADF;
    else if (t->direction == READ && mode_is_dir(t->file->inode->mode))
        error = -EISDIR;
    else if (t->positioned && !has_position(t->file))
        error = -ESPIPE;
    else if (t->positioned && (int64_t)t->offset < 0)
        error = -EINVAL;
    if (error)
        file_put(t->file);
    return error;
}

static long run_transfer(struct transfer *t, uint64_t fd)
{
    int error = open_transfer(t, fd);
    if (error)
        return error;
    ssize_t total = t->positioned ? move_all(t) : move_at_position(t);
    file_put(t->file);
    return total;
}

static void free_vector(struct transfer *t)
{
    if (t->vector != t->few)
        heap_free(t->vector);
}

/* Copies in a vector; its buffers lie in app space, and their sum is capped as Linux caps it. */
static int vector_in(struct transfer *t, uint64_t address, uint64_t count)
{
    uint64_t total = 0;

    if (count > IOV_MAX)
        return -EINVAL;
    t->count = (uint32_t)count;
    if (count == 0)
        return 0;
    if (count > TRANSFER_FEW)
        t->vector = heap_alloc(count * sizeof(*t->vector));
    if (!t->vector)
        return -ENOMEM;
    int error = app_copy_in(t->vector, address, count * sizeof(*t->vector));
    for (uint32_t i = 0; !error && i < count; i++) {
        struct linux_iovec *v = &t->vector[i];
        if ((int64_t)v->bytes < 0)
            error = -EINVAL;
        else if (v->bytes && (v->base >= ARCH_APP_END || ARCH_APP_END - v->base < v->bytes))
            error = -EFAULT;
        v->bytes = MIN(v->bytes, RW_BYTES_MAX - total);
        total += v->bytes;
    }
    if (error)
        free_vector(t);
    return error;
}

static struct transfer *begin_transfer(const struct syscall_args *args, enum direction direction,
                                       bool positioned)
{
    struct transfer *t = &app_thread_current()->transfer;
    t->direction = direction;
    t->positioned = positioned;
    t->offset = positioned ? args->a[3] : 0;
    t->count = 1;
    t->vector = t->few;
    return t;
}

static long run_one(const struct syscall_args *args, enum direction direction, bool positioned)
{
    struct transfer *t = begin_transfer(args, direction, positioned);
    t->few[0].base = args->a[1];
    t->few[0].bytes = MIN(args->a[2], (uint64_t)RW_BYTES_MAX);
    return run_transfer(t, args->a[0]);
}

static long run_vector(const struct syscall_args *args, enum direction direction, bool positioned)
{
    struct transfer *t = begin_transfer(args, direction, positioned);
    int error = vector_in(t, args->a[1], args->a[2]);
    if (error)
        return error;
    long total = run_transfer(t, args->a[0]);
    free_vector(t);
    return total;
}

SYSCALL(read)
{
    return run_one(args, READ, false);
}

SYSCALL(write)
{
    return run_one(args, WRITE, false);
}

SYSCALL(pread64)
{
    return run_one(args, READ, true);
}

SYSCALL(pwrite64)
{
    return run_one(args, WRITE, true);
}

SYSCALL(readv)
{
    return run_vector(args, READ, false);
}

SYSCALL(writev)
{
    return run_vector(args, WRITE, false);
}

SYSCALL(preadv)
{
    return run_vector(args, READ, true);
}

SYSCALL(pwritev)
{
    return run_vector(args, WRITE, true);
}

/*
 * (fd, vector, count, offset low, offset high, flags): offset -1 is the file's position; no flags
 * here
 */
SYSCALL(preadv2)
{
    return args->a[5] ? -EOPNOTSUPP : run_vector(args, READ, args->a[3] != UINT64_MAX);
}

SYSCALL(pwritev2)
{
    return args->a[5] ? -EOPNOTSUPP : run_vector(args, WRITE, args->a[3] != UINT64_MAX);
}

enum { FROM_START, FROM_POSITION, FROM_END, TO_DATA, TO_HOLE };

/* All of a file counts as data, which the call's definition allows. Position locked. */
static int64_t seek_target(const struct file *file, int64_t offset, uint64_t whence)
{
    int64_t base = 0, size = (int64_t)file->inode->size, target;

    switch (whence) {
    case FROM_START:
        break;
    case FROM_POSITION:
        base = (int64_t)file->position;
        break;
    case FROM_END:
        base = size;
        break;
    case TO_DATA:
    case TO_HOLE:
        if (offset < 0 || offset >= size)
            return -ENXIO;
        return whence == TO_DATA ? offset : size;
    default:
        return -EINVAL;
    }
    if (__builtin_add_overflow(base, offset, &target))
        return -EOVERFLOW;
    return target < 0 ? -EINVAL : target;
}

/* (fd, offset, whence) */
SYSCALL(lseek)
{
    struct file *file;

    int error = file_of(args->a[0], &file);
    if (error)
        return error;
    int64_t target = -ESPIPE;
    if (has_position(file)) {
        mutex_lock(&file->position_lock);
        target = seek_target(file, (int64_t)args->a[1], args->a[2]);
        if (target >= 0)
            file->position = (uint64_t)target;
        mutex_unlock(&file->position_lock);
    }
    file_put(file);
    return target;
}
