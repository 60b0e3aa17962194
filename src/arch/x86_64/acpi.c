// SPDX-License-Identifier: MIT
/*
 * What the firmware says in its ACPI tables: the processors (MADT), which memory is near which of
 * them (SRAT), and which old parts of a PC are there (FADT). Read once, early, while the boot tables
 * map the first 4 GiB; later the memory that the tables lie in is not mapped. A table that lies
 * above, or whose length or checksum is wrong, is passed over, and what the others say is used.
 *
 * The firmware's proximity domains become nodes 0, 1, ... in ascending order. Processors that need
 * the x2APIC (an id above 254) cannot be reached and are left out. What the SRAT says of memory is handed
 * on as it stands there; whether to believe it is the runtime's to say.
 *
 * Source: ACPI 6.4, 5.2.5 (RSDP), 5.2.7 (RSDT), 5.2.8 (XSDT), 5.2.9 (FADT), 5.2.12 (MADT), 5.2.16 (SRAT).
 */
#include <x86.h>

#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/string.h>

#define READABLE_END GIB(4)
#define TABLE_BYTES_MAX MIB(1)

#define EBDA_SEGMENT 0x40e
#define EBDA_START_MIN 0x80000u
#define EBDA_BYTES 1024u
#define BIOS_START 0xe0000u
#define BIOS_END 0x100000u

enum {
    RSDP_OLD_BYTES = 20,
    RSDP_REVISION = 15,
    RSDP_RSDT = 16,
    RSDP_LENGTH = 20,
    RSDP_XSDT = 24,
    RSDP_NEW_BYTES = 36,
    TABLE_LENGTH = 4,
    TABLE_HEADER = 36,
    FADT_TIMER_PORT = 76,
    FADT_TIMER_BYTES = 91,
    FADT_PC_PARTS = 109,
    FADT_END = 116,
    MADT_ENTRIES = 44,
    SRAT_ENTRIES = 48,
};

enum { MADT_LOCAL_APIC = 0, MADT_IO_APIC = 1, MADT_OVERRIDE = 2, MADT_LOCAL_X2APIC = 9 };
#define IO_APICS_MAX 8u
#define ISA_LINES 16u
enum { SRAT_CPU = 0, SRAT_MEMORY = 1, SRAT_CPU_X2APIC = 2 };

#define PARTS_NO_VGA 0x04u
#define PARTS_NO_CMOS_CLOCK 0x20u
#define PORTS 0x10000u

#define ENTRY_ENABLED 1u
#define SRAT_HOT_PLUGGABLE 2u

struct acpi_parts acpi_parts = { .vga = true, .cmos_clock = true };

static struct arch_cpu_info cpus[X86_CPUS_MAX];
static uint32_t cpu_domains[X86_CPUS_MAX];
static bool cpu_has_domain[X86_CPUS_MAX];
static uint32_t cpu_count;
static struct arch_memory_node
    memory[ACPI_MEMORY_MAX]; /* @node is a domain until domains_to_nodes() */
static uint32_t memory_count, memory_listed;
static bool srat_damaged;

/* Where the lines of the old PC bus end: at which input of which I/O APIC. */
static struct {
    uint32_t phys, first_input;
} io_apics[IO_APICS_MAX];
static uint32_t io_apic_count;
static uint32_t isa_inputs[ISA_LINES];     /* plus 1; 0: the line's own number */

/* ---- tables ---- */

static const uint8_t *at_phys(uint64_t phys, uint64_t bytes)
{
    if (phys >= READABLE_END || bytes > READABLE_END - phys)
        return NULL;
    return arch_phys_to_virt(phys);
}

static bool sum_is_zero(const uint8_t *bytes, uint32_t count)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < count; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return sum == 0;
}

/* The table at @phys, if it is whole; its length is in *@bytes. */
static const uint8_t *table_at(uint64_t phys, uint32_t *bytes)
{
    const uint8_t *table = phys ? at_phys(phys, TABLE_HEADER) : NULL;

    if (!table)
        return NULL;
    *bytes = le32(table + TABLE_LENGTH);
    if (*bytes < TABLE_HEADER || *bytes > TABLE_BYTES_MAX || !at_phys(phys, *bytes) ||
        !sum_is_zero(table, *bytes))
        return NULL;
    return table;
}

static bool is_rsdp(const uint8_t *at)
{
    return at && !memcmp(at, "RSD PTR ", 8) && sum_is_zero(at, RSDP_OLD_BYTES);
}

static const uint8_t *scan(uint64_t start, uint64_t end)
{
    for (uint64_t phys = start; phys + RSDP_NEW_BYTES <= end; phys += 16) {
        const uint8_t *at = at_phys(phys, RSDP_NEW_BYTES);
        if (is_rsdp(at))
            return at;
    }
    return NULL;
}

