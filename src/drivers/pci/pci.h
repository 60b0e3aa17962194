// SPDX-License-Identifier: MIT
/*
 * PCI: finding functions, their configuration space, their registers, their interrupts.
 *
 *     struct pci_scan scan = {0};
 *     struct pci_device device;
 *     while (pci_next(&scan, &device)) …
 *
 * Configuration goes through ports 0xcf8 and 0xcfc, which every PC has; the firmware has assigned
 * addresses and bus numbers. Used while booting, by one thread, but for pci_cut_off().
 *
 * Sources: PCI Local Bus Specification 3.0, chapters 3.2.2.3.2, 6 and 6.8.2.
 */
#pragma once

#include <arch/arch.h>

#define PCI_CAP_VENDOR 0x09u
#define PCI_CAP_MSIX 0x11u

struct pci_device {
    uint8_t bus, slot, function;
    uint16_t vendor, device;
};

struct pci_scan {
    uint32_t bus, slot, function;     /* where to look next */
    uint8_t behind[256 / 8];          /* buses behind bridges that were found */
};

/* The next function there is, in order of buses and slots; false: no more. */
bool pci_next(struct pci_scan *scan, struct pci_device *out);

uint8_t pci_read8(const struct pci_device *device, uint32_t offset);
uint16_t pci_read16(const struct pci_device *device, uint32_t offset);
uint32_t pci_read32(const struct pci_device *device, uint32_t offset);
void pci_write16(const struct pci_device *device, uint32_t offset, uint16_t value);

/* Offset of the first capability @id behind the one at @after (0: the first of all); 0: none. */
uint32_t pci_find_cap(const struct pci_device *device, uint8_t id, uint32_t after);

/* Lets the device answer memory accesses and master the bus; turns its pin interrupt off. */
void pci_enable(const struct pci_device *device);

/* The device masters the bus no more: it reads and writes no memory. Any context. */
void pci_cut_off(const struct pci_device *device);

/**
 * pci_map() - map a part of the memory that base register @bar describes, uncached.
 * @offset, @bytes: the part.
 * Errors: -ENODEV the register is not a memory one or has no address; -EINVAL the part does not fit
 *         64 GiB of window; -ENOMEM.
 */
int pci_map(const struct pci_device *device, unsigned bar, uint64_t offset, uint64_t bytes,
            volatile void **out);

/**
 * pci_msix_use() - make entry 0 of the device's MSI-X table raise @irq, and turn MSI-X on.
 * Errors: -ENODEV no MSI-X; -ENOSPC no vector left; and pci_map()'s.
 */
int pci_msix_use(const struct pci_device *device, struct irq *irq);
