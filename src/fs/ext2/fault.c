// SPDX-License-Identifier: MIT
/*
 * Damage: what is said and remembered when the disk contradicts itself. The operation that met it
 * fails with -EUCLEAN; the filesystem goes on, unless its superblock asks for read-only on errors
 * (tune2fs -e; "panic" is taken as that too). The error flag in the superblock makes the next
 * e2fsck look at everything.
 */
#include <fs/ext2/ext2_fs.h>
#include <lib/string.h>
#include <rt/heap.h>
#include <rt/log.h>

#define COMPLAINT_INTERVAL_NS NS_PER_S

int ext2_damaged(struct ext2_fs *fs, uint64_t inode_number, const char *what, uint64_t value)
{
    uint64_t now = arch_now_ns();
    uint32_t suppressed = 0;
    bool say = false;

    bool irq = spin_lock(&fs->list_lock);
    fs->damaged = true;
    if (fs->disk && fs->disk->errors > EXT2_ERRORS_CONTINUE)
        fs->frozen = true;
    if (now >= fs->log_next_ns) {
        say = true;
        fs->log_next_ns = now + COMPLAINT_INTERVAL_NS;
        suppressed = fs->log_suppressed;
        fs->log_suppressed = 0;
    } else {
        fs->log_suppressed++;
    }
    spin_unlock(&fs->list_lock, irq);

    if (say)
        log_error("ext2: %s: inode %lu: %s (%lu); run e2fsck; %u more not shown", fs->source,
                  inode_number, what, value, suppressed);
    return -EUCLEAN;
}

struct interned {
    struct interned *next;
    char text[sizeof(((struct super *)0)->source)];
};
static struct spinlock interned_lock = SPINLOCK_NAMED("ext2 names");
static struct interned *interned;

const char *ext2_intern(const char *source)
{
    struct interned *e;
    bool irq = spin_lock(&interned_lock);
    for (e = interned; e; e = e->next)
        if (strcmp(e->text, source) == 0)
            break;
    if (!e) {
        e = heap_alloc(sizeof(*e));
        if (e) {
            str_copy(e->text, source, sizeof(e->text));
            e->next = interned;
            interned = e;
        }
    }
    spin_unlock(&interned_lock, irq);
    return e ? e->text : NULL;
}
