// SPDX-License-Identifier: MIT
/* What the app takes of memory, for /sys/memory: its pages, their tables, and a structure for each of its threads. */
#include <abi/app.h>
#include <abi/memory.h>
#include <abi/process.h>
#include <rt/heap.h>

enum key { K_PAGES, K_TABLES, K_THREADS };

static void show(const struct attr *attr, struct strbuf *out)
{
    uint64_t bytes = app.thread_count * heap_cost(sizeof(struct app_thread));

    if (attr->key != K_THREADS) {
        mutex_lock(&app_memory.lock);
        bytes = (attr->key == K_PAGES ? app_memory.pages_present : arch_count_tables(0, ARCH_APP_END)) *
                PAGE_BYTES;
        mutex_unlock(&app_memory.lock);
    }
    strbuf_printf(out, "%lu\n", (unsigned long)bytes);
}

static const struct attr_ops ops = {.show = show};
static const struct attr attr_pages = {"app", &ops, K_PAGES};
static const struct attr attr_tables = {"app_page_tables", &ops, K_TABLES};
static const struct attr attr_threads = {"app_threads", &ops, K_THREADS};
const struct attr *const app_memory_attrs[] = {&attr_pages, &attr_tables, &attr_threads, NULL};
