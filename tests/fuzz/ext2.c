// SPDX-License-Identifier: MIT
/*
 * Wrecked ext2 images by coverage: libFuzzer's bytes take the place of the random choices of
 * tests/host/test_ext2_wrecked.c (what is spoiled, how, and what is then tried). Built and run by
 * tests/fuzz/ext2.sh; one input again: `ext2-fuzz FILE`. FUZZ_OPTIONS: those of mke2fs.
 */
#define main wrecked_main
#include "../host/test_ext2_wrecked.c"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static char console[65536];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *options = getenv("FUZZ_OPTIONS");
    (void)argc, (void)argv, (void)wrecked_main;
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    machine_boot("stack.extra=4");
    load(options ? options : "-b 1024 -g 1024 " PLAIN);
    host_console_capture(console, sizeof(console));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    wishes = data;
    wishes_bytes = bytes;
    random_state = 77;
    memcpy(wrecked, pristine, image_bytes);
    for (uint64_t n = 1 + below(6); n; n--)
        spoil_one();
    int fd = open(image.path, O_WRONLY | O_CLOEXEC);
    if (pwrite(fd, wrecked, image_bytes, 0) != (ssize_t)image_bytes)
        abort();
    close(fd);
    image_adopt(&image, "x");
    image_attach(&image);
    run(&try_step, NULL);
    image_detach(&image);
    wishes_bytes = 0;
    return 0;
}
