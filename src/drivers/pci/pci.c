// SPDX-License-Identifier: MIT
/* PCI configuration space through the ports, and the walk over all functions. */
#include <drivers/pci/pci.h>

#include <rt/spinlock.h>

#define CONFIG_ADDRESS 0xcf8u
#define CONFIG_DATA 0xcfcu
#define CONFIG_ENABLE 0x80000000u

#define PCI_VENDOR 0x00u
#define PCI_DEVICE 0x02u
#define PCI_COMMAND 0x04u
#define PCI_STATUS 0x06u
#define PCI_HEADER_TYPE 0x0eu
#define PCI_SECONDARY_BUS 0x19u
#define PCI_CAPABILITIES 0x34u

#define COMMAND_MEMORY 0x0002u
#define COMMAND_MASTER 0x0004u
#define COMMAND_NO_PIN 0x0400u
#define STATUS_CAPABILITIES 0x0010u
#define HEADER_MANY_FUNCTIONS 0x80u
#define HEADER_TYPE_BRIDGE 1u
#define NO_DEVICE 0xffffu
#define CAPS_MAX 48u                  /* more do not fit: the list of a broken device has a loop */

static void select_word(const struct pci_device *device, uint32_t offset)
{
    arch_out32(CONFIG_ADDRESS, CONFIG_ENABLE | (uint32_t)device->bus << 16 |
                                   (uint32_t)device->slot << 11 | (uint32_t)device->function << 8 |
                                   (offset & 0xfc));
}

uint32_t pci_read32(const struct pci_device *device, uint32_t offset)
{
    select_word(device, offset);
    return arch_in32(CONFIG_DATA);
}

uint16_t pci_read16(const struct pci_device *device, uint32_t offset)
{
    select_word(device, offset);
    return arch_in16((uint16_t)(CONFIG_DATA + (offset & 2)));
}

uint8_t pci_read8(const struct pci_device *device, uint32_t offset)
{
    select_word(device, offset);
    return arch_in8((uint16_t)(CONFIG_DATA + (offset & 3)));
}

void pci_write16(const struct pci_device *device, uint32_t offset, uint16_t value)
{
    select_word(device, offset);
    arch_out16((uint16_t)(CONFIG_DATA + (offset & 2)), value);
}

static bool bus_exists(const struct pci_scan *scan, uint32_t bus)
{
    return bus == 0 || (scan->behind[bus / 8] & (1u << bus % 8));
}

/* Moves @scan behind the function it has just looked at. */
static void step(struct pci_scan *scan, bool whole_slot)
{
    if (!whole_slot && scan->function < 7) {
        scan->function++;
        return;
    }
    scan->function = 0;
    if (++scan->slot < 32)
        return;
    scan->slot = 0;
    do
        scan->bus++;
    while (scan->bus < 256 && !bus_exists(scan, scan->bus));
}

bool pci_next(struct pci_scan *scan, struct pci_device *out)
{
    while (scan->bus < 256) {
        *out = (struct pci_device){.bus = (uint8_t)scan->bus, .slot = (uint8_t)scan->slot,
                                   .function = (uint8_t)scan->function};
        out->vendor = pci_read16(out, PCI_VENDOR);
        if (out->vendor == NO_DEVICE) {
            step(scan, scan->function == 0);
            continue;
        }
        out->device = pci_read16(out, PCI_DEVICE);
        uint8_t header = pci_read8(out, PCI_HEADER_TYPE);
        if ((header & 0x7f) == HEADER_TYPE_BRIDGE) {
            uint8_t bus = pci_read8(out, PCI_SECONDARY_BUS);
            scan->behind[bus / 8] |= (uint8_t)(1u << bus % 8);
        }
        step(scan, scan->function == 0 && !(header & HEADER_MANY_FUNCTIONS));
        return true;
    }
    return false;
}

uint32_t pci_find_cap(const struct pci_device *device, uint8_t id, uint32_t after)
{
    bool seen = after == 0;

    if (!(pci_read16(device, PCI_STATUS) & STATUS_CAPABILITIES))
        return 0;
    uint32_t at = pci_read8(device, PCI_CAPABILITIES) & 0xfcu;
    for (unsigned i = 0; at && i < CAPS_MAX; i++) {
        if (seen && pci_read8(device, at) == id)
            return at;
        seen |= at == after;
        at = pci_read8(device, at + 1) & 0xfcu;
    }
    return 0;
}

void pci_enable(const struct pci_device *device)
{
    uint16_t command = pci_read16(device, PCI_COMMAND);

    pci_write16(device, PCI_COMMAND, command | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_PIN);
}

void pci_cut_off(const struct pci_device *device)
{
    static struct spinlock lock = SPINLOCK_INIT;
    bool irq = spin_lock(&lock);
    uint16_t command = pci_read16(device, PCI_COMMAND);

    pci_write16(device, PCI_COMMAND, command & (uint16_t)~COMMAND_MASTER);
    spin_unlock(&lock, irq);
}
