// SPDX-License-Identifier: MIT
/*
 * What the files of src/fs/ext2 share: the mounted filesystem, the inode in memory, changes.
 *
 * Locks, outermost first (those of vfs.h come before all of them):
 *     gate -> data_lock -> page lock -> map_lock -> alloc_lock -> buf->lock -> list_lock (spin)
 * No two map_locks or buf->locks are held at once. All of them may be held while this filesystem's
 * device is read; what is below is another filesystem with locks of its own, so the order never
 * closes a ring.
 *
 * The gate: whoever changes metadata is inside it (ext2_enter .. ext2_leave); a full sync closes it
 * and so sees a state in which no change is half done. Readers never enter. In the gate nobody
 * waits for an inode->lock.
 *
 * A change, in three steps: prepare (read and pin blocks, claim free ones; may fail, then cancel),
 * copy the caller's data, commit (in memory; cannot fail). The caller holds the inode->locks that
 * vfs.h says.
 */
#pragma once

#include <block/buf.h>
#include <block/mapping.h>
#include <fs/ext2/ext2_disk.h>
#include <lib/bits.h>
#include <rt/assert.h>
#include <vfs/vfs.h>

#define EXT2_PIN_BUCKETS 64u
#define EXT2_ORDERS_MAX 32u
#define EXT2_PAGE_BLOCKS_MAX 4u /* blocks of 1 KiB in a page */
#define EXT2_CLAIMS_MAX (EXT2_PAGE_BLOCKS_MAX + 3)

struct ext2_group {
    uint32_t block_bitmap_block, inode_bitmap_block, inode_table; /* as on the disk, checked */
    /* alloc_lock */
    uint32_t free_blocks, free_inodes, used_dirs;
    struct buf *block_bitmap, *inode_bitmap; /* read when first needed, then pinned */
    uint8_t *pending;                        /* one bit a block that was freed: see alloc.c */
    uint32_t pending_count;
    bool counts_changed;
};

/* Changers go in and out; a sync closes it. */
struct ext2_gate {
    struct mutex lock;
    struct cond moved;
    uint32_t inside; /* lock */
    bool closed;     /* lock */
    struct lock_dep dep; /* of being inside, or of having closed it: of a debug build */
};
#define ext2_gate_set_level(gate, level)                                                           \
    (lock_dep_set(&(gate)->dep, LOCK_CLASS_HERE("ext2 gate"), level),                              \
     mutex_set_class(&(gate)->lock, LOCK_CLASS_HERE("ext2 gate's mutex"), level))

/* A changed block that must reach the disk at its turn; held by reference until then. */
enum ext2_pin_kind {
    EXT2_PIN_FRESH,    /* nothing on the disk leads to it yet */
    EXT2_PIN_POINTERS, /* an indirect block in use */
    EXT2_PIN_NAMES,    /* a directory's */
};
struct ext2_pin {
    struct list link;
    struct buf *buf;
    enum ext2_pin_kind kind;
};

/* A rename across blocks: @later must not be written before @first has been; see sync.c for the
 * stages. */
struct ext2_order {
    uint64_t first, later; /* block numbers */
    uint32_t stage;        /* of @later */
};
#define EXT2_STAGE_NEW_NAMES 0u
#define EXT2_STAGE_PARENTS 1u
#define EXT2_STAGE_OLD_NAMES 2u

/* An inode that is gone from memory and not yet from the disk. */
struct ext2_dead {
    struct list link;
    struct buf *table;
    uint32_t table_offset, number, time;
    bool directory;
};

struct ext2_fs {
    struct super *super;
    struct bdev *bdev;
    const char *source; /* lives for ever, for the log */

    /* geometry, constant */
    uint32_t block_bytes, block_shift, sectors_per_block, pointers_shift;
    uint32_t blocks_count, first_data_block, blocks_per_group;
    uint32_t inodes_count, inodes_per_group, first_inode, inode_bytes;
    uint32_t group_count, gdt_blocks, table_blocks, overhead, reserved_gdt_blocks;
    uint32_t revision, compat, incompat, ro_compat;
    uint64_t size_max;
    uint32_t reserved_blocks;
    bool has_file_type;
    bool was_valid; /* cleanly unmounted before this mount */

