/*
 * What only steps need that nothing shuts in (plain.h): mounts that say that they are
 * read-only are not mounts there, and the tracer's own variables are no part of what the
 * step is given. Neither is a border: it keeps a program that means no harm from changing
 * the user's files, and gives it the answers that it would have elsewhere.
 */
#include "builder/sandbox/notify_priv.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- Read-only mounts --- */

enum { NONE = -1, NAMES_MAX = 2 };

/* Where a call has the paths that it changes. */
static const struct change {
    int number;
    int flags; /* the argument that tells whether it changes anything, or NONE */
    struct {
        int dir; /* or NONE: the working directory */
        int path;
    } names[NAMES_MAX];
} changes[] = {
#ifdef SYS_open
    {SYS_open, 1, {{NONE, 0}, {NONE, NONE}}},
    {SYS_creat, NONE, {{NONE, 0}, {NONE, NONE}}},
    {SYS_mkdir, NONE, {{NONE, 0}, {NONE, NONE}}},
    {SYS_rmdir, NONE, {{NONE, 0}, {NONE, NONE}}},
    {SYS_mknod, NONE, {{NONE, 0}, {NONE, NONE}}},
    {SYS_unlink, NONE, {{NONE, 0}, {NONE, NONE}}},
    {SYS_symlink, NONE, {{NONE, 1}, {NONE, NONE}}},
    {SYS_link, NONE, {{NONE, 1}, {NONE, NONE}}},
    {SYS_rename, NONE, {{NONE, 0}, {NONE, 1}}},
    {SYS_chmod, NONE, {{NONE, 0}, {NONE, NONE}}},
    {SYS_chown, NONE, {{NONE, 0}, {NONE, NONE}}},
    {SYS_lchown, NONE, {{NONE, 0}, {NONE, NONE}}},
#endif
#ifdef SYS_renameat
    {SYS_renameat, NONE, {{0, 1}, {2, 3}}},
#endif
    {SYS_openat, 2, {{0, 1}, {NONE, NONE}}},
    {SYS_mkdirat, NONE, {{0, 1}, {NONE, NONE}}},
    {SYS_mknodat, NONE, {{0, 1}, {NONE, NONE}}},
    {SYS_unlinkat, NONE, {{0, 1}, {NONE, NONE}}},
    {SYS_symlinkat, NONE, {{1, 2}, {NONE, NONE}}},
    {SYS_linkat, NONE, {{2, 3}, {NONE, NONE}}},
    {SYS_renameat2, NONE, {{0, 1}, {2, 3}}},
    {SYS_fchmodat, NONE, {{0, 1}, {NONE, NONE}}},
    {SYS_fchownat, NONE, {{0, 1}, {NONE, NONE}}},
    {SYS_truncate, NONE, {{NONE, 0}, {NONE, NONE}}},
    {SYS_utimensat, NONE, {{0, 1}, {NONE, NONE}}},
};

static const struct change *find_change(const struct notify_call *c)
{
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++)
        if (changes[i].number == c->request->data.nr)
            return &changes[i];
    return NULL;
}

static bool is_beneath(const char *path, const char *root)
{
    const size_t size = strlen(root);

    return strncmp(path, root, size) == 0 && (path[size] == '\0' || path[size] == '/');
}

static bool is_protected(const struct notify_call *c, int dir_fd, uint64_t address)
{
    struct notify_path path;
    char link[32];
    char where[2 * LIMIT_PATH_SIZE];
    char *name;

    if (address == 0 || notify_read_path(c, address, &path) < 0)
        return false;
    CLEANUP(fd_closep) int parent = notify_open_parent(c, dir_fd, path.text, &name);
    if (parent < 0)
        return false; /* the kernel knows why */
    snprintf(link, sizeof link, "/proc/self/fd/%d", parent);
    const ssize_t size = readlink(link, where, LIMIT_PATH_SIZE);
    if (size <= 0 || size >= (ssize_t)LIMIT_PATH_SIZE)
        return false;
    snprintf(where + size, sizeof where - (size_t)size, "/%s", name);
    for (size_t i = 0; c->n->readonly[i]; i++)
        if (is_beneath(where, c->n->readonly[i]))
            return true;
    return false;
}

bool notify_is_readonly(const struct notify_call *c)
{
    const struct change *const change = c->n->readonly ? find_change(c) : NULL;

    if (!change || !c->n->readonly[0] ||
        (change->flags != NONE &&
         !(notify_argument(c, (unsigned)change->flags) & (O_ACCMODE | O_CREAT | O_TRUNC))))
        return false;
    for (size_t i = 0; i < NAMES_MAX && change->names[i].path != NONE; i++) {
        const int dir = change->names[i].dir;

        if (is_protected(c, dir == NONE ? AT_FDCWD : (int)notify_argument(c, (unsigned)dir),
                         notify_argument(c, (unsigned)change->names[i].path)))
            return true;
    }
    return false;
}

void sandbox_notify_protect(struct sandbox_notify *n, const char *const *readonly)
{
    n->readonly = readonly;
}

/* --- The tracer's variables --- */

#define TRACER_PREFIX "PROOT_"
/* execve(2): arguments and environment have 2 MiB in most places, each a pointer. */
enum { VARIABLES_MAX = 65536 };

static bool is_tracers(const struct notify_call *c, uint64_t address)
{
    char start[sizeof TRACER_PREFIX - 1];

    return notify_read(c, address, start, sizeof start) == 0 &&
           memcmp(start, TRACER_PREFIX, sizeof start) == 0;
}

/* The list of pointers ends with 0; what follows a variable that goes moves up. */
static void drop_variables(const struct notify_call *c, uint64_t list)
{
    uint64_t kept = list;

    for (size_t i = 0; list != 0 && i < VARIABLES_MAX; i++) {
        const uint64_t at = list + i * sizeof(uint64_t);
        uint64_t variable = 0;

        if (notify_read(c, at, &variable, sizeof variable) < 0)
            return;
        if (variable != 0 && is_tracers(c, variable))
            continue;
        if (kept != at && notify_write(c, kept, &variable, sizeof variable) < 0)
            return;
        kept += sizeof variable;
        if (variable == 0)
            return;
    }
}

/* Only the tracer's child has them; what it starts has what it was given. */
struct notify_answer notify_execve(const struct notify_call *c)
{
    const pid_t pid = (pid_t)c->request->pid;

    if (pid != c->n->first && notify_parent_of(pid) == c->n->first)
        drop_variables(c, notify_argument(c, 2));
    return notify_pass();
}