static const uint8_t *find_rsdp(void)
{
    if (boot_info.acpi_rsdp) {
        const uint8_t *given = at_phys(boot_info.acpi_rsdp, RSDP_NEW_BYTES);
        if (is_rsdp(given))
            return given;
    }
    uint64_t ebda = (uint64_t)le16(at_phys(EBDA_SEGMENT, 2)) << 4;
    const uint8_t *found = NULL;
    if (ebda >= EBDA_START_MIN && ebda < BIOS_START)
        found = scan(ebda, ebda + EBDA_BYTES);
    return found ? found : scan(BIOS_START, BIOS_END);
}

/* The list of tables; its entries have *@width bytes. */
static const uint8_t *find_list(uint32_t *bytes, uint32_t *width)
{
    const uint8_t *rsdp = find_rsdp(), *list;

    if (!rsdp)
        return NULL;
    if (rsdp[RSDP_REVISION] >= 2 && le32(rsdp + RSDP_LENGTH) >= RSDP_NEW_BYTES &&
        sum_is_zero(rsdp, RSDP_NEW_BYTES)) {
        list = table_at(le64(rsdp + RSDP_XSDT), bytes);
        *width = 8;
        if (list && !memcmp(list, "XSDT", 4))
            return list;
    }
    list = table_at(le32(rsdp + RSDP_RSDT), bytes);
    *width = 4;
    return list && !memcmp(list, "RSDT", 4) ? list : NULL;
}

/* *@damaged: it is listed, but not whole. */
static const uint8_t *find_table(const char *signature, uint32_t *bytes, bool *damaged)
{
    uint32_t list_bytes, width;
    const uint8_t *list = find_list(&list_bytes, &width);

    for (uint32_t at = TABLE_HEADER; list && at + width <= list_bytes; at += width) {
        uint64_t phys = width == 8 ? le64(list + at) : le32(list + at);
        const uint8_t *table = phys ? at_phys(phys, TABLE_HEADER) : NULL;
        if (!table || memcmp(table, signature, 4))
            continue;
        table = table_at(phys, bytes);
        *damaged = !table;
        if (table)
            return table;
    }
    return NULL;
}

/* ---- parts of a PC ---- */

static void read_fadt(void)
{
    uint32_t bytes;
    bool damaged;                     /* then it counts as not there */
    const uint8_t *fadt = find_table("FACP", &bytes, &damaged);

    if (!fadt || bytes < FADT_END)
        return;
    uint32_t port = le32(fadt + FADT_TIMER_PORT);
    if (fadt[FADT_TIMER_BYTES] == 4 && port < PORTS)
        acpi_parts.timer_port = (uint16_t)port;
    acpi_parts.vga = !(fadt[FADT_PC_PARTS] & PARTS_NO_VGA);
    acpi_parts.cmos_clock = !(fadt[FADT_PC_PARTS] & PARTS_NO_CMOS_CLOCK);
}

/* ---- processors ---- */

static uint32_t cpu_index_of(uint32_t hardware_id)
{
    uint32_t i = 0;

    while (i < cpu_count && cpus[i].hardware_id != hardware_id)
        i++;
    return i;
}

static void add_cpu(uint32_t hardware_id, uint32_t flags)
{
    if (!(flags & ENTRY_ENABLED) || hardware_id > APIC_ID_MAX || cpu_count == X86_CPUS_MAX ||
        cpu_index_of(hardware_id) < cpu_count)
        return;
    cpus[cpu_count++].hardware_id = hardware_id;
}

static void add_io_apic(uint32_t phys, uint32_t first_input)
{
    if (io_apic_count == IO_APICS_MAX)
        return;
    io_apics[io_apic_count].phys = phys;
    io_apics[io_apic_count++].first_input = first_input;
}

bool acpi_isa_route(uint32_t line, struct acpi_route *out)
{
    uint32_t input = isa_inputs[line] ? isa_inputs[line] - 1 : line;
    bool found = false;

    for (uint32_t i = 0; i < io_apic_count; i++) {
        uint32_t first = io_apics[i].first_input;
        if (first > input || (found && input - first > out->input))
            continue;
        *out = (struct acpi_route){ io_apics[i].phys, input - first };
        found = true;
    }
    return found;
}

