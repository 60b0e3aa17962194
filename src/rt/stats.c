// SPDX-License-Identifier: MIT
/* The line is made in one static buffer: by the thread, and at the end, when the thread has been stopped. */
#include <rt/stats.h>

#include <lib/format.h>
#include <rt/assert.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/thread.h>
#include <rt/xstack.h>

#define LINE_BYTES_MAX (256u + 128u * PROBE_COUNT)

static char line[LINE_BYTES_MAX];
static bool writing;

static void put_probes(struct strbuf *out)
{
    for (unsigned i = 0; i < PROBE_COUNT; i++) {
        struct xstack_probe_totals t;
        xstack_probe_totals(i, &t);
        strbuf_printf(out, "%s\"%s\":{\"requests\":%lu,\"switches\":%lu,\"refusals\":%lu}", i ? "," : "",
                      probe_infos[i].name, (unsigned long)t.requests, (unsigned long)t.switches,
                      (unsigned long)t.refusals);
    }
}

static void put_sample(const struct xstack_totals *t, unsigned long deepest)
{
    struct strbuf out;
    strbuf_init(&out, line, sizeof(line));
    strbuf_printf(&out, "{\"ms\":%lu,\"total\":%lu,\"free\":%lu,\"in_use\":%lu,\"parked\":%lu,\"reserved\":%lu,",
                  (unsigned long)(arch_now_ns() / NS_PER_MS), (unsigned long)t->total, (unsigned long)t->free,
                  (unsigned long)t->in_use, (unsigned long)t->parked, (unsigned long)t->reserved);
    strbuf_printf(&out, "\"low_water\":%lu,\"requests\":%lu,\"switches\":%lu,\"refusals\":%lu,\"waits\":%lu,",
                  (unsigned long)t->low_water, (unsigned long)t->requests, (unsigned long)t->switches,
                  (unsigned long)t->refusals, (unsigned long)t->waits);
    strbuf_printf(&out, "\"most_held\":%lu,\"deepest\":%lu,\"probes\":{", (unsigned long)t->most_held, deepest);
    put_probes(&out);
    strbuf_puts(&out, "}}\n");
    ASSERT(!out.cut, "a sample fits into its line");
    arch_debug_write(line, out.length);
}

static void stats_run(void *argument)
{
    uint64_t next = arch_now_ns();
    (void)argument;
    for (;;) {
        struct xstack_totals totals;
        next += params.stats_ms * NS_PER_MS;
        thread_sleep_until(next);
        unsigned long deepest = stack_deepest();
        xstack_totals(&totals);
        __atomic_store_n(&writing, true, __ATOMIC_RELAXED);
        put_sample(&totals, deepest);
        __atomic_store_n(&writing, false, __ATOMIC_RELAXED);
    }
}
static const struct thread_def stats_def = {.name = "stats", .wired = true, .run = stats_run};

int stats_start(void) { return params.stats_ms ? thread_create(&stats_def, NULL, NULL) : 0; }

void stats_end(const struct xstack_totals *totals, unsigned long deepest)
{
    if (!params.stats_ms)
        return;
    if (writing)                      /* the thread was stopped in the middle: its line ends here */
        arch_debug_write("\n", 1);
    put_sample(totals, deepest);
}
