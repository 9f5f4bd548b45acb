#include "builder/cgroup.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static const char *const controller_names[] = {
    [BUILD_CGROUP_MEMORY] = "memory",
    [BUILD_CGROUP_CPU] = "cpu",
    [BUILD_CGROUP_CPUSET] = "cpuset",
    [BUILD_CGROUP_PIDS] = "pids",
};

const char *build_cgroup_controller_name(enum build_cgroup_controller c)
{
    return controller_names[c];
}

/* Takes what stands before `separator`. */
static struct view next(struct view *rest, char separator)
{
    struct view word;

    view_cut(*rest, separator, &word, rest);
    return word;
}

static bool list_has(struct view list, char separator, const char *name)
{
    while (list.size > 0)
        if (view_eq_text(view_trim(next(&list, separator)), name))
            return true;
    return false;
}

/* A mount of /proc/self/mountinfo. */
struct mount {
    struct view root; /* which part of the hierarchy it shows */
    struct view target;
    struct view type;
    struct view options; /* of the file system */
};

/* "36 35 98:0 /root /target rw,x shared:1 - type source options" */
static struct mount mount_read(struct view line)
{
    struct mount m = {0};

    for (int i = 0; i < 3; i++)
        next(&line, ' ');
    m.root = next(&line, ' ');
    m.target = next(&line, ' ');
    while (line.size > 0 && !view_eq_text(next(&line, ' '), "-"))
        ;
    m.type = next(&line, ' ');
    next(&line, ' ');
    m.options = line;
    return m;
}

/* The path of our group in the hierarchy that has `controller`; "" in cgroup2. Lines are
 * "ID:CONTROLLERS:PATH". */
static bool group_find(struct view groups, const char *controller, struct view *path)
{
    while (groups.size > 0) {
        struct view line = next(&groups, '\n');

        next(&line, ':');
        const struct view names = next(&line, ':');
        if (*controller ? list_has(names, ',', controller) : names.size == 0) {
            *path = line;
            return true;
        }
    }
    return false;
}

/* A group outside of what is mounted (that of a container's creator) cannot be reached. */
static bool own_path(const struct mount *m, struct view group, char **out)
{
    if (view_eq_text(m->root, "/")) {
        *out = base_format("%.*s%.*s", VIEW_ARG(m->target), VIEW_ARG(group));
    } else if (path_has_prefix(group, m->root)) {
        const struct view below = view_sub(group, m->root.size, group.size);

        *out = base_format("%.*s%.*s", VIEW_ARG(m->target), VIEW_ARG(below));
    } else {
        return false;
    }
    /* "/sys/fs/cgroup/" is the root itself. */
    if (view_ends(view_of(*out), "/"))
        (*out)[strlen(*out) - 1] = '\0';
    return true;
}

static void place_set(struct build_cgroup_place *p,
                      const struct mount *m,
                      struct view group,
                      int version)
{
    char *own = NULL;

    if (p->version != 0 || !own_path(m, group, &own))
        return;
    *p = (struct build_cgroup_place){version, view_dup(m->target), own};
}

static void mount_use(const struct mount *m,
                      struct view groups,
                      struct view unified,
                      struct build_cgroup_places *out)
{
    const bool is_v2 = view_eq_text(m->type, "cgroup2");
    struct view group;

    for (size_t i = 0; i < BUILD_CGROUP_CONTROLLERS; i++) {
        const char *name = controller_names[i];
        const bool has =
            is_v2 ? list_has(view_trim(unified), ' ', name)
                  : view_eq_text(m->type, "cgroup") && list_has(m->options, ',', name);

        if (has && group_find(groups, is_v2 ? "" : name, &group))
            place_set(&out->of[i], m, group, is_v2 ? 2 : 1);
    }
}

void build_cgroup_places_read(struct view mounts,
                              struct view groups,
                              struct view unified_controllers,
                              struct build_cgroup_places *out)
{
    *out = (struct build_cgroup_places){0};
    while (mounts.size > 0) {
        const struct mount m = mount_read(next(&mounts, '\n'));

        mount_use(&m, groups, unified_controllers, out);
    }
}

/* What cgroup2 has for everybody stands in its root. */
static void unified_read(struct view mounts, struct buf *out)
{
    while (mounts.size > 0) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* it then has nothing */
        const struct mount m = mount_read(next(&mounts, '\n'));

        if (!view_eq_text(m.type, "cgroup2"))
            continue;
        CLEANUP(base_freep)
        char *path = base_format("%.*s/cgroup.controllers", VIEW_ARG(m.target));
        if (fs_read_file_at(AT_FDCWD, path, out, &ignored) == 0)
            return;
    }
}

void build_cgroup_places_find(struct build_cgroup_places *out)
{
    CLEANUP(buf_release) struct buf mounts = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf groups = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf unified = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* no /proc: no cgroups */

    if (fs_read_file_at(AT_FDCWD, "/proc/self/mountinfo", &mounts, &ignored) < 0 ||
        fs_read_file_at(AT_FDCWD, "/proc/self/cgroup", &groups, &ignored) < 0)
        buf_clear(&mounts);
    unified_read(buf_view(&mounts), &unified);
    build_cgroup_places_read(buf_view(&mounts), buf_view(&groups), buf_view(&unified), out);
}

void build_cgroup_places_release(struct build_cgroup_places *p)
{
    for (size_t i = 0; i < BUILD_CGROUP_CONTROLLERS; i++) {
        free(p->of[i].root);
        free(p->of[i].own);
    }
    *p = (struct build_cgroup_places){0};
}
