// SPDX-License-Identifier: MIT
/*
 * Time: the TSC, and the local APIC's timer, both measured once against a counter of known rate: the old
 * interval timer (PIT channel 2), or, on a PC without one, the ACPI timer. One measurement reads all three
 * clocks as close together as it can: the reading whose two TSC values are nearest of several tries
 * counts, so being descheduled in between (an emulator is) does no harm. Without either counter the CPU's
 * own word is taken (CPUID 0x15 and 0x16), and if it has none, a guess.
 *
 * The TSC is taken for constant. A PC without an invariant TSC would need another clock; there is
 * none here.
 *
 * Sources: Intel 8254; ACPI 6.4, 4.8.2.1; Motorola MC146818; Intel SDM volume 3, 18.17.
 */
#include <x86.h>

#include "vdso_data.h"

#define PIT_COUNTER2 0x42
#define PIT_COMMAND 0x43
#define PIT_GATE 0x61
#define PIT_LATCH2 0x80
#define PIT_MODE0_COUNTER2 0xb0
#define MEASURE_PART 100u /* of a second */
#define MEASURE_TRIES 5
#define READS_MAX 2000000u
#define READS_STILL 1000u /* a counter that has not moved by then is not there */
#define TSC_HZ_GUESS UINT64_C(2500000000)
#define APIC_HZ_GUESS UINT64_C(1000000000)

enum counter { COUNTER_PIT, COUNTER_ACPI, COUNTERS };

static const struct {
    const char *name;
    uint32_t hz, mask;
} counters[COUNTERS] = {
    [COUNTER_PIT] = { "the interval timer", 1193182, 0xffff },
    [COUNTER_ACPI] = { "the ACPI timer", 3579545, 0xffffff },
};

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
enum {
    CMOS_SECOND = 0,
    CMOS_MINUTE = 2,
    CMOS_HOUR = 4,
    CMOS_DAY = 7,
    CMOS_MONTH = 8,
    CMOS_YEAR = 9,
    CMOS_STATUS_A = 10,
    CMOS_STATUS_B = 11
};
#define CMOS_UPDATING 0x80
#define CMOS_READS_MAX 20000u /* an update takes 2 ms */
#define CMOS_24_HOURS 0x02
#define CMOS_BINARY 0x04
#define CMOS_PM 0x80

static uint64_t tsc_start;
static uint64_t ns_per_tick_32; /* nanoseconds a TSC tick, times 2^32 */
static uint64_t apic_per_ns_32; /* APIC ticks a nanosecond, times 2^32 */
static uint64_t wall_start_ns;
static uint64_t measured_hz;
static const char *measured_with;

extern const unsigned char x86_vdso_start[], x86_vdso_size[];
const struct arch_vdso arch_vdso = { x86_vdso_start, (size_t)x86_vdso_size };

struct reading {
    uint64_t tsc;
    uint32_t apic_left, count;
};

static uint16_t pit_read(void)
{
    arch_out8(PIT_COMMAND, PIT_LATCH2);
    uint16_t low = arch_in8(PIT_COUNTER2);
    return (uint16_t)(low | arch_in8(PIT_COUNTER2) << 8);
}

static void pit_start(void)
{
    arch_out8(PIT_GATE, (uint8_t)((arch_in8(PIT_GATE) & ~0x02) | 0x01));
    arch_out8(PIT_COMMAND, PIT_MODE0_COUNTER2);
    arch_out8(PIT_COUNTER2, 0xff);
    arch_out8(PIT_COUNTER2, 0xff);
}

/* Counts upwards. */
static uint32_t counter_read(enum counter counter)
{
    return counter == COUNTER_PIT ? ~(uint32_t)pit_read() : arch_in32(acpi_parts.timer_port);
}

static uint32_t counter_ticks(enum counter counter, uint32_t from, uint32_t to)
{
    return (to - from) & counters[counter].mask;
}

static struct reading read_clocks(enum counter counter)
{
    struct reading best = { 0 };
    uint64_t best_gap = UINT64_MAX;

    for (int i = 0; i < MEASURE_TRIES; i++) {
        uint64_t before = rdtsc();
        uint32_t count = counter_read(counter);
        uint32_t left = apic_timer_left();
        uint64_t after = rdtsc();
        if (after - before < best_gap) {
            best_gap = after - before;
            best = (struct reading){ before + (after - before) / 2, left, count };
        }
    }
    return best;
}

/* TSC ticks a second by the CPU's own word, or 0. */
static uint64_t hz_from_cpuid(void)
{
    uint32_t max = cpuid(0, 0).eax;

    if (max >= 0x15) {
        struct cpuid r = cpuid(0x15, 0);
        if (r.eax && r.ebx && r.ecx)
            return (uint64_t)r.ecx * r.ebx / r.eax;
    }
    if (max >= 0x16)
        return (uint64_t)cpuid(0x16, 0).eax * 1000000;
    return 0;
}

static void set_rates(uint64_t tsc_hz, uint64_t apic_hz)
{
    ns_per_tick_32 = (NS_PER_S << 32) / tsc_hz;
    apic_per_ns_32 = (apic_hz << 32) / NS_PER_S;
}

static uint64_t scale(uint64_t value, uint64_t factor_32)
{
    return (uint64_t)((unsigned __int128)value * factor_32 >> 32);
}

