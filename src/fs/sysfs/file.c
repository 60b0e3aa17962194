// SPDX-License-Identifier: MIT
/*
 * Files of sysfs. The text is made when a read begins at offset 0 and kept with the open file, so
 * what a reader gets piece by piece belongs together. A write is one value: the whole of it goes to
 * the attribute's store().
 */
#include <fs/sysfs/internal.h>
#include <lib/bits.h>
#include <lib/string.h>
#include <rt/heap.h>
#include <rt/page.h>

#define TEXT_ORDER_MAX 9u /* 2 MiB */
#define TEXT_TAIL_BYTES 48u
#define VALUE_BYTES_MAX 4096u

struct open_text {
    struct mutex lock;
    char *text; /* 2^order pages; NULL: nothing was read yet */
    unsigned order;
    size_t length;
};

static int file_open(struct inode *inode, struct file *file)
{
    const struct sysfs_node *node = inode->private;

    if ((file->flags & OPEN_ACCESS) != OPEN_READ && !node->attr->ops->store)
        return -EACCES;
    struct open_text *open = heap_zalloc(sizeof(*open));
    if (!open)
        return -ENOMEM;
    mutex_init_level(&open->lock, "sysfs text", 0);
    file->private = open;
    return 0;
}

static void file_close(struct inode *inode, struct file *file)
{
    struct open_text *open = file->private;

    (void)inode;
    if (open->text)
        page_free(open->text, open->order);
    heap_free(open);
}

/* Room for @bytes and a bit more, or as much as there is; the text that was there is gone. */
static int make_room(struct open_text *open, size_t bytes)
{
    unsigned wanted = log2_ceil(div_round_up(bytes + bytes / 8, PAGE_BYTES));
    unsigned order = MIN(wanted, TEXT_ORDER_MAX);
    char *room = page_alloc(order);

    while (!room && order > (open->text ? open->order + 1 : 0))
        room = page_alloc(--order);
    if (!room)
        return -ENOMEM;
    if (open->text)
        page_free(open->text, open->order);
    open->text = room;
    open->order = order;
    return 0;
}

/* What did not fit is said in the last line. */
static void tell_cut(struct open_text *open, struct strbuf *out)
{
    size_t lines = out->lines_cut;

    while (out->length && (out->text[out->length - 1] != '\n' || out->size - out->length < TEXT_TAIL_BYTES))
        lines += out->text[--out->length] == '\n';
    strbuf_printf(out, "... %lu more lines\n", lines);
    open->length = out->length;
}

/* Made again with more room while it was cut and there is more. */
static int make_text(struct open_text *open, const struct attr *attr)
{
    int err = open->text ? 0 : make_room(open, PAGE_BYTES / 2);

    if (err)
        return err;
    for (;;) {
        struct strbuf out;
        strbuf_init(&out, open->text, (size_t)PAGE_BYTES << open->order);
        attr->ops->show(attr, &out);
        open->length = out.length;
        if (!out.cut)
            return 0;
        if (open->order == TEXT_ORDER_MAX || make_room(open, out.length + out.bytes_cut + 1)) {
            tell_cut(open, &out);
            return 0;
        }
    }
}

static ssize_t file_read(struct file *file, void *dst, size_t bytes, uint64_t offset)
{
    const struct sysfs_node *node = file->inode->private;
    struct open_text *open = file->private;
    int err = 0;

    mutex_lock(&open->lock);
    if (!open->text || !offset)
        err = make_text(open, node->attr);
    if (!err) {
        bytes = offset < open->length ? MIN(bytes, (size_t)(open->length - offset)) : 0;
        err = bytes ? arch_copy(dst, open->text + offset, bytes) : 0;
    }
    mutex_unlock(&open->lock);
    return err ? err : (ssize_t)bytes;
}

static ssize_t file_write(struct file *file, const void *src, size_t bytes, uint64_t offset)
{
    const struct sysfs_node *node = file->inode->private;
    const struct attr *attr = node->attr;

    (void)offset;
    if (!bytes || bytes >= VALUE_BYTES_MAX)
        return -EINVAL;
    char *text = heap_alloc(bytes + 1);
    if (!text)
        return -ENOMEM;
    int err = arch_copy(text, src, bytes);
    if (!err) {
        text[bytes - (text[bytes - 1] == '\n')] = 0;
        text[bytes] = 0;
        err = attr->ops->store(attr, text);
    }
    heap_free(text);
    return err ? err : (ssize_t)bytes;
}

/* Shells open what they write to with O_TRUNC. */
static int file_truncate(struct inode *inode, uint64_t size)
{
    (void)inode;
    (void)size;
    return 0;
}

const struct inode_ops sysfs_file_ops = {
    .open_file = file_open,
    .close_file = file_close,
    .read_file = file_read,
    .write_file = file_write,
    .truncate = file_truncate,
};
