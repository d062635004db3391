/* The n-th call of a function on files below a directory fails, as on a bad disk; loaded by LD_PRELOAD.

   Read from the environment at every call, so that a process can be attacked that has run for long:
     ATTACK_CALL      the name of the function, such as fsync
     ATTACK_BELOW     the absolute path of the directory
     ATTACK_NTH       which call is the first to fail, from 1
     ATTACK_ERRNO     the number of the error; 0 has a read or write do half of what was asked
     ATTACK_FOR_EVER  1 where all later calls fail too
     ATTACK_LOG       a file, that gets the path of each call that failed
*/
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int calls;

static void note(const char *path) {
    const char *log = getenv("ATTACK_LOG");
    int file = log ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0666) : -1;
    if (file < 0) return;
    syscall(SYS_write, file, path, strlen(path));
    syscall(SYS_write, file, "\n", 1);
    syscall(SYS_close, file);
}

/* The error that this call is to fail with, 0 for half a call, -1 for none. */
static int fault(const char *call, int directory, const char *path) {
    const char *chosen = getenv("ATTACK_CALL"), *below = getenv("ATTACK_BELOW");
    if (!chosen || strcmp(chosen, call) || !below) return -1;
    char base[PATH_MAX] = "", whole[2 * PATH_MAX];
    if (path && path[0] == '/') {
        snprintf(whole, sizeof whole, "%s", path);
    } else {
        if (directory == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return -1;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
            ssize_t size = readlink(link, base, sizeof base - 1);
            if (size < 0) return -1;
            base[size] = 0;
        }
        snprintf(whole, sizeof whole, path ? "%s/%s" : "%s", base, path);
    }
    size_t length = strlen(below);
    if (strncmp(whole, below, length) || (whole[length] && whole[length] != '/')) return -1;
    int nth = atoi(getenv("ATTACK_NTH")), now = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    const char *ever = getenv("ATTACK_FOR_EVER");
    if (now < nth || (now > nth && !(ever && ever[0] == '1'))) return -1;
    note(whole);
    return atoi(getenv("ATTACK_ERRNO"));
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Of functions that give -1 and errno. */
#define WRAP(type, name, call, parameters, arguments, directory, path)  \
    type name parameters {                                              \
        int error = fault(call, directory, path);                       \
        if (error > 0) return errno = error, -1;                        \
        return REAL(name) arguments;                                    \
    }

/* Of functions that may do a part of what was asked. */
#define WRAP_PARTS(name, call, parameters, arguments, half)  \
    ssize_t name parameters {                                \
        int error = fault(call, file, NULL);                 \
        if (error > 0) return errno = error, -1;             \
        if (error == 0 && size > 1) return REAL(name) half;  \
        return REAL(name) arguments;                         \
    }

WRAP_PARTS(write, "write", (int file, const void *data, size_t size), (file, data, size), (file, data, size / 2))
WRAP_PARTS(read, "read", (int file, void *data, size_t size), (file, data, size), (file, data, size / 2))
WRAP_PARTS(pread, "read", (int file, void *data, size_t size, off_t at), (file, data, size, at),
           (file, data, size / 2, at))
WRAP_PARTS(pread64, "read", (int file, void *data, size_t size, off_t at), (file, data, size, at),
           (file, data, size / 2, at))
WRAP(int, fsync, "fsync", (int file), (file), file, NULL)
WRAP(int, rename, "rename", (const char *from, const char *to), (from, to), AT_FDCWD, to)
WRAP(int, renameat, "rename", (int one, const char *from, int two, const char *to), (one, from, two, to), two, to)
WRAP(int, link, "link", (const char *from, const char *to), (from, to), AT_FDCWD, to)
WRAP(int, linkat, "link", (int one, const char *from, int two, const char *to, int flags),
     (one, from, two, to, flags), two, to)
WRAP(int, mkdir, "mkdir", (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
WRAP(int, unlink, "unlink", (const char *path), (path), AT_FDCWD, path)
WRAP(int, stat, "stat", (const char *restrict path, struct stat *restrict found), (path, found), AT_FDCWD, path)
WRAP(int, stat64, "stat", (const char *restrict path, struct stat64 *restrict found), (path, found), AT_FDCWD, path)
WRAP(int, lstat, "stat", (const char *restrict path, struct stat *restrict found), (path, found), AT_FDCWD, path)
WRAP(int, lstat64, "stat", (const char *restrict path, struct stat64 *restrict found), (path, found), AT_FDCWD, path)
WRAP(int, fstatat, "stat", (int one, const char *restrict path, struct stat *restrict found, int flags),
     (one, path, found, flags), one, path)
WRAP(int, fstatat64, "stat", (int one, const char *restrict path, struct stat64 *restrict found, int flags),
     (one, path, found, flags), one, path)

/* Of open, the mode is there only where a file may be made. */
#define WRAP_OPEN(name, directory, parameters, ...)                     \
    int name parameters {                                               \
        va_list rest;                                                   \
        va_start(rest, flags);                                          \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                   \
        int error = fault("open", directory, path);                     \
        if (error > 0) return errno = error, -1;                        \
        return REAL(name)(__VA_ARGS__, mode);                           \
    }

WRAP_OPEN(open, AT_FDCWD, (const char *path, int flags, ...), path, flags)
WRAP_OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), path, flags)
WRAP_OPEN(openat, directory, (int directory, const char *path, int flags, ...), directory, path, flags)
WRAP_OPEN(openat64, directory, (int directory, const char *path, int flags, ...), directory, path, flags)

DIR *opendir(const char *path) {
    int error = fault("opendir", AT_FDCWD, path);
    if (error > 0) return errno = error, NULL;
    return REAL(opendir)(path);
}

/* No file: chosen as "thread", below everything. */
int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*begin)(void *), void *argument) {
    int error = fault("thread", AT_FDCWD, "/");
    return error > 0 ? error : REAL(pthread_create)(thread, how, begin, argument);
}

int attack_is_here = 1;
