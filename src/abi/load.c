// SPDX-License-Identifier: MIT
/*
 * From a file to a running program: reads the ELF file, maps its segments, gives it a stack and a
 * heap, starts its main thread, and waits for its end. What goes wrong is said on the console with
 * the file's name.
 *
 * Layout: the program where it wants to be (a position-independent one at PIE_BASE), the brk heap
 * behind it, mmap downwards from below the main stack, the main stack at the top.
 */
#include <abi/app.h>

#include <abi/console.h>
#include <abi/copy.h>
#include <abi/elf.h>
#include <abi/futex.h>
#include <abi/halts.h>
#include <abi/locks.h>
#include <abi/memory.h>
#include <abi/process.h>
#include <abi/start_stack.h>
#include <abi/symbols.h>
#include <abi/vdso.h>
#include <lib/bits.h>
#include <lib/string.h>
#include <rt/heap.h>
#include <rt/log.h>
#include <rt/machine.h>
#include <rt/page.h>
#include <vfs/vfs.h>

#define PIE_BASE UINT64_C(0x0000555555554000)
#define STACK_TOP (APP_LIMIT - PAGE_BYTES)
#define STACK_BYTES_MAX MIB(8)
#define STACK_BYTES_MIN KIB(128)
#define STACK_GUARD_BYTES MIB(1)
#define READ_PIECE_BYTES KIB(256)
#define START_FLAGS 0x202u

/* A load that goes on; in the heap, for it is large. */
struct load {
    const char *path;
    struct file *file;
    struct elf_image image;
    uint64_t bias;
    uint8_t bytes[ELF_PHDRS_MAX * ELF_PHDR_BYTES];
};

static int complain(const struct load *load, const char *why)
{
    console_printf("app: %s %s\n", load->path, why);
    return -ENOEXEC;
}

static int complain_error(const struct load *load, const char *what, int error)
{
    console_printf("app: %s: %s: %s\n", load->path, what, errno_name(-error));
    return error;
}

/* Reads until @bytes are there or the file ends; returns how many. */
static ssize_t read_fully(struct file *file, void *dst, uint64_t bytes, uint64_t offset)
{
    uint64_t done = 0;
    while (done < bytes) {
        ssize_t got = vfs_read(file, (uint8_t *)dst + done, MIN(bytes - done, READ_PIECE_BYTES),
                               offset + done);
        if (got < 0)
            return got;
        if (got == 0)
            break;
        done += (uint64_t)got;
    }
    return (ssize_t)done;
}

static int read_headers(struct load *load)
{
    const char *why = NULL;
    uint64_t file_bytes = load->file->inode->size;

    if (!mode_is_file(load->file->inode->mode))
        return complain(load, "is not a regular file");
    ssize_t got = read_fully(load->file, load->bytes, ELF_HEADER_BYTES, 0);
    if (got < 0)
        return complain_error(load, "cannot be read", (int)got);
    if (elf_read_header(load->bytes, (size_t)got, file_bytes, &load->image, &why))
        return complain(load, why);
    uint64_t table_bytes = (uint64_t)load->image.phdr_count * ELF_PHDR_BYTES;
    got = read_fully(load->file, load->bytes, table_bytes, load->image.phdr_offset);
    if (got < 0)
        return complain_error(load, "cannot be read", (int)got);
    if ((uint64_t)got < table_bytes)
        return complain(load, "is cut off within its program headers");
    if (elf_read_segments(load->bytes, file_bytes, STACK_TOP - STACK_BYTES_MAX, &load->image, &why))
        return complain(load, why);
    if (!load->image.position_independent)
        return 0;
    if (load->image.high > GIB(64))
        return complain(load, "is too large for a position-independent program");
    load->bias = PIE_BASE - load->image.low;
    return 0;
}

/* The pages are writable while they are filled, and get their own access then. */
static noinline int load_segment(struct load *load, const struct elf_segment *s)
{
    uint64_t address = s->address + load->bias;
    uint64_t start = align_down(address, PAGE_BYTES);
    uint64_t end = align_up(address + s->memory_bytes, PAGE_BYTES);
    struct map_request request = {
        .address = start,
        .bytes = end - start,
        .access = ARCH_READ | ARCH_WRITE,
        .kind = VMA_IMAGE,
        .fixed = true,
    };
    long mapped = memory_map(&request);
    if (mapped < 0)
        return complain_error(load, "its segments cannot be mapped", (int)mapped);
    int error = app_check_write(address, s->file_bytes);
    if (error)
        return complain_error(load, "its segments cannot be mapped", error);
    ssize_t got = read_fully(load->file, (void *)address, s->file_bytes, s->offset);
    if (got < 0)
        return complain_error(load, "cannot be read", (int)got);
    if ((uint64_t)got < s->file_bytes)
        return complain(load, "is cut off: a segment lies beyond its end");
    error = memory_protect(start, end - start, s->access);
    return error ? complain_error(load, "its segments cannot be protected", error) : 0;
}