    struct buf *super_buf;        /* pinned, as the next ones */
    struct ext2_super_disk *disk; /* inside super_buf */
    struct buf **gdt;
    struct ext2_group *groups;

    struct mutex alloc_lock; /* bitmaps, groups, counts */
    uint64_t free_blocks, free_inodes, pending_blocks, pending_inodes;
    uint32_t next_generation;

    struct ext2_gate gate;

    struct spinlock list_lock;
    struct list pins[EXT2_PIN_BUCKETS];
    struct list dirty; /* ext2_inode.dirty_link */
    struct list dead;  /* ext2_dead.link */
    struct ext2_order orders[EXT2_ORDERS_MAX];
    uint32_t order_count, pin_count;
    uint64_t change_seq; /* changes of now carry it; counted on by every full sync */
    uint64_t synced_seq; /* changes up to it are on the disk */

    struct mutex data_lock;  /* one walk over the dirty files at a time; also taken without the gate */
    uint64_t sync_round;     /* data_lock: the walk's number */
    uint64_t data_asked;     /* atomic: walks asked for */
    uint64_t data_done;      /* data_lock: those asked for up to here are done */

    uint64_t next_sync_ns; /* write-back: not before, unless much is dirty */
    uint64_t write_seq;    /* atomic: writes that ended */
    uint64_t flushed_seq;  /* atomic: those that a flush has covered */

    bool damaged;         /* something on the disk contradicts itself */
    int data_error;       /* atomic: -EIO while a file's data cannot be written */
    bool frozen;          /* damaged, and the superblock says: then no more changes */
    uint64_t log_next_ns; /* when the next complaint may be printed */
    uint32_t log_suppressed;
};

/* Blocks and inodes that a change has read; made into pins of the filesystem by its commit. */
struct ext2_change {
    struct list pins;
};

/* One extension of an inode's block map: up to a page's worth of data blocks and what leads to
 * them. */
struct ext2_growth {
    struct ext2_change change;
    struct buf *parent; /* where a new chain of indirect blocks is hung in; NULL: the inode */
    uint32_t parent_slot, parent_value;
    struct buf *leaf; /* holds the data pointers; NULL: the inode */
    bool leaf_is_new;
    uint32_t slot, count; /* the pointers concerned, within the leaf */
    uint32_t data[EXT2_PAGE_BLOCKS_MAX];
    uint32_t missing; /* bit i: data[i] was claimed and is to be stored */
    uint32_t claim_count;
    uint32_t claims[EXT2_CLAIMS_MAX];
};

/* The way down to what one step of a trim frees. */
struct ext2_trim_path {
    uint32_t root;   /* slot in the inode */
    uint32_t height; /* of bufs[depth - 1]: 0 is a leaf */
    uint32_t depth;
    uint32_t slots[3]; /* slots[i] in bufs[i - 1] names bufs[i]; slots[0] unused */
    struct buf *bufs[3];
    uint64_t start; /* first block to free, within bufs[depth - 1] */
};

struct ext2_inode {
    struct inode inode;
    struct mapping mapping; /* contents of regular files */
    struct buf *table;      /* the inode's block of the table, pinned while the inode is cached */
    uint32_t table_offset;
    uint32_t flags, generation, file_acl;
    bool evicted; /* inside the gate: nothing is left of it but a note in fs->dead */
    bool fresh;   /* what is on the disk belongs to a predecessor */