static void read_madt(void)
{
    uint32_t bytes;
    bool damaged;
    const uint8_t *madt = find_table("APIC", &bytes, &damaged);

    for (uint32_t at = MADT_ENTRIES; madt && at + 2 <= bytes;) {
        const uint8_t *entry = madt + at;
        uint32_t type = entry[0], length = entry[1];
        if (length < 2 || length > bytes - at)
            break;
        if (type == MADT_LOCAL_APIC && length >= 8)
            add_cpu(entry[3], le32(entry + 4));
        else if (type == MADT_LOCAL_X2APIC && length >= 16)
            add_cpu(le32(entry + 4), le32(entry + 8));
        else if (type == MADT_IO_APIC && length >= 12)
            add_io_apic(le32(entry + 4), le32(entry + 8));
        else if (type == MADT_OVERRIDE && length >= 10 && entry[2] == 0 && entry[3] < ISA_LINES)
            isa_inputs[entry[3]] = le32(entry + 4) + 1;
        at += length;
    }
}

/* ---- nodes ---- */

static void set_domain(uint32_t hardware_id, uint32_t domain, uint32_t flags)
{
    uint32_t i = cpu_index_of(hardware_id);

    if (!(flags & ENTRY_ENABLED) || i == cpu_count)
        return;
    cpu_domains[i] = domain;
    cpu_has_domain[i] = true;
}

/* Memory that could be plugged in is no memory yet: nothing in the map lies there. */
static void add_memory(uint64_t start, uint64_t bytes, uint32_t domain, uint32_t flags)
{
    uint64_t end = bytes > UINT64_MAX - start ? UINT64_MAX : start + bytes;

    if (!(flags & ENTRY_ENABLED) || (flags & SRAT_HOT_PLUGGABLE) || !bytes)
        return;
    memory_listed++;
    if (memory_count < ACPI_MEMORY_MAX)
        memory[memory_count++] = (struct arch_memory_node){ start, end, domain };
}

static void read_srat_entry(const uint8_t *entry, uint32_t length)
{
    uint32_t type = entry[0];

    if (type == SRAT_CPU && length >= 16) {
        uint32_t domain = entry[2] | (uint32_t)entry[9] << 8 | (uint32_t)le16(entry + 10) << 16;
        set_domain(entry[3], domain, le32(entry + 4));
    } else if (type == SRAT_MEMORY && length >= 40) {
        add_memory(le64(entry + 8), le64(entry + 16), le32(entry + 2), le32(entry + 28));
    } else if (type == SRAT_CPU_X2APIC && length >= 24) {
        set_domain(le32(entry + 8), le32(entry + 4), le32(entry + 12));
    }
}

static void read_srat(void)
{
    uint32_t bytes;
    const uint8_t *srat = find_table("SRAT", &bytes, &srat_damaged);

    for (uint32_t at = SRAT_ENTRIES; srat && at + 2 <= bytes;) {
        uint32_t length = srat[at + 1];
        if (length < 2 || length > bytes - at) {
            srat_damaged = true;
            break;
        }
        read_srat_entry(srat + at, length);
        at += length;
    }
}

/* The lowest domain at or above @from that anything is in; UINT64_MAX if none. */
static uint64_t next_domain(uint64_t from)
{
    uint64_t lowest = UINT64_MAX;

    for (uint32_t i = 0; i < memory_count; i++) {
        if (memory[i].node >= from)
            lowest = MIN(lowest, (uint64_t)memory[i].node);
    }
    for (uint32_t i = 0; i < cpu_count; i++) {
        if (cpu_has_domain[i] && cpu_domains[i] >= from)
            lowest = MIN(lowest, (uint64_t)cpu_domains[i]);
    }
    return lowest;
}

/* A domain is never below the node that it becomes, so one pass in ascending order does. */
static void domains_to_nodes(void)
{
    uint32_t node = 0;

    for (uint64_t domain = next_domain(0); domain != UINT64_MAX; domain = next_domain(domain + 1)) {
        for (uint32_t i = 0; i < memory_count; i++) {
            if (memory[i].node == domain)
                memory[i].node = node;
        }
        for (uint32_t i = 0; i < cpu_count; i++) {
            if (cpu_has_domain[i] && cpu_domains[i] == domain)
                cpus[i].node = node;
        }
        node++;
    }
}

void acpi_init(void)
{
    read_fadt();
    read_madt();
    read_srat();
    domains_to_nodes();
}

/* ---- what the runtime asks ---- */

uint32_t arch_cpus_find(struct arch_cpu_info *infos, uint32_t max)
{
    uint32_t self = x86_cpu()->apic_id, own = cpu_index_of(self), count = 0;

    if (!max)
        return 0;
    infos[count++] = (struct arch_cpu_info){ self, own < cpu_count ? cpus[own].node : 0 };
    for (uint32_t i = 0; i < cpu_count && count < max; i++) {
        if (i != own)
            infos[count++] = cpus[i];
    }
    return count;
}

int arch_memory_nodes(struct arch_memory_node *nodes, uint32_t max)
{
    if (srat_damaged)
        return -EINVAL;
    memcpy(nodes, memory, MIN(memory_count, max) * sizeof(*nodes));
    return (int)memory_listed;
}
