#include "builder/owner.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/view.h"

#include <stdlib.h>

struct passwd_line {
    struct view name;
    uint64_t uid;
    uint64_t gid;
    struct view home;
};

static int read_from_tree(void *context,
                          const char *path,
                          struct buf *out,
                          struct error *err)
{
    bool found;

    return context ? cas_tree_read(context, view_of(path), out, &found, err) : 0;
}

static int read_file(const struct build_user_files *files,
                     const char *path,
                     struct buf *out,
                     struct error *err)
{
    return files->read(files->context, path, out, err);
}

/* The next line with a user id; lines without are passed over. What else is missing is
 * empty, a group 0, as BuildKit reads it. */
static bool next_passwd(struct view *rest, struct passwd_line *out)
{
    struct view line, field;

    while (rest->size > 0) {
        view_cut(*rest, '\n', &line, rest);
        line = view_trim(line);
        if (!view_cut(line, ':', &out->name, &line) || !view_cut(line, ':', &field, &line))
            continue;
        view_cut(line, ':', &field, &line);
        if (!view_to_u64(field, &out->uid))
            continue;
        view_cut(line, ':', &field, &line);
        if (!view_to_u64(field, &out->gid))
            out->gid = 0;
        view_cut(line, ':', &field, &line);
        view_cut(line, ':', &out->home, &line);
        return true;
    }
    return false;
}

static bool next_group(struct view *rest,
                       struct view *name,
                       uint64_t *gid,
                       struct view *members)
{
    struct view line, field;

    while (rest->size > 0) {
        view_cut(*rest, '\n', &line, rest);
        line = view_trim(line);
        if (!view_cut(line, ':', name, &line) || !view_cut(line, ':', &field, &line))
            continue;
        view_cut(line, ':', &field, members);
        if (view_to_u64(field, gid))
            return true;
    }
    return false;
}

static bool passwd_find(const struct buf *file,
                        struct view name,
                        const uint64_t *uid,
                        struct passwd_line *out)
{
    struct view rest = buf_view(file);

    while (next_passwd(&rest, out))
        if (uid ? out->uid == *uid : view_eq(out->name, name))
            return true;
    return false;
}

static bool group_find(const struct buf *file, struct view name, uint64_t *gid)
{
    struct view rest = buf_view(file);
    struct view found, members;

    while (next_group(&rest, &found, gid, &members))
        if (view_eq(found, name))
            return true;
    return false;
}

static bool is_id(struct view text, uint64_t *id)
{
    return view_to_u64(text, id) && *id <= UINT32_MAX;
}

static int group_id(const struct build_user_files *files,
                    struct view group,
                    uint32_t *gid,
                    struct error *err)
{
    CLEANUP(buf_release) struct buf file = BUF_INIT(LIMIT_PASSWD_SIZE);
    uint64_t id;

    if (!is_id(group, &id)) {
        if (read_file(files, "etc/group", &file, err) < 0)
            return -1;
        if (!group_find(&file, group, &id) || id > UINT32_MAX)
            return error_set(
                err, ERROR_NOT_FOUND,
                "unable to find group %.*s: no matching entries in the image's /etc/group",
                VIEW_ARG(group));
    }
    *gid = (uint32_t)id;
    return 0;
}

/* In --chown a number has 31 bits and may have a plus; root is 0 whatever the files say,
 * and so is an empty name. */
static bool is_file_id(struct view text, uint32_t *id)
{
    uint64_t number = 0;

    if (text.size > 1 && text.data[0] == '+' && text.data[1] != '+')
        text = view_sub(text, 1, text.size);
    if (text.size > 0 && !view_eq_text(text, "root") &&
        (!view_to_u64(text, &number) || number > INT32_MAX))
        return false;
    *id = (uint32_t)number;
    return true;
}

static int no_files(struct view name, struct error *err)
{
    return error_set(err, ERROR_NOT_FOUND,
                     "the image is empty: it has no /etc/passwd or /etc/group that could "
                     "know '%.*s'; give a number",
                     VIEW_ARG(name));
}

/* As group_id, but an unknown group is left at what it was. */
static int group_of_files(const struct build_user_files *files,
                          struct view group,
                          uint32_t *gid,
                          struct error *err)
{
    CLEANUP(buf_release) struct buf file = BUF_INIT(LIMIT_PASSWD_SIZE);
    uint64_t id;

    if (is_file_id(group, gid))
        return 0;
    if (!files->context)
        return no_files(group, err);
    if (read_file(files, "etc/group", &file, err) < 0)
        return -1;
    if (group_find(&file, group, &id) && id <= UINT32_MAX)
        *gid = (uint32_t)id;
    return 0;
}

