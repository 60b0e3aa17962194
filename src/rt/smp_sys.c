// SPDX-License-Identifier: MIT
/* /sys/smp: what the CPUs did to one another since boot, all together. */
#include <rt/cpu.h>

#include <rt/attr.h>

static void show_cpus(const struct attr *attr, struct strbuf *out)
{
    (void)attr;
    strbuf_printf(out, "%u\n", cpu_count);
}

/* The key is the counter's place in struct cpu. */
static void show_count(const struct attr *attr, struct strbuf *out)
{
    strbuf_printf(out, "%lu\n", (unsigned long)cpu_sum_at(attr->key));
}

static const struct attr_ops cpus_ops = {.show = show_cpus};
static const struct attr_ops count_ops = {.show = show_count};

#define COUNT(name) \
    static const struct attr attr_##name = {#name, &count_ops, offsetof(struct cpu, arch.counts.name)}
static const struct attr attr_cpus = {"cpus", &cpus_ops, 0};
COUNT(reschedules);
COUNT(flushes);
COUNT(flush_interrupts);
COUNT(flushes_deferred);
COUNT(flushes_late);

const struct attr *const smp_attrs[] = {
    &attr_cpus, &attr_reschedules, &attr_flushes, &attr_flush_interrupts, &attr_flushes_deferred,
    &attr_flushes_late, NULL,
};
