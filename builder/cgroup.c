#include "builder/cgroup.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME_PREFIX "cooper-"

/* The last process of a group is gone for everybody but the kernel's own bookkeeping, which
 * takes some more microseconds; under load, longer. */
enum { REMOVE_TRIES = 400, REMOVE_NAP_MS = 5, NAME_TRIES = 16 };

struct build_cgroups {
    const struct build_resources *resources;
    char *parent;         /* from the root of a hierarchy; NULL: our own group */
    pthread_mutex_t lock; /* guards what follows */
    bool looked;
    struct build_cgroup_places places;
    char *made[BUILD_CGROUP_CONTROLLERS]; /* --cgroup-parent, where it was not there */
};

struct build_cgroups *build_cgroups_new(const struct build_resources *resources,
                                        const char *parent)
{
    struct build_cgroups *c = base_alloc(sizeof *c);

    c->resources = resources;
    c->parent = parent ? build_cgroup_parent_path(parent) : NULL;
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void build_cgroups_free(struct build_cgroups *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < BUILD_CGROUP_CONTROLLERS; i++) {
        /* Only if it is empty: somebody else may use it by now. */
        if (c->made[i])
            (void)!rmdir(c->made[i]);
        free(c->made[i]);
    }
    build_cgroup_places_release(&c->places);
    free(c->parent);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* --- Files of a group --- */

static int write_file(const char *directory,
                      const char *file,
                      const char *value,
                      struct error *err)
{
    CLEANUP(base_freep) char *path = base_format("%s/%s", directory, file);
    CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        return error_sys(err, "write %s to %s", value, path);
    return 0;
}

static bool read_file(const char *directory, const char *file, struct buf *out)
{
    CLEANUP(base_freep) char *path = base_format("%s/%s", directory, file);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* absent: the caller asks */

    return fs_read_file_at(AT_FDCWD, path, out, &ignored) == 0;
}

static bool has_file(const char *directory, const char *file)
{
    CLEANUP(base_freep) char *path = base_format("%s/%s", directory, file);

    return access(path, F_OK) == 0;
}

/* --- Making and removing --- */

static void nap(void)
{
    const struct timespec t = {.tv_nsec = REMOVE_NAP_MS * 1000000L};

    nanosleep(&t, NULL);
}

static void remove_group(const char *path)
{
    for (int i = 0; i < REMOVE_TRIES && rmdir(path) < 0 && errno == EBUSY; i++)
        nap();
}

/* Takes the directory for us; -1 if it has a holder, or is gone. */
static int hold(int parent, const char *path)
{
    CLEANUP(fd_closep) int fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -1;
    return fd_take(&fd);
}

/* What killed processes left. A directory without a holder and with processes in it
 * (steps that are being killed) refuses to go, and stays for the next time. */
static void sweep(const char *parent)
{
    DIR *dir = opendir(parent);

    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        CLEANUP(fd_closep) int fd = -1;

        if (strncmp(e->d_name, NAME_PREFIX, sizeof NAME_PREFIX - 1) != 0)
            continue;
        fd = hold(dirfd(dir), e->d_name);
        if (fd >= 0)
            (void)!unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
    }
    if (dir)
        closedir(dir);
}

static int refused(enum build_cgroup_controller c, const char *path, struct error *err)
{
    const int sys = errno;

    error_set(err, ERROR_UNSUPPORTED,
              "no control group for %s can be made in %s: %s; run cooper as root, or in a "
              "group that is delegated to it (systemd-run --user --scope -p Delegate=yes)",
              build_cgroup_controller_name(c), path, strerror(sys));
    return -1;
}

