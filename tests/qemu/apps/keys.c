// SPDX-License-Identifier: MIT
/* Reads from the console in the way its argument says, and tells what it got. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <errno.h>

static int sum(void)
{
    static char block[65536];
    unsigned long bytes = 0, reads = 0, total = 0;
    ssize_t got;

    struct termios t;
    tcgetattr(0, &t);
    t.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(0, TCSANOW, &t);
    while ((got = read(0, block, sizeof(block))) > 0) {
        for (ssize_t i = 0; i < got; i++)
            total += (unsigned char)block[i];
        bytes += (unsigned long)got;
        reads++;
    }
    printf("keys: %lu bytes, %lu reads, sum %lu\n", bytes, reads, total);
    return got < 0;
}

static void print_hex(const char *bytes, ssize_t count)
{
    printf("keys:");
    for (ssize_t i = 0; i < count; i++)
        printf(" %02x", (unsigned char)bytes[i]);
    printf("\n");
}

/* Until @last, which stays in the text. */
static int hex(char last)
{
    char bytes[100];
    ssize_t count = 0;

    while (count < 100 && (count == 0 || bytes[count - 1] != last)) {
        ssize_t got = read(0, bytes + count, (size_t)(100 - count));
        if (got <= 0)
            break;
        count += got;
    }
    print_hex(bytes, count);
    return 0;
}

static int lines(void)
{
    char line[200];

    for (;;) {
        errno = 0;
        if (fgets(line, sizeof(line), stdin)) {
            line[strcspn(line, "\n")] = 0;
            printf("keys: line <%s>\n", line);
        } else if (errno == EINTR) {
            clearerr(stdin);
        } else {
            break;
        }
    }
    printf("keys: end\n");
    return 0;
}

static int reads(void)
{
    char text[100];
    ssize_t got;

    while ((got = read(0, text, sizeof(text))) > 0)
        printf("keys: read %zd <%.*s>\n", got, (int)got, text);
    return 0;
}

static void on_interrupt(int signal)
{
    (void)signal;
    static const char text[] = "keys: SIGINT\n";
    if (write(1, text, sizeof(text) - 1) < 0)
        _exit(9);
}

static int handler(void)
{
    signal(SIGINT, on_interrupt);
    printf("keys: ready\n");
    return lines();
}

static int spin(void)
{
    printf("keys: ready\n");
    for (volatile unsigned long i = 0;; i++)
        if (i == ~0ul)
            return 1;
}

static struct termios set_raw(unsigned char least, unsigned char tenths)
{
    struct termios old, raw;

    tcgetattr(0, &old);
    raw = old;
    cfmakeraw(&raw);
    raw.c_cc[VMIN] = least;
    raw.c_cc[VTIME] = tenths;
    tcsetattr(0, TCSANOW, &raw);
    return old;
}

static int raw(void)
{
    struct termios old = set_raw(1, 0), now;

    tcgetattr(0, &now);
    if (now.c_lflag & (ICANON | ECHO))
        return 2;
    printf("\rkeys: ready\n\r");
    hex('q');
    tcsetattr(0, TCSAFLUSH, &old);
    return 0;
}

static int check(int ok, const char *what)
{
    if (!ok)
        printf("keys: FAILED: %s (errno %d)\n", what, errno);
    return !ok;
}

static int poll_checks(void)
{
    struct pollfd p = { 0, POLLIN, 0 };
    struct winsize size;
    char text[20];
    int count, bad = 0;

    fcntl(0, F_SETFL, O_NONBLOCK);
    bad += check(ioctl(0, TIOCGWINSZ, &size) == 0 && size.ws_col == 80, "TIOCGWINSZ");
    bad += check(poll(&p, 1, 20000) == 1 && p.revents == POLLIN, "poll finds a line");
    for (count = 0; count < 8;)
        if (ioctl(0, FIONREAD, &count))
            return 3;
    bad += check(read(0, text, sizeof(text)) == 4 && !memcmp(text, "one\n", 4), "the first line");
    bad += check(read(0, text, 2) == 2 && !memcmp(text, "tw", 2), "a part of the second");
    bad += check(read(0, text, sizeof(text)) == 2 && !memcmp(text, "o\n", 2), "its rest");
    bad += check(read(0, text, 1) == -1 && errno == EAGAIN, "nothing is left");
    bad += check(poll(&p, 1, 10) == 0, "nothing to read");
    bad += check(isatty(0) && isatty(1), "a terminal");
    printf("keys: %s\n", bad ? "FAILED" : "ok");
    return bad;
}

static int timed(void)
{
    char c;
    int empty = 0, got;

    set_raw(0, 1);
    if (read(0, &c, 1) != 0)
        return 2;
    printf("\rkeys: ready\n\r");
    while ((got = (int)read(0, &c, 1)) == 0)
        empty++;
    printf("\rkeys: timed 0, then %d\n", got);
    return empty > 600;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";

    setvbuf(stdout, NULL, _IOLBF, 0);
    return !strcmp(how, "sum")     ? sum()
           : !strcmp(how, "hex")   ? hex('\n')
           : !strcmp(how, "lines") ? lines()
           : !strcmp(how, "reads") ? reads()
           : !strcmp(how, "handler") ? handler()
           : !strcmp(how, "spin")  ? spin()
           : !strcmp(how, "raw")   ? raw()
           : !strcmp(how, "poll")  ? poll_checks()
           : !strcmp(how, "timed") ? timed()
                                   : 99;
}
