/* Faults in the calls that change files, for tests: preloaded into a program, it lets the n-th call that
 * touches a folder fail, or kills the process at it. Nothing happens before `faults_arm`.
 *
 *     cc -shared -fPIC -O1 -o faults.so faults.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, RENAME = 2, UNLINK = 4, SYNC = 8, CREATE = 16, TRUNCATE = 32 };

static char folder[PATH_MAX];
static int calls, kind, lasting; /* kind: an errno, or -SIGKILL */
static long at;
static atomic_long counted;

#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

/* Fail the `n`-th of these calls below `path`; `last`: and all that come after. */
void faults_arm(const char *path, int these, long n, int what, int last) {
    strncpy(folder, path, sizeof folder - 1);
    calls = these;
    kind = what;
    lasting = last;
    counted = 0;
    at = n;
}

long faults_counted(void) { return counted; }

static int below(const char *path) {
    size_t length = strlen(folder);
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int of_descriptor(int descriptor) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

static int of_name(int around, const char *name) {
    char path[PATH_MAX];
    if (name[0] == '/') return below(name);
    if (around != AT_FDCWD) return of_descriptor(around);
    return getcwd(path, sizeof path) && below(path);
}

/* Whether this call is to fail: 0 if not, 1 the first time, 2 after that. */
static int due(int call) {
    if (!(calls & call)) return 0;
    long number = ++counted;
    if (!at || number < at || (number > at && !lasting)) return 0;
    return number == at ? 1 : 2;
}

static int failed(void) {
    if (kind == -SIGKILL) syscall(SYS_kill, getpid(), SIGKILL);
    errno = kind;
    return -1;
}

/* The first write that fails writes half of what it should, as on a disk that is full or a process that dies. */
#define WRITTEN(half)                                          \
    int when = calls && of_descriptor(descriptor) ? due(WRITE) : 0; \
    if (when == 1 && size > 1 && kind != EIO) {                \
        ssize_t some = half;                                   \
        if (kind == -SIGKILL) failed();                        \
        return some;                                           \
    }                                                          \
    if (when) return failed();

ssize_t write(int descriptor, const void *content, size_t size) {
    WRITTEN(REAL(write)(descriptor, content, size / 2))
    return REAL(write)(descriptor, content, size);
}

ssize_t pwrite(int descriptor, const void *content, size_t size, off_t place) {
    WRITTEN(REAL(pwrite)(descriptor, content, size / 2, place))
    return REAL(pwrite)(descriptor, content, size, place);
}

ssize_t pwrite64(int descriptor, const void *content, size_t size, off64_t place) {
    WRITTEN(REAL(pwrite64)(descriptor, content, size / 2, place))
    return REAL(pwrite64)(descriptor, content, size, place);
}

ssize_t writev(int descriptor, const struct iovec *parts, int size) {
    WRITTEN(REAL(writev)(descriptor, parts, size / 2))
    return REAL(writev)(descriptor, parts, size);
}

#define REFUSED(call, touched) \
    if (calls && (touched) && due(call)) return failed();

int rename(const char *from, const char *to) {
    REFUSED(RENAME, of_name(AT_FDCWD, to))
    return REAL(rename)(from, to);
}

int renameat(int around, const char *from, int other, const char *to) {
    REFUSED(RENAME, of_name(other, to))
    return REAL(renameat)(around, from, other, to);
}

int unlink(const char *name) {
    REFUSED(UNLINK, of_name(AT_FDCWD, name))
    return REAL(unlink)(name);
}

int unlinkat(int around, const char *name, int flags) {
    REFUSED(UNLINK, of_name(around, name))
    return REAL(unlinkat)(around, name, flags);
}

int fsync(int descriptor) {
    REFUSED(SYNC, of_descriptor(descriptor))
    return REAL(fsync)(descriptor);
}

int fdatasync(int descriptor) {
    REFUSED(SYNC, of_descriptor(descriptor))
    return REAL(fdatasync)(descriptor);
}

int ftruncate(int descriptor, off_t size) {
    REFUSED(TRUNCATE, of_descriptor(descriptor))
    return REAL(ftruncate)(descriptor, size);
}

int ftruncate64(int descriptor, off64_t size) {
    REFUSED(TRUNCATE, of_descriptor(descriptor))
    return REAL(ftruncate64)(descriptor, size);
}

int mkdir(const char *name, mode_t mode) {
    REFUSED(CREATE, of_name(AT_FDCWD, name))
    return REAL(mkdir)(name, mode);
}

int mkdirat(int around, const char *name, mode_t mode) {
    REFUSED(CREATE, of_name(around, name))
    return REAL(mkdirat)(around, name, mode);
}

#define OPENING(function, around, ...)                                                          \
    mode_t mode = 0;                                                                            \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                        \
        va_list more;                                                                           \
        va_start(more, flags);                                                                  \
        mode = va_arg(more, mode_t);                                                            \
        va_end(more);                                                                           \
    }                                                                                           \
    if (flags & O_CREAT && calls && of_name(around, name)                                       \
        && syscall(SYS_faccessat, around, name, F_OK) != 0 && due(CREATE)) return failed();     \
    return REAL(function)(__VA_ARGS__, flags, mode);

int open(const char *name, int flags, ...) { OPENING(open, AT_FDCWD, name) }

int open64(const char *name, int flags, ...) { OPENING(open64, AT_FDCWD, name) }

int openat(int around, const char *name, int flags, ...) { OPENING(openat, around, around, name) }

int openat64(int around, const char *name, int flags, ...) { OPENING(openat64, around, around, name) }