/* A directory with a new name, held. */
static int make_directory(const char *parent, char **path)
{
    for (int i = 0; i < NAME_TRIES; i++) {
        uint64_t number = 0;

        if (getrandom(&number, sizeof number, 0) < 0)
            return -1;
        CLEANUP(base_freep)
        char *name = base_format("%s/" NAME_PREFIX "%016jx", parent, (uintmax_t)number);
        if (mkdir(name, 0755) < 0)
            return -1;
        /* Somebody's sweep may come in between. */
        const int fd = hold(AT_FDCWD, name);
        if (fd < 0)
            continue;
        *path = base_strdup(name);
        return fd;
    }
    errno = EAGAIN;
    return -1;
}

/* In v2 a group has what its parent hands down; a parent with processes of its own may hand
 * down nothing, but for the root. */
static bool enable(const char *parent, enum build_cgroup_controller c)
{
    CLEANUP(base_freep)
    char *word = base_format("+%s", build_cgroup_controller_name(c));
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* another parent may do */
    CLEANUP(buf_release) struct buf enabled = BUF_INIT(LIMIT_TEXT_SIZE);

    if (read_file(parent, "cgroup.subtree_control", &enabled)) {
        for (struct view rest = view_trim(buf_view(&enabled)), one; rest.size > 0;) {
            view_cut(rest, ' ', &one, &rest);
            if (view_eq_text(one, word + 1))
                return true;
        }
    }
    return write_file(parent, "cgroup.subtree_control", word, &ignored) == 0;
}

/* In v2: our own group or the nearest above it that can have children with the controller.
 * malloc'ed; what is wrong is seen when the directory is made. */
static char *v2_parent(const struct build_cgroup_place *p, enum build_cgroup_controller c)
{
    CLEANUP(base_freep) char *candidate = base_strdup(p->own);

    while (!enable(candidate, c) && strcmp(candidate, p->root) != 0 &&
           strlen(candidate) > strlen(p->root))
        *strrchr(candidate, '/') = '\0';
    return enable(candidate, c) ? base_strdup(candidate) : base_strdup(p->own);
}

/* --cgroup-parent, made if it is not there. */
static int make_parent(struct build_cgroups *cs,
                       enum build_cgroup_controller c,
                       char **out,
                       struct error *err)
{
    const struct build_cgroup_place *p = &cs->places.of[c];
    struct stat st;

    *out = base_format("%s%s", p->root, cs->parent);
    if (stat(*out, &st) < 0) {
        if (fs_mkdir_all_at(AT_FDCWD, *out, 0755, err) < 0) {
            errno = err->sys;
            return refused(c, *out, err);
        }
        free(cs->made[c]);
        cs->made[c] = base_strdup(*out);
    }
    return p->version == 2 && !enable(*out, c) ? refused(c, *out, err) : 0;
}

/* A v1 group of CPUs takes nobody in before it has both; those above it may have been made
 * just now. `top` has them. */
static int inherit_cpuset(const char *top, const char *path, struct error *err)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    CLEANUP(base_freep) char *parent = view_dup(path_dir(view_of(path)));

    if (strlen(path) <= strlen(top))
        return 0;
    if (inherit_cpuset(top, parent, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        CLEANUP(buf_release) struct buf own = BUF_INIT(LIMIT_TEXT_SIZE);
        CLEANUP(buf_release) struct buf value = BUF_INIT(LIMIT_TEXT_SIZE);

        if (!read_file(path, files[i], &own) || view_trim(buf_view(&own)).size > 0)
            continue;
        if (read_file(parent, files[i], &value) &&
            write_file(path, files[i], buf_text(&value), err) < 0)
            return -1;
    }
    return 0;
}

static int apply(const char *path,
                 const struct build_cgroup_setting *settings,
                 size_t count,
                 struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct build_cgroup_setting *s = &settings[i];

        if (s->optional && !has_file(path, s->file))
            continue;
        if (write_file(path, s->file, s->text ? s->text : s->value, err) < 0)
            return -1;
    }
    return 0;
}

