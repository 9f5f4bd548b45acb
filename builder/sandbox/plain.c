#include "builder/sandbox/plain.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/owner.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A list of owned texts that ends with NULL. */
struct texts {
    char **items;
    size_t count;
    size_t room;
};

struct sandbox_plain {
    char *dir; /* what this step has; NULL: not made yet */
    int dir_fd;
    unsigned names;            /* given so far */
    struct cas_owners *owners; /* borrowed from the step's root */
    struct texts argv;
    struct texts env;
    struct texts targets; /* of directories they end with a slash */
    struct texts readonly;
};

/* Takes the text over. */
static void texts_add(struct texts *t, char *text)
{
    t->items = base_grow(t->items, t->count, &t->room, sizeof *t->items);
    t->items[t->count++] = text;
}

static void texts_release(struct texts *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->items[i]);
    free(t->items);
}

static void add(struct sandbox_plain *p, const char *text)
{
    texts_add(&p->argv, base_strdup(text));
}

/* --- What cannot be had --- */

static int check(const struct sandbox_spec *spec, struct error *err)
{
    const char *what = NULL;

    if (spec->network == SANDBOX_NETWORK_NONE)
        what = "--network none";
    else if (spec->tty)
        what = "a terminal";
    else if (spec->readonly_root)
        what = "a read-only root";
    else if (spec->root.overlay || !spec->root.owners)
        what = "a root that is mounted";
    if (!what)
        return 0;
    return error_set(err, ERROR_UNSUPPORTED,
                     "%s cannot be had with --isolation none, which shuts nothing in",
                     what);
}

/* --- The directory --- */

#define PREFIX "cooper-step."

/* Whoever uses one holds a lock on it. */
static void remove_if_left(const char *place, const char *name)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* somebody else's, or gone */
    CLEANUP(base_freep) char *path = base_format("%s/%s", place, name);
    CLEANUP(fd_closep)
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
        flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)!fs_remove_tree_at(AT_FDCWD, path, &ignored);
}

/* What processes of this user that were killed left behind. */
static void sweep(const char *place)
{
    DIR *const dir = opendir(place);
    const struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir)))
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) == 0)
            remove_if_left(place, entry->d_name);
    closedir(dir);
}

/* In memory, as secrets may lie there. */
static int make_directory(struct sandbox_plain *p, struct error *err)
{
    const char *const temporary = getenv("TMPDIR");
    const char *const places[] = {"/dev/shm", temporary ? temporary : "/tmp", "/tmp"};

    for (size_t i = 0; i < ARRAY_COUNT(places) && !p->dir; i++) {
        char *const path = base_format("%s/" PREFIX "XXXXXX", places[i]);

        sweep(places[i]);
        if (mkdtemp(path))
            p->dir = path;
        else
            free(path);
    }
    if (!p->dir)
        return error_sys(err, "make a directory in /dev/shm or /tmp");
    p->dir_fd = fs_open_at(AT_FDCWD, p->dir, O_RDONLY | O_DIRECTORY, 0, err);
    if (p->dir_fd < 0)
        return -1;
    return flock(p->dir_fd, LOCK_EX) < 0 ? error_sys(err, "lock %s", p->dir) : 0;
}

static char *new_name(struct sandbox_plain *p)
{
    return base_format("%u", p->names++);
}

/* --- Binds --- */

/* HOST:GUEST; proot knows no way to write a colon. Takes `host` over. */
static int bind_path(struct sandbox_plain *p,
                     char *host,
                     const char *target,
                     struct error *err)
{
    CLEANUP(base_freep) char *owned = host;

    struct stat st;

    if (strchr(owned, ':') || strchr(target, ':'))
        return error_set(err, ERROR_UNSUPPORTED,
                         "mount '%s' at '%s': with --isolation none neither may hold a ':'",
                         owned, target);
    if (stat(owned, &st) < 0)
        return error_sys(err, "mount '%s' at '%s'", owned, target);
    add(p, "-b");
    texts_add(&p->argv, base_format("%s:%s", owned, target));
    texts_add(&p->targets, base_format("%s%s", target, S_ISDIR(st.st_mode) ? "/" : ""));
    return 0;
}

/* Where an open file or directory is. */
static char *path_of(int fd, struct error *err)
{
    CLEANUP(base_freep) char *link = base_format("/proc/self/fd/%d", fd);

    return fs_readlink_at(AT_FDCWD, link, err);
}

