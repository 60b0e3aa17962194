// SPDX-License-Identifier: MIT
/* Attributes of inodes and filesystems: times, setattr, readlink, statfs. */
#include <vfs/internal.h>

struct fs_timestamp fs_now(void)
{
    uint64_t now = arch_wall_ns();

    return (struct fs_timestamp){ (int64_t)(now / NS_PER_S), (uint32_t)(now % NS_PER_S) };
}

void inode_touch(struct inode *inode, bool modified)
{
    inode->ctime = fs_now();
    if (modified)
        inode->mtime = inode->ctime;
}

void inode_apply_attr(struct inode *inode, const struct inode_attr *attr)
{
    if (attr->mask & SET_MODE)
        inode->mode = (inode->mode & MODE_TYPE) | (attr->mode & 07777);
    if (attr->mask & SET_UID)
        inode->uid = attr->uid;
    if (attr->mask & SET_GID)
        inode->gid = attr->gid;
    if (attr->mask & SET_ATIME)
        inode->atime = attr->atime;
    if (attr->mask & SET_MTIME)
        inode->mtime = attr->mtime;
    inode_touch(inode, false);
}

int vfs_setattr(const struct path *path, const struct inode_attr *attr)
{
    struct inode *inode = path->inode;

    if (inode->super->read_only)
        return -EROFS;
    if (!inode->ops->setattr)
        return -EPERM;
    mutex_lock(&inode->lock);
    int err = inode->ops->setattr(inode, attr);
    mutex_unlock(&inode->lock);
    return err;
}

ssize_t vfs_readlink(const struct path *base, const char *name, char *dst, size_t bytes)
{
    struct path path;
    int err = path_walk(base, name, 0, &path);

    if (err)
        return err;
    struct inode *inode = path.inode;
    ssize_t length = -EINVAL;
    if (mode_is_symlink(inode->mode) && inode->ops->readlink)
        length = inode->ops->readlink(inode, dst, bytes);
    path_put(&path);
    return length;
}

/* Flags of statfs(2), as Linux has them. */
#define STAT_READ_ONLY 1u
#define STAT_VALID 0x20u
#define STAT_NOATIME 0x400u

int vfs_statfs(const struct path *path, struct fs_stat *out)
{
    struct super *super = path->inode->super;

    *out = (struct fs_stat){ .block_bytes = 4096, .name_max = NAME_BYTES_MAX };
    int err = super->ops->statfs ? super->ops->statfs(super, out) : 0;
    out->flags |= STAT_VALID | STAT_NOATIME | (super->read_only ? STAT_READ_ONLY : 0);
    return err;
}