/* Several controllers may share one hierarchy, and then one group. */
static const char *group_in(const struct build_cgroup *g, const char *parent)
{
    const size_t size = strlen(parent);

    for (size_t i = 0; i < g->count; i++)
        if (strncmp(g->paths[i], parent, size) == 0 && g->paths[i][size] == '/' &&
            !strchr(g->paths[i] + size + 1, '/'))
            return g->paths[i];
    return NULL;
}

static int make_group(struct build_cgroup *g,
                      enum build_cgroup_controller c,
                      const char *parent,
                      const struct build_cgroup_place *p,
                      struct error *err)
{
    const size_t i = g->count;
    char *path = NULL;

    g->locks[i] = make_directory(parent, &path);
    if (g->locks[i] < 0)
        return refused(c, parent, err);
    g->procs[i] = -1;
    g->paths[i] = path;
    g->versions[i] = p->version;
    g->count++;
    g->procs[i] = openat(g->locks[i], "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (g->procs[i] < 0)
        return refused(c, path, err);
    return c == BUILD_CGROUP_CPUSET && p->version == 1 ? inherit_cpuset(p->root, path, err)
                                                       : 0;
}

static int add_controller(struct build_cgroups *cs,
                          enum build_cgroup_controller c,
                          struct build_cgroup *g,
                          struct error *err)
{
    const struct build_cgroup_place *p = &cs->places.of[c];
    struct build_cgroup_setting settings[BUILD_CGROUP_SETTINGS_MAX];
    const size_t count =
        build_cgroup_settings(cs->resources, c, p->version ? p->version : 2, settings);
    CLEANUP(base_freep) char *parent = NULL;
    const char *path;

    /* --cgroup-parent alone is where the step is accounted for. */
    if (count == 0 && (!cs->parent || p->version == 0))
        return 0;
    if (p->version == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "this machine has no control groups for %s",
                         build_cgroup_controller_name(c));
    if (cs->parent && make_parent(cs, c, &parent, err) < 0)
        return -1;
    if (!cs->parent)
        parent = p->version == 2 ? v2_parent(p, c) : base_strdup(p->own);
    path = group_in(g, parent);
    if (!path) {
        sweep(parent);
        if (make_group(g, c, parent, p, err) < 0)
            return -1;
        path = g->paths[g->count - 1];
    }
    return apply(path, settings, count, err);
}

int build_cgroups_step(struct build_cgroups *c, struct build_cgroup *out, struct error *err)
{
    int status = 0;

    *out = (struct build_cgroup){0};
    if (!build_resources_given(c->resources) && !c->parent)
        return 0;
    pthread_mutex_lock(&c->lock);
    if (!c->looked)
        build_cgroup_places_find(&c->places);
    c->looked = true;
    for (size_t i = 0; status == 0 && i < BUILD_CGROUP_CONTROLLERS; i++)
        status = add_controller(c, (enum build_cgroup_controller)i, out, err);
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* A line "oom_kill N". */
static bool counts_kills(const struct buf *text)
{
    for (struct view rest = buf_view(text), line, name; rest.size > 0;) {
        uint64_t number = 0;

        view_cut(rest, '\n', &line, &rest);
        view_cut(line, ' ', &name, &line);
        if (view_eq_text(name, "oom_kill") && view_to_u64(view_trim(line), &number))
            return number > 0;
    }
    return false;
}

bool build_cgroup_ran_out(const struct build_cgroup *g)
{
    for (size_t i = 0; i < g->count; i++) {
        CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

        if (read_file(g->paths[i],
                      g->versions[i] == 1 ? "memory.oom_control" : "memory.events",
                      &text) &&
            counts_kills(&text))
            return true;
    }
    return false;
}

void build_cgroup_end(struct build_cgroup *g)
{
    for (size_t i = 0; i < g->count; i++) {
        fd_closep(&g->procs[i]);
        remove_group(g->paths[i]);
        fd_closep(&g->locks[i]);
        free(g->paths[i]);
    }
    *g = (struct build_cgroup){0};
}
