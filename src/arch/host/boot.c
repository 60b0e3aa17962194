// SPDX-License-Identifier: MIT
/* The host machine's start, console and end. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include <arch/boot_info.h>
#include <arch/host/host.h>
#include <lib/string.h>

struct boot_info boot_info;

static char *capture_buffer;
static size_t capture_bytes, capture_length;

static void find_own_stack(void)
{
    pthread_attr_t attributes;
    void *base;
    size_t bytes;

    if (pthread_getattr_np(pthread_self(), &attributes) ||
        pthread_attr_getstack(&attributes, &base, &bytes))
        abort();
    pthread_attr_destroy(&attributes);
    boot_info.stack_base = (uintptr_t)base;
    boot_info.stack_top = (uintptr_t)base + bytes;
}

void host_boot(uint64_t memory_bytes, const char *command_line)
{
    if (!memory_bytes)
        memory_bytes = HOST_MEMORY_DEFAULT;
    boot_info = (struct boot_info){
        .protocol = "host",
        .region_count = 2,
        /* The shape of a PC: conventional memory without page 0, a hole, the rest. */
        .regions = { { PAGE_BYTES, 0x9f000 }, { MIB(1), memory_bytes } },
        .kernel_start = MIB(1),
        .kernel_end = MIB(1),
    };
    size_t length = str_copy(boot_info.command_line, command_line, BOOT_CMDLINE_BYTES);
    boot_info.command_line_cut = length >= BOOT_CMDLINE_BYTES;
    find_own_stack();
    host_memory_init(memory_bytes);
    host_cpu_init();
}

void host_console_capture(char *buffer, size_t bytes)
{
    capture_buffer = buffer;
    capture_bytes = bytes;
    capture_length = 0;
    if (buffer)
        buffer[0] = 0;
}

void arch_debug_write(const char *text, size_t bytes)
{
    (void)text;
    (void)bytes;                      /* no such port */
}

void arch_console_write(const char *text, size_t bytes)
{
    if (!capture_buffer) {
        while (bytes) {
            ssize_t written = write(STDERR_FILENO, text, bytes);
            if (written <= 0)
                return;
            text += written;
            bytes -= (size_t)written;
        }
        return;
    }
    size_t room = capture_bytes - 1 - capture_length;
    size_t kept = MIN(bytes, room);
    memcpy(capture_buffer + capture_length, text, kept);
    capture_length += kept;
    capture_buffer[capture_length] = 0;
}

size_t arch_console_read(char *text, size_t bytes)
{
    (void)text;
    (void)bytes;
    return 0;
}

/* The terminal of the process is all there is. */
bool arch_screen_size(uint32_t *cols, uint32_t *rows)
{
    (void)cols;
    (void)rows;
    return false;
}

void arch_screen_defer(void) {}
bool arch_screen_stale(void) { return false; }
void arch_screen_paint(void) {}

int arch_console_listen(struct irq *irq)
{
    (void)irq;
    return -ENODEV;
}

noreturn_fn void arch_machine_exit(unsigned status)
{
    fflush(NULL);
    _exit((int)status);
}

uint64_t arch_random(void)
{
    uint64_t value;

    if (getrandom(&value, sizeof(value), 0) != sizeof(value))
        abort();
    return value;
}

const char *arch_cpu_name(void) { return "host process"; }

const char *arch_symbol(uintptr_t address, uint64_t *offset)
{
    (void)address;
    (void)offset;
    return NULL;
}