    struct mutex map_lock; /* block[], indirect blocks, inode.blocks */
    uint32_t block[EXT2_POINTERS];
    bool trim_pending;  /* inode.lock or closed gate: blocks behind the size await freeing */
    uint32_t goal;      /* inode.lock: where the next block is best allocated */
    uint32_t parent;    /* directories: the one that ".." names, once that was looked at; else 0 */
    uint32_t room_hint; /* inode.lock: directory block that had room last */
    struct ext2_growth
        growth; /* inode.lock, inside the gate; here to keep stacks small, as the next */
    struct ext2_trim_path
        trim_path; /* who trims has the inode for itself: that lock, or it is deleted */

    uint64_t changed_seq; /* change_seq of the last change that needs a full sync */
    bool stale;           /* newer than what is in the table's buffer */
    bool unwritten;       /* its data could not be written when it was tried last */
    /* list_lock */
    bool dirty;     /* in fs->dirty */
    bool dirty_ref; /* which then holds a reference */
    uint64_t sync_mark;
    struct list dirty_link;
};

static inline struct ext2_fs *ext2_of_super(const struct super *super) { return super->private; }
static inline struct ext2_fs *ext2_of(const struct inode *inode) { return inode->super->private; }
static inline struct ext2_inode *ext2_inode(struct inode *inode)
{
    return container_of(inode, struct ext2_inode, inode);
}

/* ---- fault.c: what is wrong on the disk ---- */
/* Says it (rate-limited), remembers it in the superblock; always -EUCLEAN. @what is a literal. */
int ext2_damaged(struct ext2_fs *fs, uint64_t inode_number, const char *what, uint64_t value);
/* A copy of @source that is never freed; equal texts share one. NULL: no memory. */
const char *ext2_intern(const char *source);

/* ---- check.c: is it ours, is it sane ---- */
/* Fills in the geometry. -EINVAL, said on the console; @read_only may be turned on by features. */
int ext2_check_super(struct ext2_fs *fs, const struct ext2_super_disk *disk, bool read_only);
int ext2_check_group(struct ext2_fs *fs, uint32_t index, const struct ext2_group_disk *disk);
bool ext2_group_has_super(const struct ext2_fs *fs, uint32_t group);
uint32_t ext2_group_blocks(const struct ext2_fs *fs, uint32_t group);
/* Blocks at the start of @group that superblock and descriptors take. */
uint32_t ext2_group_head(const struct ext2_fs *fs, uint32_t group);
/* Whether a file may own @block: inside the filesystem, not one of its tables. */
bool ext2_block_valid(const struct ext2_fs *fs, uint32_t block);

/* ---- change.c: the gate, pins, marks ---- */
void ext2_gate_init(struct ext2_gate *gate);
/* -EROFS when nothing may be changed (any more). */
int ext2_enter(struct ext2_fs *fs);
void ext2_enter_always(struct ext2_fs *fs);
void ext2_leave(struct ext2_fs *fs);
void ext2_close_gate(struct ext2_fs *fs);
void ext2_open_gate(struct ext2_fs *fs);

static inline void ext2_change_init(struct ext2_change *change) { list_init(&change->pins); }
/* Takes a reference of its own. A block that is pinned already keeps its first kind. -ENOMEM. */
int ext2_pin(struct ext2_change *change, struct buf *buf, enum ext2_pin_kind kind);
void ext2_change_commit(struct ext2_fs *fs, struct ext2_change *change);
void ext2_change_cancel(struct ext2_change *change);
/* A block of metadata was freed: drops its pin and what is cached of it. */
void ext2_forget_block(struct ext2_fs *fs, uint32_t block);
/* @buf->lock held: buf_mark_dirty(), unless a damaged filesystem has had the block freed meanwhile.
 * */
void ext2_mark_buf(struct ext2_fs *fs, struct buf *buf);
/* The inode in memory is newer than the disk. @structural: fsync of it must be a full sync. */
void ext2_mark(struct ext2_inode *ei, bool structural);
/* Takes it off the dirty list. */
void ext2_unmark(struct ext2_inode *ei);
/* Its last name is gone: the dirty list lets go of the reference, so that it can be evicted. */
void ext2_orphaned(struct ext2_inode *ei);

