// SPDX-License-Identifier: MIT
/* String helpers of our own, and the names of errors. The same on the host. */
#include <lib/errno.h>
#include <lib/string.h>

size_t str_copy(char *dst, const char *src, size_t size)
{
    size_t length = strlen(src);

    if (size) {
        size_t kept = MIN(length, size - 1);
        memcpy(dst, src, kept);
        dst[kept] = 0;
    }
    return length;
}

bool str_starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

#define DISTANCE_MAX 63

/* Levenshtein's distance, one row of the table at a time; beyond 63 characters is left out. */
unsigned str_distance(const char *a, const char *b)
{
    unsigned char row[DISTANCE_MAX + 1];
    size_t a_length = strnlen(a, DISTANCE_MAX), b_length = strnlen(b, DISTANCE_MAX);

    for (size_t j = 0; j <= b_length; j++)
        row[j] = (unsigned char)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned char)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned edit = diagonal + (a[i - 1] != b[j - 1]);
            unsigned step = MIN(row[j], row[j - 1]) + 1u;
            diagonal = row[j];
            row[j] = (unsigned char)MIN(edit, step);
        }
    }
    return row[b_length];
}

#define ERROR_NAME(name) [name] = #name

static const char *const error_names[] = {
    ERROR_NAME(EPERM),   ERROR_NAME(ENOENT),    ERROR_NAME(ESRCH),      ERROR_NAME(EINTR),
    ERROR_NAME(EIO),     ERROR_NAME(ENXIO),     ERROR_NAME(E2BIG),      ERROR_NAME(ENOEXEC),
    ERROR_NAME(EBADF),   ERROR_NAME(ECHILD),    ERROR_NAME(EAGAIN),     ERROR_NAME(ENOMEM),
    ERROR_NAME(EACCES),  ERROR_NAME(EFAULT),    ERROR_NAME(ENOTBLK),    ERROR_NAME(EBUSY),
    ERROR_NAME(EEXIST),  ERROR_NAME(EXDEV),     ERROR_NAME(ENODEV),     ERROR_NAME(ENOTDIR),
    ERROR_NAME(EISDIR),  ERROR_NAME(EINVAL),    ERROR_NAME(ENFILE),     ERROR_NAME(EMFILE),
    ERROR_NAME(ENOTTY),  ERROR_NAME(ETXTBSY),   ERROR_NAME(EFBIG),      ERROR_NAME(ENOSPC),
    ERROR_NAME(ESPIPE),  ERROR_NAME(EROFS),     ERROR_NAME(EMLINK),     ERROR_NAME(EPIPE),
    ERROR_NAME(EDOM),    ERROR_NAME(ERANGE),    ERROR_NAME(EDEADLK),    ERROR_NAME(ENAMETOOLONG),
    ERROR_NAME(ENOLCK),
    ERROR_NAME(ENOSYS),  ERROR_NAME(ENOTEMPTY), ERROR_NAME(ELOOP),      ERROR_NAME(ENODATA),
    ERROR_NAME(EPROTO),  ERROR_NAME(EOVERFLOW), ERROR_NAME(EOPNOTSUPP), ERROR_NAME(ETIMEDOUT),
    ERROR_NAME(EUCLEAN), ERROR_NAME(ECANCELED),
};

/* Takes an error of either sign. */
const char *errno_name(int error)
{
    unsigned number = error < 0 ? 0u - (unsigned)error : (unsigned)error;

    if (number == 0)
        return "0";
    if (number >= ARRAY_COUNT(error_names) || !error_names[number])
        return "unknown error";
    return error_names[number];
}
