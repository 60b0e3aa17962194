// SPDX-License-Identifier: MIT
/* The registry of character devices. They are registered at boot and stay; devfs shows them. */
#include <lib/string.h>
#include <vfs/vfs.h>

static struct spinlock lock = SPINLOCK_NAMED("character devices");
static struct list devices = LIST_INIT(devices); /* lock */

int chardev_register(struct chardev *dev)
{
    struct chardev *other;
    int err = 0;
    bool irq = spin_lock(&lock);

    list_for_each (other, &devices, link)
        if (other->dev == dev->dev || strcmp(other->name, dev->name) == 0)
            err = -EEXIST;
    if (!err)
        list_push_back(&devices, &dev->link);
    spin_unlock(&lock, irq);
    return err;
}

struct chardev *chardev_by_index(uint32_t index)
{
    struct chardev *dev, *found = NULL;
    bool irq = spin_lock(&lock);

    list_for_each (dev, &devices, link) {
        if (index-- == 0) {
            found = dev;
            break;
        }
    }
    spin_unlock(&lock, irq);
    return found;
}

struct chardev *chardev_find(const char *name, size_t length)
{
    struct chardev *dev, *found = NULL;
    bool irq = spin_lock(&lock);

    list_for_each (dev, &devices, link)
        if (strlen(dev->name) == length && memcmp(dev->name, name, length) == 0)
            found = dev;
    spin_unlock(&lock, irq);
    return found;
}

struct chardev *chardev_by_dev(uint64_t number)
{
    struct chardev *dev, *found = NULL;
    bool irq = spin_lock(&lock);

    list_for_each (dev, &devices, link)
        if (dev->dev == number)
            found = dev;
    spin_unlock(&lock, irq);
    return found;
}