static int load_segments(struct load *load)
{
    for (uint32_t i = 0; i < load->image.segment_count; i++) {
        int error = load_segment(load, &load->image.segments[i]);
        if (error)
            return error;
    }
    app_memory.brk_start = app_memory.brk_end = load->image.high + load->bias;
    return 0;
}

/*
 * A machine with little memory gets a smaller stack than Linux would give, for all of it is
 * reserved.
 */
static noinline int map_stack(const struct load *load)
{
    uint64_t share = page_count_free() / 8 * PAGE_BYTES;
    app.stack_bytes = align_down(MIN(MAX(share, STACK_BYTES_MIN), STACK_BYTES_MAX), PAGE_BYTES);
    struct map_request request = {
        .address = STACK_TOP - app.stack_bytes,
        .bytes = app.stack_bytes,
        .access = ARCH_READ | ARCH_WRITE,
        .kind = VMA_STACK,
        .fixed = true,
    };
    long mapped = memory_map(&request);
    if (mapped < 0)
        return complain_error(load, "no memory for its stack", (int)mapped);
    app_memory.map_top = app_memory.gap_hint = request.address - STACK_GUARD_BYTES;
    return 0;
}

static noinline int start_main_thread(const struct load *load, uint64_t rsp)
{
    struct app_thread *main_thread;
    struct arch_frame start = {
        .rip = load->image.entry + load->bias,
        .cs = KERNEL_CS,
        .rflags = START_FLAGS,
        .rsp = rsp,
        .ss = KERNEL_DS,
    };
    int error = app_thread_create(&start, 0, false, &main_thread);
    if (error)
        return complain_error(load, "its main thread cannot be made", error);
    str_copy(main_thread->thread->name, app.name, sizeof(main_thread->thread->name));
    app_thread_go(main_thread);
    return 0;
}

static int load_and_start(struct load *load, struct start_info *info)
{
    uint64_t rsp;

    int error = vfs_open(NULL, load->path, OPEN_READ, 0, &load->file);
    if (error)
        return complain_error(load, "cannot be opened", error);
    error = read_headers(load);
    if (!error)
        error = load_segments(load);
    symbols_start(load->file, load->bias);
    if (!error)
        halts_replace(&load->image, load->bias);
    file_put(load->file);
    if (!error)
        error = map_stack(load);
    if (error)
        return error;
    error = vdso_map(&info->vdso);
    if (error)
        return complain_error(load, "no memory for its clocks (vDSO)", error);
    info->image = &load->image;
    info->bias = load->bias;
    error = start_stack_build(info, STACK_TOP, app.stack_bytes, &rsp);
    if (error)
        return complain_error(load, "its arguments do not fit", error);
    return start_main_thread(load, rsp);
}

static int begin(const char *path)
{
    const char *slash = strrchr(path, '/');

    app_start(slash ? slash + 1 : path);
    if (!app_end.name)
        app_end.name = app.name;
    memory_start();
    file_maps_start();
    futex_start();
    signal_alarms_start();
    locks_start();
    int error = console_start();
    if (error)
        console_printf("app: the console cannot be opened: %s\n", errno_name(-error));
    return error;
}

unsigned app_load_and_run(const char *path, uint32_t argc, const char *const *argv, uint32_t envc,
                          const char *const *env)
{
    struct start_info info = {.path = path, .argv = argv, .env = env, .argc = argc, .envc = envc};

    if (begin(path))
        return EXIT_SETUP;
    struct load *load = heap_zalloc(sizeof(*load));
    int error = -ENOMEM;
    if (load) {
        load->path = path;
        error = load_and_start(load, &info);
        heap_free(load);
    } else {
        console_printf("app: %s: no memory to load it\n", path);
    }
    if (error) {
        symbols_stop();
        fd_close_all();
        return EXIT_SETUP;
    }
    app_wait_quiet();
    if (app.missing_calls)
        log_info("app: %llu calls gave ENOSYS", (unsigned long long)app.missing_calls);
    symbols_stop();
    app_drop_waits();
    memory_unmap_files();
    fd_close_all();
    return app.result;
}
