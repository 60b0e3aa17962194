// SPDX-License-Identifier: MIT
/* The console's line discipline: see tty.h. */
#include <abi/tty.h>

#include <lib/string.h>

#define DELETE 127
#define END_MARK 0                    /* stands in the ring for an end of file; never read */

void tty_init(struct tty *tty)
{
    memset(tty, 0, sizeof(*tty));
    /* 115200 baud, 8 bits; as Linux sets up a terminal */
    tty->termios = (struct linux_termios){
        .input = TTY_ICRNL | TTY_IXON,
        .output = TTY_OPOST | TTY_ONLCR,
        .control = 010002 | 060 | 0200,
        .local = TTY_ISIG | TTY_ICANON | TTY_ECHO | TTY_ECHOE | TTY_ECHOK | TTY_ECHOCTL |
                 TTY_ECHOKE | TTY_IEXTEN,
        .characters = {3, 28, DELETE, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0},
    };
}

static bool local(const struct tty *tty, uint32_t flag)
{
    return tty->termios.local & flag;
}

static bool is_key(const struct tty *tty, unsigned which, uint8_t c)
{
    return c && tty->termios.characters[which] == c;
}

bool tty_has_room(const struct tty *tty)
{
    /* one place stays for the end of an over-long line, and an echo erases at most a line */
    return tty->put - tty->taken < TTY_BYTES - 1 && tty->echo_count < sizeof(tty->echo) / 2;
}

/* ---- echo ---- */

static void echo_byte(struct tty *tty, char c)
{
    if (tty->echo_count < sizeof(tty->echo))
        tty->echo[tty->echo_count++] = c;
}

static bool is_shown_as_two(const struct tty *tty, uint8_t c)
{
    return local(tty, TTY_ECHOCTL) && (c < ' ' || c == DELETE) && c != '\n' && c != '\t';
}

static void echo_char(struct tty *tty, uint8_t c)
{
    if (!local(tty, TTY_ECHO) && !(c == '\n' && local(tty, TTY_ECHONL) && local(tty, TTY_ICANON)))
        return;
    if (is_shown_as_two(tty, c)) {
        echo_byte(tty, '^');
        echo_byte(tty, (char)(c ^ 0x40));
    } else {
        echo_byte(tty, (char)c);
    }
}

static void echo_erase(struct tty *tty, uint8_t c)
{
    unsigned columns = is_shown_as_two(tty, c) ? 2 : 1;

    if (!local(tty, TTY_ECHO))
        return;
    for (unsigned i = 0; i < columns && local(tty, TTY_ECHOE); i++) {
        echo_byte(tty, '\b');
        echo_byte(tty, ' ');
        echo_byte(tty, '\b');
    }
    if (!local(tty, TTY_ECHOE))
        echo_char(tty, c);
}

/* ---- typing ---- */

static void mark_end(struct tty *tty, uint32_t at, bool end)
{
    uint8_t bit = (uint8_t)(1u << at % 8);
    uint8_t *byte = &tty->ends[at % TTY_BYTES / 8];

    *byte = (uint8_t)(end ? *byte | bit : *byte & ~bit);
}

static bool is_end(const struct tty *tty, uint32_t at)
{
    return tty->ends[at % TTY_BYTES / 8] >> at % 8 & 1;
}

static void store(struct tty *tty, uint8_t c, bool end)
{
    tty->ring[tty->put % TTY_BYTES] = c;
    mark_end(tty, tty->put, end);
    tty->put++;
    if (end || !local(tty, TTY_ICANON))
        tty->complete = tty->put;
}

static bool erase_one(struct tty *tty)
{
    if (tty->put == tty->complete)
        return false;
    tty->put--;
    echo_erase(tty, tty->ring[tty->put % TTY_BYTES]);
    return true;
}

static bool ends_in_space(const struct tty *tty)
{
    uint8_t c = tty->ring[(tty->put - 1) % TTY_BYTES];
    return c == ' ' || c == '\t';
}

static void erase_word(struct tty *tty)
{
    while (tty->put != tty->complete && ends_in_space(tty))
        erase_one(tty);
    while (tty->put != tty->complete && !ends_in_space(tty))
        erase_one(tty);
}

