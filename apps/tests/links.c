// SPDX-License-Identifier: MIT
/*
 * Hard and symbolic links, with the errno that Linux gives: `links [DIR]`. Makes and removes
 * DIR/links.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <include/check.h>

static void test_hard(void)
{
    struct stat a, b;

    OK(close(OK(open("a", O_WRONLY | O_CREAT, 0644))));
    OK(link("a", "b"));
    OK(stat("a", &a));
    OK(stat("b", &b));
    EQUAL(a.st_ino, b.st_ino);
    EQUAL(a.st_nlink, 2);
    FAILS(link("a", "b"), EEXIST);
    FAILS(link("none", "c"), ENOENT);
    FAILS(link(".", "c"), EPERM);
    OK(rename("a", "b"));
    OK(stat("a", &a));
    OK(unlink("a"));
    OK(stat("b", &b));
    EQUAL(b.st_nlink, 1);
    OK(unlink("b"));
}

static void test_symbolic(void)
{
    char text[1200], name[16];
    struct stat st;

    OK(mkdir("d", 0755));
    OK(close(OK(open("d/f", O_WRONLY | O_CREAT, 0644))));
    OK(symlink("d/f", "s"));
    EQUAL(readlink("s", text, sizeof(text)), 3);
    CHECK(memcmp(text, "d/f", 3) == 0);
    OK(lstat("s", &st));
    CHECK(S_ISLNK(st.st_mode));
    EQUAL(st.st_size, 3);
    OK(stat("s", &st));
    CHECK(S_ISREG(st.st_mode));
    OK(close(OK(open("s", O_RDONLY))));
    FAILS(open("s", O_RDONLY | O_NOFOLLOW), ELOOP);
    FAILS(symlink("x", "s"), EEXIST);
    FAILS(readlink("d", text, 10), EINVAL);
    OK(symlink("d", "ds"));
    OK(stat("ds/f", &st));
    OK(symlink("nowhere", "broken"));
    FAILS(stat("broken", &st), ENOENT);
    OK(symlink("loop", "loop"));
    FAILS(stat("loop", &st), ELOOP);
    memset(text, 'x', 1000);
    text[1000] = '\0';
    OK(symlink(text, "long"));
    EQUAL(readlink("long", text, sizeof(text)), 1000);
    for (int i = 0; i < 41; i++) {
        char target[16];

        snprintf(target, sizeof(target), i ? "c%d" : "d/f", i - 1);
        snprintf(name, sizeof(name), "c%d", i);
        OK(symlink(target, name));
    }
    OK(stat("c39", &st));
    FAILS(stat("c40", &st), ELOOP);
    for (int i = 0; i < 41; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        OK(unlink(name));
    }
    OK(unlink("s"));
    OK(unlink("ds"));
    OK(unlink("broken"));
    OK(unlink("loop"));
    OK(unlink("long"));
    OK(unlink("d/f"));
    OK(rmdir("d"));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (OK(chdir(argc > 1 ? argv[1] : ".")) < 0)
        return check_end("links");
    OK(mkdir("links", 0755));
    OK(chdir("links"));
    test_hard();
    test_symbolic();
    OK(chdir(".."));
    OK(rmdir("links"));
    return check_end("links");
}
