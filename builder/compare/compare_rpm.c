#include "builder/compare/compare_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/scratch.h"
#include "cas/tree_extract.h"

#include <fcntl.h>

/* Below the root; where rpm keeps its database is a matter of the distribution. */
static const char *const dirs[] = {"var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"};

/* --- The file, brought out of the image --------------------------------------------- */

struct copy {
    int fds[2]; /* of rpmdb.sqlite and its log */
};

static int give(void *context, size_t which, struct view piece, struct error *err)
{
    const struct copy *const c = context;

    return fs_write_all(c->fds[which], piece.data, piece.size, err);
}

static int check_size(const struct cas_tree_entry *e, struct error *err)
{
    if (e->entry.size <= LIMIT_RPMDB_SIZE)
        return 0;
    return error_set(err, ERROR_LIMIT, "it has %ju bytes (at most %ju)",
                     (uintmax_t)e->entry.size, (uintmax_t)LIMIT_RPMDB_SIZE);
}

static int copy_files(struct cas_tree *tree,
                      const struct cas_tree_entry *files,
                      size_t count,
                      const struct cas_scratch *to,
                      struct error *err)
{
    static const char *const names[] = {"db", "db-wal"};
    struct copy c = {{-1, -1}};
    int result = 0;

    for (size_t i = 0; result == 0 && i < count; i++) {
        c.fds[i] = fs_open_at(to->fd, names[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                              0600, err);
        result = c.fds[i] < 0 ? -1 : check_size(&files[i], err);
    }
    if (result == 0)
        result = cas_tree_extract(tree, files, count, give, &c, err);
    fd_closep(&c.fds[0]);
    fd_closep(&c.fds[1]);
    return result;
}

static int read_database(struct build_packages *out,
                         struct cas_store *store,
                         struct cas_tree *tree,
                         const struct cas_tree_entry *files,
                         size_t count,
                         struct error *err)
{
    CLEANUP(cas_scratch_removep) struct cas_scratch scratch = CAS_SCRATCH_INIT;
    CLEANUP(base_freep) char *path = NULL;

    if (cas_scratch_open(&scratch, store, err) < 0 ||
        copy_files(tree, files, count, &scratch, err) < 0)
        return -1;
    path = base_format("%s/%s/db", cas_store_path(store), scratch.path);
    return build_packages_rpm(out, path, count > 1, err);
}

/* --- Where it is --------------------------------------------------------------------- */

static int find(struct cas_tree *tree,
                const char *dir,
                const char *name,
                bool *is_there,
                struct cas_tree_entry *out,
                struct error *err)
{
    CLEANUP(base_freep) char *path = base_format("%s/%s", dir, name);

    if (cas_tree_find(tree, view_of(path), CAS_TREE_NOFOLLOW, is_there, out, NULL, err) < 0)
        return -1;
    *is_there = *is_there && out->entry.type == CAS_ENTRY_FILE && out->entry.size > 0;
    return 0;
}

static void note(struct build_compare *c,
                 const char *dir,
                 const char *name,
                 const char *why)
{
    compare_note(c, base_format("packages of /%s/%s are not compared: %s", dir, name, why));
}

/* The formats that rpm had before, and that SUSE has: named, so that nobody takes silence
 * for sameness. */
static int note_others(struct build_compare *c,
                       struct cas_tree *tree,
                       const char *dir,
                       struct error *err)
{
    static const char *const others[][2] = {
        {"Packages",
         "it is a Berkeley DB, and of rpm's databases only rpmdb.sqlite is read "
         "('rpmdb --rebuilddb' of rpm 4.16 or newer makes one)"},
        {"Packages.db", "it has rpm's ndb format, and of rpm's databases only rpmdb.sqlite "
                        "is read"},
    };
    struct cas_tree_entry e;
    bool is_there = false;

    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        if (find(tree, dir, others[i][0], &is_there, &e, err) < 0)
            return -1;
        if (is_there)
            note(c, dir, others[i][0], others[i][1]);
    }
    return 0;
}

static int read_dir(struct build_compare *c,
                    struct cas_store *store,
                    struct cas_tree *tree,
                    const char *dir,
                    struct build_packages *out,
                    struct error *err)
{
    CLEANUP(error_clear) struct error bad = ERROR_INIT;
    CLEANUP(base_freep) char *resolved = NULL;
    struct cas_tree_entry files[2], e;
    bool is_there = false, has_log = false;

    /* A link to another of the directories would be read twice. */
    if (cas_tree_find(tree, view_of(dir), CAS_TREE_FOLLOW, &is_there, &e, &resolved, err) <
        0)
        return -1;
    if (!is_there || strcmp(resolved, dir) != 0)
        return 0;
    if (note_others(c, tree, dir, err) < 0 ||
        find(tree, dir, "rpmdb.sqlite", &is_there, &files[0], err) < 0 ||
        find(tree, dir, "rpmdb.sqlite-wal", &has_log, &files[1], err) < 0)
        return -1;
    if (is_there && read_database(out, store, tree, files, has_log ? 2 : 1, &bad) < 0)
        note(c, dir, "rpmdb.sqlite", error_text(&bad));
    return 0;
}

int compare_rpm(struct build_compare *c,
                struct cas_store *store,
                struct cas_tree *const trees[2],
                struct build_packages packages[2],
                struct error *err)
{
    for (size_t side = 0; side < 2; side++) {
        for (size_t d = 0; d < ARRAY_COUNT(dirs); d++) {
            if (read_dir(c, store, trees[side], dirs[d], &packages[side], err) < 0)
                return -1;
        }
    }
    return 0;
}