static int bind_descriptor(struct sandbox_plain *p,
                           const struct sandbox_mount *m,
                           int fd,
                           struct error *err)
{
    const char *source = m->source ? m->source : "";

    while (*source == '/')
        source++;
    CLEANUP(fd_closep)
    int opened = fs_open_in_root(fd, *source ? source : ".", O_PATH, 0, err);
    char *const path = opened < 0 ? NULL : path_of(opened, err);
    if (path && m->readonly)
        texts_add(&p->readonly, base_strdup(path));
    return path ? bind_path(p, path, m->target, err) : -1;
}

static int bind_own(struct sandbox_plain *p,
                    const char *name,
                    const char *target,
                    struct error *err)
{
    return bind_path(p, base_format("%s/%s", p->dir, name), target, err);
}

static int bind_file(struct sandbox_plain *p,
                     const char *target,
                     struct view content,
                     mode_t mode,
                     const struct cas_owner *owner,
                     struct error *err)
{
    CLEANUP(base_freep) char *name = new_name(p);
    CLEANUP(fd_closep)
    int fd = fs_open_at(p->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600, err);

    if (fd < 0 || fs_write_all(fd, content.data, content.size, err) < 0)
        return -1;
    if (fchmod(fd, mode) < 0)
        return error_sys(err, "chmod");
    if ((owner->uid != 0 || owner->gid != 0) &&
        cas_owner_write(p->owners, fd, "", owner) < 0)
        return error_sys(err, "record the owner of %s", target);
    return bind_own(p, name, target, err);
}

static int bind_directory(struct sandbox_plain *p,
                          const char *target,
                          mode_t mode,
                          struct error *err)
{
    CLEANUP(base_freep) char *name = new_name(p);

    if (mkdirat(p->dir_fd, name, 0700) < 0 || fchmodat(p->dir_fd, name, mode, 0) < 0)
        return error_sys(err, "make a directory for %s", target);
    return bind_own(p, name, target, err);
}

static int bind_socket(struct sandbox_plain *p,
                       const struct sandbox_mount *m,
                       int *listener,
                       struct error *err)
{
    CLEANUP(base_freep) char *name = new_name(p);
    CLEANUP(base_freep) char *path = base_format("%s/%s", p->dir, name);
    CLEANUP(fd_closep)
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t size = strlen(path);

    if (size >= sizeof address.sun_path)
        return error_set(err, ERROR_LIMIT, "%s is too long for a socket", path);
    memcpy(address.sun_path, path, size);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(path, m->mode ? m->mode : 0600) < 0 || listen(fd, SOMAXCONN) < 0)
        return error_sys(err, "make a socket for %s", m->target);
    *listener = fd_take(&fd);
    return bind_own(p, name, m->target, err);
}

static int bind_mount(struct sandbox_plain *p,
                      const struct sandbox_mount *m,
                      int **listener,
                      struct error *err)
{
    const struct cas_owner owner = {.uid = m->uid, .gid = m->gid};

    switch (m->type) {
    case SANDBOX_MOUNT_BIND:
    case SANDBOX_MOUNT_DEVICE:
        return bind_descriptor(p, m, m->source_fd, err);
    case SANDBOX_MOUNT_SNAPSHOT:
        return bind_descriptor(p, m, m->snapshot.upper_fd, err);
    case SANDBOX_MOUNT_TMPFS:
        return bind_directory(p, m->target, m->mode ? m->mode : 01777, err);
    case SANDBOX_MOUNT_FILE:
        return bind_file(p, m->target, m->content, m->mode ? m->mode : 0400, &owner, err);
    case SANDBOX_MOUNT_SOCKET:
        return bind_socket(p, m, (*listener)++, err);
    }
    return error_set(err, ERROR_INVALID, "mount '%s' is of no known type", m->target);
}

/* --- The whole --- */

static int find_tracer(struct sandbox_plain *p, struct error *err)
{
    const char *const path = getenv("PATH");
    struct view rest = view_of(path ? path : "/usr/local/bin:/usr/bin:/bin");

    while (rest.size > 0) {
        struct view place;

        view_cut(rest, ':', &place, &rest);
        CLEANUP(base_freep)
        char *program = base_format("%.*s/proot", (int)place.size, place.data);
        if (place.size > 0 && place.data[0] == '/' && access(program, X_OK) == 0) {
            add(p, program);
            return 0;
        }
    }
    return error_set(
        err, ERROR_UNSUPPORTED,
        "--isolation none runs steps by proot, which is not installed (package "
        "proot)");
}