/* ---- alloc.c: blocks ---- */
int ext2_claim_block(struct ext2_fs *fs, uint32_t goal, uint32_t *out); /* -ENOSPC, -EIO */
void ext2_unclaim_block(struct ext2_fs *fs, uint32_t block);
/* Makes sure that ext2_free_commit() of the same block cannot fail; if the bitmap is damaged it
 * will leak it. */
int ext2_free_prepare(struct ext2_fs *fs, uint32_t block);
void ext2_free_commit(struct ext2_fs *fs, uint32_t block);
/* After ext2_free_prepare(): whether it is free already, or about to be, or will be leaked. */
bool ext2_is_freed(struct ext2_fs *fs, uint32_t block);
/* Closed gate: what was freed becomes free. */
void ext2_release_pending(struct ext2_fs *fs);
/* Closed gate: counts go into the descriptors' and the superblock's buffers. */
void ext2_store_counts(struct ext2_fs *fs);

/* ---- ialloc.c: inode numbers ---- */
int ext2_claim_inode(struct ext2_fs *fs, const struct ext2_inode *dir, bool directory,
                     uint32_t *out);
void ext2_unclaim_inode(struct ext2_fs *fs, uint32_t number, bool directory);
int ext2_load_inode_bitmap(struct ext2_fs *fs, uint32_t group);

/* ---- inode.c: the inode table ---- */
struct inode *ext2_inode_alloc(struct super *super);
void ext2_inode_free(struct inode *inode);
int ext2_inode_read(struct inode *inode);
/* Reads the table block of inode @number. */
int ext2_table_read(struct ext2_fs *fs, uint32_t number, struct buf **out, uint32_t *offset);
/* Whether a slot of the table that is about to be used holds an inode with names. */
bool ext2_table_in_use(const struct buf *table, uint32_t offset);
/* Copies the inode to its table block's buffer. map_lock held, or the gate closed. */
void ext2_inode_store(struct ext2_inode *ei);
void ext2_dead_store(struct ext2_fs *fs, const struct ext2_dead *dead);
int ext2_setattr(struct inode *inode, const struct inode_attr *attr);
/* Sets ops by the mode. */
void ext2_inode_set_ops(struct inode *inode);
void ext2_touch(struct inode *inode, bool modified);
bool ext2_is_fast_symlink(const struct ext2_inode *ei);

/* ---- evict.c ---- */
int ext2_evict(struct inode *inode);
/* The same inside the gate, or with the gate closed. */
int ext2_evict_inside(struct ext2_inode *ei);

/* ---- bmap.c, grow.c: from a file's block to the device's ---- */
/* Splits a file's block number in slots, the first in the inode; returns how many, 0: too big. */
unsigned ext2_split(const struct ext2_fs *fs, uint64_t file_block, uint32_t slots[4]);
/* @count blocks from @first on, which lie in one leaf; 0 is a hole, also in place of a damaged
 * pointer. */
int ext2_bmap(struct ext2_inode *ei, uint64_t first, uint32_t count, uint32_t *out);
/* Looks up @count blocks from @first on and claims what is missing; growth.data has the claimed
 * ones. */
int ext2_grow_prepare(struct ext2_inode *ei, uint64_t first, uint32_t count);
void ext2_grow_commit(struct ext2_inode *ei);
void ext2_grow_cancel(struct ext2_inode *ei);

/* ---- trim.c ---- */
/* Frees all blocks from file block @keep on, a leaf at a time; what is done stays done on an error.
 * */
int ext2_trim(struct ext2_inode *ei, uint64_t keep);
/* Finishes an earlier truncation, if there is one to finish. */
int ext2_trim_to_size(struct ext2_inode *ei);

/* ---- file.c ---- */
extern const struct mapping_ops ext2_mapping_ops;
/* Writers help when too much is dirty; their data is safe in memory either way. */
void ext2_relieve(struct ext2_inode *ei);

