// SPDX-License-Identifier: MIT
/* Running the app: what src/init calls. */
#pragma once

#include <lib/types.h>
#include <rt/attr.h>

/**
 * app_load_and_run() - run the program at @path to its end.
 * @argv, @env: @argc and @envc strings, which live until it returns; argv[0] is the name.
 *
 * Opens /dev/console as descriptors 0, 1 and 2, loads the file, starts its main thread, and waits
 * until the app has ended and none of its threads is in a file call any more; then all descriptors
 * are closed (the caller syncs and unmounts). To be called once, from a kernel thread.
 *
 * Returns what machine_end() wants: the app's status if it is at most 123; 123 with
 * app_end.app_status set if it is above; EXIT_APP_CRASH with app_end.signal set after a crash or a
 * fatal signal (0 when memory ran out); EXIT_SETUP, after a message, when the file cannot be
 * loaded.
 */
unsigned app_load_and_run(const char *path, uint32_t argc, const char *const *argv, uint32_t envc,
                          const char *const *env);

/* /sys/memory: app, app_page_tables, app_threads; bytes. NULL-terminated. */
extern const struct attr *const app_memory_attrs[];