/* What the TSC and the APIC's timer did during some ticks of @counter; false: it stood still. */
static bool measure_with(enum counter counter, uint64_t *tsc_ticks, uint64_t *apic_ticks, uint32_t *ticks)
{
    struct reading first = read_clocks(counter);
    uint32_t wanted = counters[counter].hz / MEASURE_PART, reads = 0, passed = 0;

    while (passed < wanted && reads < (passed ? READS_MAX : READS_STILL)) {
        passed = counter_ticks(counter, first.count, counter_read(counter));
        reads++;
    }
    struct reading last = read_clocks(counter);
    *tsc_ticks = last.tsc - first.tsc;
    *apic_ticks = first.apic_left - last.apic_left;
    *ticks = counter_ticks(counter, first.count, last.count);
    return passed >= wanted;
}

static void measure(void)
{
    uint64_t tsc_ticks = 0, apic_ticks = 0, tsc_hz = 0;
    uint32_t ticks;

    apic_timer_start(UINT32_MAX);
    pit_start();
    for (enum counter counter = 0; counter < COUNTERS && !tsc_hz; counter++) {
        if (counter == COUNTER_ACPI && !acpi_parts.timer_port)
            continue;
        if (measure_with(counter, &tsc_ticks, &apic_ticks, &ticks)) {
            tsc_hz = tsc_ticks * counters[counter].hz / ticks;
            measured_with = counters[counter].name;
        }
    }
    apic_timer_start(0);
    if (!tsc_hz) {
        tsc_hz = hz_from_cpuid();
        measured_with = "the CPU's own word";
    }
    measured_hz = tsc_hz;
    tsc_hz = tsc_hz ? tsc_hz : TSC_HZ_GUESS;
    uint64_t apic_hz = apic_ticks * tsc_hz / (tsc_ticks ? tsc_ticks : 1);
    set_rates(tsc_hz, apic_hz ? apic_hz : APIC_HZ_GUESS);
}

/* ---- the wall clock ---- */

static uint8_t cmos_read(uint8_t index)
{
    arch_out8(CMOS_INDEX, index);
    return arch_in8(CMOS_DATA);
}

struct wall {
    uint8_t second, minute, hour, day, month, year;
};

static struct wall wall_read(void)
{
    for (uint32_t i = 0; i < CMOS_READS_MAX && (cmos_read(CMOS_STATUS_A) & CMOS_UPDATING); i++)
        arch_relax();
    return (struct wall){ cmos_read(CMOS_SECOND), cmos_read(CMOS_MINUTE), cmos_read(CMOS_HOUR),
                          cmos_read(CMOS_DAY),    cmos_read(CMOS_MONTH),  cmos_read(CMOS_YEAR) };
}

static uint8_t from_bcd(uint8_t value) { return (uint8_t)((value >> 4) * 10 + (value & 15)); }

/* Days from 1970-01-01 to a date of the Gregorian calendar. */
static uint64_t days_since_1970(unsigned year, unsigned month, unsigned day)
{
    static const uint16_t before[12] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    unsigned leap_years = (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 - 477;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return (year - 1970) * UINT64_C(365) + leap_years + before[(month - 1) % 12] +
           (leap && month > 2) + day - 1;
}

static uint64_t wall_seconds(void)
{
    if (!acpi_parts.cmos_clock)
        return 0;
    struct wall w = wall_read(), again = wall_read();

    for (int i = 0; i < 4 && (w.second != again.second || w.minute != again.minute); i++) {
        w = again;
        again = wall_read();
    }
    uint8_t format = cmos_read(CMOS_STATUS_B);
    bool pm = !(format & CMOS_24_HOURS) && (w.hour & CMOS_PM);
    if (!(format & CMOS_24_HOURS))
        w.hour &= (uint8_t)~CMOS_PM;
    if (!(format & CMOS_BINARY)) {
        w = (struct wall){ from_bcd(w.second), from_bcd(w.minute), from_bcd(w.hour),
                           from_bcd(w.day),    from_bcd(w.month),  from_bcd(w.year) };
    }
    if (!(format & CMOS_24_HOURS))
        w.hour = (uint8_t)(w.hour % 12 + (pm ? 12 : 0));
    if (w.month < 1 || w.month > 12 || w.day < 1)
        return 0;
    return days_since_1970(2000u + w.year, w.month, w.day) * 86400 + w.hour * 3600u +
           w.minute * 60u + w.second;
}

/* ---- what the others use ---- */

void clock_init(void)
{
    measure();
    tsc_start = rdtsc();
    wall_start_ns = wall_seconds() * NS_PER_S;
}

const char *arch_clock_measured(uint64_t *hz)
{
    *hz = measured_hz;
    return measured_with;
}

uint64_t arch_now_ns(void) { return scale(rdtsc() - tsc_start, ns_per_tick_32); }

uint64_t arch_wall_ns(void) { return wall_start_ns + arch_now_ns(); }

void arch_vdso_write_data(void *page)
{
    struct vdso_data *data = page;

    __atomic_store_n(&data->sequence, 1, __ATOMIC_RELEASE);
    data->tsc_start = tsc_start;
    data->ns_per_tick_32 = ns_per_tick_32;
    data->wall_start_ns = wall_start_ns;
    __atomic_store_n(&data->sequence, 2, __ATOMIC_RELEASE);
}

uint32_t clock_apic_ticks(uint64_t ns)
{
    uint64_t ticks = scale(MIN(ns, 4 * NS_PER_S), apic_per_ns_32) + 1;

    return (uint32_t)MIN(ticks, UINT32_MAX);
}
