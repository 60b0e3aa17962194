// SPDX-License-Identifier: MIT
/*
 * The console: the first serial port, 115200 baud (output is polled, input may interrupt), and the screen
 * (screen.c); and the end of the machine. A port that is not there, or that stays busy, costs a bounded
 * time once and is then left alone.
 *
 * Source: National Semiconductor PC16550D; QEMU's isa-debug-exit.
 */
#include <x86.h>

#include <lib/errno.h>

#define UART 0x3f8
enum {
    UART_DATA = UART,
    UART_INTERRUPT_ENABLE = UART + 1,
    UART_FIFO = UART + 2,
    UART_LINE = UART + 3,
    UART_MODEM = UART + 4,
    UART_STATUS = UART + 5,
    UART_SCRATCH = UART + 7
};

#define UART_ISA_LINE 4u
#define INTERRUPT_RECEIVED 0x01
#define LINE_8N1 0x03
#define LINE_DIVISOR 0x80
#define DIVISOR_115200 1
#define MODEM_READY 0x0b                /* DTR, RTS, and OUT2, which lets interrupts out */
#define STATUS_RECEIVED 0x01
#define STATUS_ROOM 0x20
#define STATUS_IDLE 0x40
#define BUSY_MAX 1000000

#define DEBUG_PORT 0xe9              /* QEMU: -device isa-debugcon,iobase=0xe9 */
#define DEBUG_EXIT_PORT 0xf4
#define DEBUG_EXIT_VALUE 0x10 /* QEMU ends with (0x10 << 1) | 1 = 33 */

static bool present;

void console_init(void)
{
    arch_out8(UART_SCRATCH, 0x5a);
    present = arch_in8(UART_SCRATCH) == 0x5a;
    if (!present)
        return;
    arch_out8(UART_INTERRUPT_ENABLE, 0);
    arch_out8(UART_LINE, LINE_DIVISOR);
    arch_out8(UART_DATA, DIVISOR_115200);
    arch_out8(UART_INTERRUPT_ENABLE, 0);
    arch_out8(UART_LINE, LINE_8N1);
    arch_out8(UART_FIFO, 0xc7);
    arch_out8(UART_MODEM, MODEM_READY);
}

static void wait_for(uint8_t status)
{
    for (uint32_t i = 0; i < BUSY_MAX; i++) {
        if (arch_in8(UART_STATUS) & status)
            return;
        arch_relax();
    }
    present = false;
}

static void put(char c)
{
    if (!present)
        return;
    wait_for(STATUS_ROOM);
    arch_out8(UART_DATA, (uint8_t)c);
}

void arch_console_write(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\n')
            put('\r');
        put(text[i]);
    }
    screen_write(text, bytes);
}

void arch_debug_write(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        arch_out8(DEBUG_PORT, (uint8_t)text[i]);
}

size_t arch_console_read(char *text, size_t bytes)
{
    size_t count = 0;

    while (present && count < bytes && (arch_in8(UART_STATUS) & STATUS_RECEIVED))
        text[count++] = (char)arch_in8(UART_DATA);
    return count;
}

int arch_console_listen(struct irq *irq)
{
    int err = present ? ioapic_route(UART_ISA_LINE, irq) : -ENODEV;

    if (!err)
        arch_out8(UART_INTERRUPT_ENABLE, INTERRUPT_RECEIVED);
    return err;
}

/* The status is in the last line that was printed; QEMU's own code only says that it got here. */
noreturn_fn void arch_machine_exit(unsigned status)
{
    (void)status;
    if (present)
        wait_for(STATUS_IDLE);
    arch_out32(DEBUG_EXIT_PORT, DEBUG_EXIT_VALUE);
    for (;;)
        __asm__ volatile("cli; hlt");
}