int build_owner_of_files(struct cas_tree *tree,
                         const char *spec,
                         uint32_t *uid,
                         uint32_t *gid,
                         struct error *err)
{
    CLEANUP(buf_release) struct buf file = BUF_INIT(LIMIT_PASSWD_SIZE);
    struct view user, group;
    struct passwd_line line;
    const struct build_user_files files = {.read = read_from_tree, .context = tree};
    const bool has_group = view_cut(view_of(spec), ':', &user, &group);

    *uid = *gid = 0;
    if (is_file_id(user, uid)) {
        *gid = *uid;
    } else {
        if (!tree)
            return no_files(user, err);
        if (read_file(&files, "etc/passwd", &file, err) < 0)
            return -1;
        if (passwd_find(&file, user, NULL, &line) && line.uid <= UINT32_MAX &&
            line.gid <= UINT32_MAX) {
            *uid = (uint32_t)line.uid;
            *gid = (uint32_t)line.gid;
        }
    }
    return has_group ? group_of_files(&files, group, gid, err) : 0;
}

void build_process_user_release(struct build_process_user *u)
{
    free(u->groups);
    free(u->home);
    *u = (struct build_process_user){0};
}

static bool lists_member(struct view members, struct view name)
{
    struct view member;

    while (members.size > 0) {
        view_cut(members, ',', &member, &members);
        if (view_eq(member, name))
            return true;
    }
    return false;
}

static int add_groups(const struct build_user_files *files,
                      struct view name,
                      struct build_process_user *out,
                      struct error *err)
{
    CLEANUP(buf_release) struct buf file = BUF_INIT(LIMIT_PASSWD_SIZE);
    struct view rest, group, members;
    size_t capacity = 0;
    uint64_t gid;

    if (read_file(files, "etc/group", &file, err) < 0)
        return -1;
    rest = buf_view(&file);
    while (next_group(&rest, &group, &gid, &members)) {
        if (gid > UINT32_MAX || !lists_member(members, name))
            continue;
        out->groups =
            base_grow(out->groups, out->group_count, &capacity, sizeof *out->groups);
        out->groups[out->group_count++] = (uint32_t)gid;
    }
    return 0;
}

/* The group itself is one of the supplementary ones too, and the first. */
static void add_own_group(struct build_process_user *u)
{
    size_t kept = 1;
    uint32_t *groups = base_alloc_array(u->group_count + 1, sizeof *groups);

    groups[0] = u->gid;
    for (size_t i = 0; i < u->group_count; i++)
        if (u->groups[i] != u->gid)
            groups[kept++] = u->groups[i];
    free(u->groups);
    u->groups = groups;
    u->group_count = kept;
}

int build_user_of_process(struct cas_tree *tree,
                          const char *spec,
                          struct build_process_user *out,
                          struct error *err)
{
    const struct build_user_files files = {.read = read_from_tree, .context = tree};

    return build_user_of_process_in(&files, spec, out, err);
}

/* The home of the first line that has the id, whatever name was asked for: the process is
 * started by its id, and runc then looks its home up. */
static char *home_of(const struct buf *passwd, uint64_t uid)
{
    const struct view none = VIEW_LIT("");
    struct passwd_line line;

    return passwd_find(passwd, none, &uid, &line) ? view_dup(line.home) : base_strdup("/");
}

int build_user_of_process_in(const struct build_user_files *files,
                             const char *spec,
                             struct build_process_user *out,
                             struct error *err)
{
    CLEANUP(buf_release) struct buf file = BUF_INIT(LIMIT_PASSWD_SIZE);
    struct view user, group;
    struct passwd_line line;
    uint64_t id = 0;
    const bool has_group =
        view_cut(view_of(spec && *spec ? spec : "0"), ':', &user, &group) && group.size > 0;
    const bool by_id = user.size == 0 || is_id(user, &id);

    *out = (struct build_process_user){0};
    if (read_file(files, "etc/passwd", &file, err) < 0)
        return -1;
    if (passwd_find(&file, user, by_id ? &id : NULL, &line) && line.uid <= UINT32_MAX &&
        line.gid <= UINT32_MAX) {
        out->uid = (uint32_t)line.uid;
        out->gid = (uint32_t)line.gid;
        if (!has_group && add_groups(files, line.name, out, err) < 0)
            return -1;
    } else if (by_id) {
        out->uid = (uint32_t)id;
    } else {
        return error_set(
            err, ERROR_NOT_FOUND,
            "unable to find user %.*s: no matching entries in the image's /etc/passwd",
            VIEW_ARG(user));
    }
    if (out->uid > INT32_MAX)
        return error_set(err, ERROR_INVALID, "user %.*s: ids are at most %d",
                         VIEW_ARG(user), INT32_MAX);
    out->home = home_of(&file, out->uid);
    if (has_group && group_id(files, group, &out->gid, err) < 0)
        return -1;
    add_own_group(out);
    return 0;
}