static int add_root(struct sandbox_plain *p,
                    const struct sandbox_spec *spec,
                    struct error *err)
{
    static const char *const kernel[] = {"/proc", "/sys", "/dev"};
    const struct cas_owner own = {0};
    char *const root = path_of(spec->root.upper_fd, err);

    if (!root)
        return -1;
    add(p, "-v");
    add(p, "-1"); /* says nothing of its own but why it cannot start */
    add(p, "-r");
    texts_add(&p->argv, root);
    add(p, "-w");
    add(p, spec->cwd ? spec->cwd : "/");
    for (size_t i = 0; i < ARRAY_COUNT(kernel); i++)
        if (bind_path(p, base_strdup(kernel[i]), kernel[i], err) < 0)
            return -1;
    if (spec->resolv_conf &&
        bind_file(p, "/etc/resolv.conf", view_of(spec->resolv_conf), 0644, &own, err) < 0)
        return -1;
    if (spec->hosts &&
        bind_file(p, "/etc/hosts", view_of(spec->hosts), 0644, &own, err) < 0)
        return -1;
    return 0;
}

/* Its own way to look at calls, by a filter, would be told less than ours (seccomp(2): the
 * stronger action wins), so it is told to stop each call before. */
static void add_env(struct sandbox_plain *p, const struct sandbox_spec *spec)
{
    for (size_t i = 0; spec->env && spec->env[i]; i++)
        texts_add(&p->env, base_strdup(spec->env[i]));
    texts_add(&p->env, base_strdup("PROOT_NO_SECCOMP=1"));
    texts_add(&p->env, base_format("PROOT_TMP_DIR=%s", p->dir));
    texts_add(&p->env, NULL);
}

static int fill(struct sandbox_plain *p,
                const struct sandbox_spec *spec,
                int *listeners,
                struct error *err)
{
    if (check(spec, err) < 0 || find_tracer(p, err) < 0 || make_directory(p, err) < 0 ||
        add_root(p, spec, err) < 0)
        return -1;
    for (size_t i = 0; i < spec->mount_count; i++)
        if (bind_mount(p, &spec->mounts[i], &listeners, err) < 0)
            return -1;
    for (size_t i = 0; spec->argv[i]; i++)
        add(p, spec->argv[i]);
    texts_add(&p->argv, NULL);
    texts_add(&p->readonly, NULL);
    add_env(p, spec);
    return 0;
}

struct sandbox_plain *sandbox_plain_new(const struct sandbox_spec *spec,
                                        int *listeners,
                                        struct error *err)
{
    struct sandbox_plain *const p = base_alloc(sizeof *p);

    *p = (struct sandbox_plain){.dir_fd = -1, .owners = spec->root.owners};
    if (fill(p, spec, listeners, err) == 0)
        return p;
    sandbox_plain_free(p);
    return NULL;
}

void sandbox_plain_free(struct sandbox_plain *p)
{
    struct error ignored = ERROR_INIT; /* what is left lies in memory */

    if (!p)
        return;
    fd_closep(&p->dir_fd);
    if (p->dir && fs_remove_tree_at(AT_FDCWD, p->dir, &ignored) < 0)
        error_clear(&ignored);
    free(p->dir);
    texts_release(&p->argv);
    texts_release(&p->env);
    texts_release(&p->targets);
    texts_release(&p->readonly);
    free(p);
}

size_t sandbox_plain_target_count(const struct sandbox_plain *p)
{
    return p->targets.count;
}

struct sandbox_plain_target sandbox_plain_target_at(const struct sandbox_plain *p,
                                                    size_t index)
{
    const char *const path = p->targets.items[index];

    return (struct sandbox_plain_target){path, path[strlen(path) - 1] == '/'};
}

const char *const *sandbox_plain_argv(const struct sandbox_plain *p)
{
    return (const char *const *)p->argv.items;
}

const char *const *sandbox_plain_env(const struct sandbox_plain *p)
{
    return (const char *const *)p->env.items;
}

const char *const *sandbox_plain_readonly(const struct sandbox_plain *p)
{
    return (const char *const *)p->readonly.items;
}
