// SPDX-License-Identifier: MIT
/*
 * The line discipline of the console: what is typed becomes lines to read, and an echo. Pure state,
 * no devices and no waiting: console.c has those, and calls all of it under its lock.
 *
 * Not here: flow control (^S, ^Q), job control, more than one line editor's worth of keys.
 * Source: POSIX.1-2017, chapter 11; Linux termios(3) for the flags.
 */
#pragma once

#include <abi/linux.h>

#define TTY_BYTES 4096u               /* a power of two; the longest line, and what is typed ahead */

struct tty {
    struct linux_termios termios;
    bool literal;                     /* the next character is taken as it is (^V) */
    uint32_t taken, complete, put;    /* free-running: read, readable, typed */
    uint8_t ring[TTY_BYTES];
    uint8_t ends[TTY_BYTES / 8];      /* bit: a line ends with this character */
    uint32_t echo_count;
    char echo[256];                   /* to be written by the caller, which sets echo_count to 0 */
};

void tty_init(struct tty *tty);

/* Whether another character can be taken; if not, it must wait. */
bool tty_has_room(const struct tty *tty);
/* A character was typed. Returns a signal that it stands for, or 0. */
int tty_type(struct tty *tty, uint8_t c);

/* Characters that a read would give now; line by line in canonical mode. */
uint32_t tty_readable(const struct tty *tty);
/* Whether a read would not wait: a line (also an empty one: the end of the file), or characters. */
bool tty_is_ready(const struct tty *tty);
/**
 * tty_take() - take what one read gets, at most @bytes; tty_is_ready() said yes.
 * Returns how many; 0 is the end of the file.
 */
uint32_t tty_take(struct tty *tty, char *dst, uint32_t bytes);

/* New settings; @flush: what was typed and not read is thrown away. */
void tty_set(struct tty *tty, const struct linux_termios *termios, bool flush);
void tty_flush(struct tty *tty);
