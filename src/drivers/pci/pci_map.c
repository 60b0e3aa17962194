// SPDX-License-Identifier: MIT
/*
 * Device registers in the address space, and MSI-X. The window for registers is handed out from its
 * start and never taken back: devices stay.
 */
#include <drivers/pci/pci.h>

#include <lib/bits.h>
#include <lib/errno.h>

#define PCI_BAR 0x10u
#define BAR_COUNT 6u
#define BAR_IO 1u
#define BAR_TYPE 6u
#define BAR_TYPE_64 4u

#define MSIX_CONTROL 2u
#define MSIX_TABLE 4u
#define MSIX_ENABLE 0x8000u
#define MSIX_MASK_ALL 0x4000u
#define MSIX_ENTRY_BYTES 16u

static uint64_t window_used;

static int bar_address(const struct pci_device *device, unsigned bar, uint64_t *out)
{
    if (bar >= BAR_COUNT)
        return -ENODEV;
    uint32_t low = pci_read32(device, PCI_BAR + 4 * bar);
    uint64_t address = low & ~UINT32_C(15);
    if (low & BAR_IO)
        return -ENODEV;
    if ((low & BAR_TYPE) == BAR_TYPE_64 && bar + 1 < BAR_COUNT)
        address |= (uint64_t)pci_read32(device, PCI_BAR + 4 * (bar + 1)) << 32;
    *out = address;
    return address ? 0 : -ENODEV;
}

int pci_map(const struct pci_device *device, unsigned bar, uint64_t offset, uint64_t bytes,
            volatile void **out)
{
    uint64_t phys;
    int err = bar_address(device, bar, &phys);

    if (err)
        return err;
    if (offset > ARCH_IO_WINDOW_BYTES || bytes > ARCH_IO_WINDOW_BYTES)
        return -EINVAL;
    phys += offset;
    uint64_t first = align_down(phys, PAGE_BYTES);
    uint64_t length = align_up(phys + bytes, PAGE_BYTES) - first;
    if (length > ARCH_IO_WINDOW_BYTES - window_used)
        return -EINVAL;
    uintptr_t va = arch_io_window + window_used;
    err = arch_map(va, first, length / PAGE_BYTES, ARCH_READ | ARCH_WRITE | ARCH_UNCACHED);
    if (err)
        return err;
    window_used += length;
    *out = (volatile void *)(va + (phys - first));
    return 0;
}

int pci_msix_use(const struct pci_device *device, struct irq *irq)
{
    uint32_t cap = pci_find_cap(device, PCI_CAP_MSIX, 0);
    volatile void *table;
    uint64_t address;
    uint32_t data;

    if (!cap)
        return -ENODEV;
    uint32_t where = pci_read32(device, cap + MSIX_TABLE);
    int err = pci_map(device, where & 7, where & ~7u, MSIX_ENTRY_BYTES, &table);
    if (err)
        return err;
    err = arch_irq_attach(irq);
    if (err)
        return err;
    arch_irq_message(irq, &address, &data);
    volatile uint32_t *entry = table;
    entry[0] = (uint32_t)address;
    entry[1] = (uint32_t)(address >> 32);
    entry[2] = data;
    entry[3] = 0;                     /* not masked */
    uint16_t control = pci_read16(device, cap + MSIX_CONTROL);
    pci_write16(device, cap + MSIX_CONTROL, (uint16_t)((control & ~MSIX_MASK_ALL) | MSIX_ENABLE));
    return 0;
}