static void erase_line(struct tty *tty)
{
    bool visibly = local(tty, TTY_ECHOKE) && tty->put - tty->complete < sizeof(tty->echo) / 8;

    if (!visibly) {
        tty->put = tty->complete;
        echo_char(tty, tty->termios.characters[TTY_VKILL]);
        if (local(tty, TTY_ECHOK))
            echo_char(tty, '\n');
        return;
    }
    while (erase_one(tty))
        ;
}

static int signal_of(struct tty *tty, uint8_t c)
{
    static const struct { uint8_t key, signal; } keys[] = {
        {TTY_VINTR, SIGINT}, {TTY_VQUIT, SIGQUIT}, {TTY_VSUSP, SIGTSTP},
    };

    for (unsigned i = 0; i < ARRAY_COUNT(keys); i++) {
        if (!is_key(tty, keys[i].key, c))
            continue;
        if (!local(tty, TTY_NOFLSH))
            tty_flush(tty);
        echo_char(tty, c);
        return keys[i].signal;
    }
    return 0;
}

/* A key that edits the line; true if it was one. */
static bool edit(struct tty *tty, uint8_t c)
{
    if (is_key(tty, TTY_VERASE, c))
        erase_one(tty);
    else if (is_key(tty, TTY_VKILL, c))
        erase_line(tty);
    else if (is_key(tty, TTY_VWERASE, c) && local(tty, TTY_IEXTEN))
        erase_word(tty);
    else if (is_key(tty, TTY_VEOF, c))
        store(tty, END_MARK, true);
    else
        return false;
    return true;
}

/* What the input flags make of it; negative: nothing. */
static int translate(const struct tty *tty, uint8_t c)
{
    uint32_t flags = tty->termios.input;

    if (c == '\r' && (flags & TTY_IGNCR))
        return -1;
    if (c == '\r' && (flags & TTY_ICRNL))
        return '\n';
    if (c == '\n' && (flags & TTY_INLCR))
        return '\r';
    return c;
}

int tty_type(struct tty *tty, uint8_t typed)
{
    bool literal = tty->literal;
    int translated = literal ? typed : translate(tty, typed);
    uint8_t c = (uint8_t)translated;

    tty->literal = false;
    if (translated < 0)
        return 0;
    if (!literal && local(tty, TTY_ISIG)) {
        int signal = signal_of(tty, c);
        if (signal)
            return signal;
    }
    if (!literal && local(tty, TTY_ICANON)) {
        if (is_key(tty, TTY_VLNEXT, c) && local(tty, TTY_IEXTEN)) {
            tty->literal = true;
            return 0;
        }
        if (edit(tty, c))
            return 0;
    }
    bool end = !literal && (c == '\n' || is_key(tty, TTY_VEOL, c));
    /* a line that fills the buffer ends there, or nobody could ever read it */
    if (tty->put - tty->taken >= TTY_BYTES - 2)
        end = true;
    store(tty, c, end && local(tty, TTY_ICANON));
    echo_char(tty, c);
    return 0;
}

/* ---- reading ---- */

uint32_t tty_readable(const struct tty *tty)
{
    return tty->complete - tty->taken;
}

bool tty_is_ready(const struct tty *tty)
{
    return tty->complete != tty->taken;
}

uint32_t tty_take(struct tty *tty, char *dst, uint32_t bytes)
{
    uint32_t count = 0;
    bool canonical = local(tty, TTY_ICANON), end = false;

    while (count < bytes && tty->taken != tty->complete && !end) {
        uint32_t at = tty->taken++;
        uint8_t c = tty->ring[at % TTY_BYTES];
        end = canonical && is_end(tty, at);
        if (end && c == END_MARK)
            break;
        dst[count++] = (char)c;
    }
    /* an end of file right behind what was asked for belongs to this read */
    if (canonical && !end && count && tty->taken != tty->complete && is_end(tty, tty->taken) &&
        tty->ring[tty->taken % TTY_BYTES] == END_MARK)
        tty->taken++;
    return count;
}

void tty_flush(struct tty *tty)
{
    tty->taken = tty->complete = tty->put;
}

void tty_set(struct tty *tty, const struct linux_termios *termios, bool flush)
{
    bool was_canonical = local(tty, TTY_ICANON);

    tty->termios = *termios;
    tty->literal = false;
    if (flush)
        tty_flush(tty);
    if (was_canonical && !local(tty, TTY_ICANON))
        tty->complete = tty->put;
}