/* ---- mapped.c ---- */
int ext2_map_page(struct inode *inode, uint64_t index, bool write, struct page_into *into);
void ext2_unmap_page(struct inode *inode, uint64_t index);
void ext2_page_cleans(struct mapping *mapping, struct cpage *page);
void ext2_page_leaves(struct mapping *mapping, struct cpage *page);
ssize_t ext2_read_at(struct inode *inode, void *dst, size_t bytes, uint64_t offset);
ssize_t ext2_write_at(struct inode *inode, const void *src, size_t bytes, uint64_t offset);
int ext2_truncate(struct inode *inode, uint64_t size);

/* ---- dir.c: directory records ---- */
struct ext2_slot {
    struct buf *buf; /* referenced */
    uint32_t offset; /* of the record in it */
    uint32_t block_index;
    uint32_t inode, record_bytes;
};
int ext2_dir_find(struct ext2_inode *dir, const char *name, size_t length, struct ext2_slot *out);
/* A record with room for a name of @length bytes; extends the directory if there is none: then
 * dir->growth is prepared and @grown set. */
int ext2_dir_room(struct ext2_inode *dir, size_t length, struct ext2_slot *out, bool *grown);
void ext2_dir_room_commit(struct ext2_inode *dir, const struct ext2_slot *slot, bool grown);
void ext2_dir_room_cancel(struct ext2_inode *dir, struct ext2_slot *slot, bool grown);
void ext2_dir_insert(struct ext2_inode *dir, const struct ext2_slot *slot, const char *name,
                     size_t length, uint32_t number, uint32_t mode);
void ext2_dir_remove(struct ext2_inode *dir, const struct ext2_slot *slot);
void ext2_dir_replace(struct ext2_inode *dir, const struct ext2_slot *slot, uint32_t number,
                      uint32_t mode);
/* Lays out "." and ".." in an empty block. */
void ext2_dir_format(struct ext2_fs *fs, void *data, uint32_t self, uint32_t parent);
int ext2_dir_is_empty(struct ext2_inode *dir); /* 1, 0, -errno */
/* Whether @child, found under a name in @dir, has it for its parent: else the tree is none. */
int ext2_dir_check_parent(const struct ext2_inode *dir, struct ext2_inode *child);
/* The ".." record of @dir. */
int ext2_dir_parent(struct ext2_inode *dir, struct ext2_slot *out);
int ext2_readdir(struct inode *dir, uint64_t offset, struct dir_sink *sink);

/* ---- namei.c, create.c, rename.c ---- */
extern const struct inode_ops ext2_dir_ops, ext2_file_ops, ext2_symlink_ops, ext2_node_ops;
int ext2_create(struct inode *dir, const char *name, size_t length, uint32_t mode, uint64_t dev,
                const char *target, struct inode **out);
int ext2_rename(struct inode *old_dir, const char *old_name, size_t old_length, struct inode *moved,
                struct inode *new_dir, const char *new_name, size_t new_length,
                struct inode *replaced);
/* Prepared and committed by unlink, rmdir and rename alike: one link of @victim is gone. */
void ext2_drop_link(struct ext2_inode *victim);
/* May @dir lose or change the name of @victim? -EPERM. */
int ext2_may_remove(const struct ext2_inode *dir, const struct ext2_inode *victim);

/* ---- sync.c ---- */
/* Everything but data that the device does not take: that stays dirty and is for its file's fsync.
 */
int ext2_sync_fs(struct ext2_fs *fs);
/* The same, and -EIO if there is such data. */
int ext2_sync_all(struct ext2_fs *fs);
int ext2_sync_super(struct super *super);
/* A full sync if the last one is a while ago, or much is dirty. */
int ext2_write_some(struct super *super);
int ext2_sync_inode(struct inode *inode, bool data_only); /* fsync.c */
/* Whether a full sync would give blocks or inodes back. */
bool ext2_sync_frees(struct ext2_fs *fs);
/* A write to the device has ended / flush unless all that ended is covered. */
void ext2_wrote(struct ext2_fs *fs);
int ext2_flush(struct ext2_fs *fs);
