#include "cas/unpacker_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct cas_unpacker *new_unpacker(void)
{
    struct cas_unpacker *u = base_alloc(sizeof *u);

    u->scratch = (struct cas_scratch)CAS_SCRATCH_INIT;
    u->root_fd = -1;
    u->parent_fd = -1;
    u->file_fd = -1;
    u->self_contained = true;
    buf_init(&u->path, LIMIT_PATH_SIZE);
    buf_init(&u->target, LIMIT_PATH_SIZE);
    buf_init(&u->parent, LIMIT_PATH_SIZE);
    return u;
}

struct cas_unpacker *cas_unpacker_new(struct cas_store *s, struct error *err)
{
    struct cas_unpacker *u = new_unpacker();

    if (cas_layer_form(&u->form, err) < 0 || cas_scratch_open(&u->scratch, s, err) < 0) {
        cas_unpacker_free(u);
        return NULL;
    }
    u->keeps_owners = u->form.recorded;
    u->owners = u->form.recorded ? cas_owners_new() : NULL;
    if (mkdirat(u->scratch.fd, "fs", 0755) < 0)
        error_sys(err, "make %s/fs", u->scratch.path);
    else
        u->root_fd = fs_open_at(u->scratch.fd, "fs", O_RDONLY | O_DIRECTORY, 0, err);
    if (u->root_fd < 0) {
        cas_unpacker_free(u);
        return NULL;
    }
    return u;
}

struct cas_unpacker *cas_unpacker_new_plain(int dir_fd, struct cas_owners *owners)
{
    struct cas_unpacker *u = new_unpacker();

    u->plain = true;
    u->owners = owners;
    u->root_fd = dir_fd;
    return u;
}

void cas_unpacker_only(struct cas_unpacker *u, const struct cas_path_map *files)
{
    u->only = files;
    u->skipping = false;
}

void cas_unpacker_free(struct cas_unpacker *u)
{
    if (!u)
        return;
    fd_closep(&u->file_fd);
    fd_closep(&u->parent_fd);
    if (!u->plain)
        fd_closep(&u->root_fd);
    cas_scratch_removep(&u->scratch);
    if (u->keeps_owners)
        cas_owners_free(u->owners);
    buf_release(&u->path);
    buf_release(&u->target);
    buf_release(&u->parent);
    cas_path_map_release(&u->dir_map);
    free(u->dirs);
    cas_entry_list_release(&u->links_below);
    cas_arena_release(&u->file_texts);
    cas_arena_release(&u->arena);
    free(u);
}

void cas_unpacker_freep(struct cas_unpacker **u)
{
    cas_unpacker_free(*u);
    *u = NULL;
}

bool cas_unpacker_is_self_contained(const struct cas_unpacker *u)
{
    return u->self_contained;
}

int cas_unpacker_entry(struct cas_unpacker *u, const struct cas_entry *e, struct error *err)
{
    if (unpack_end_file(u, err) < 0)
        return -1;
    u->skipping =
        u->only && (e->type != CAS_ENTRY_FILE || !cas_path_map_find(u->only, e->path));
    if (u->skipping)
        return 0;
    switch (e->type) {
    case CAS_ENTRY_FILE:
        return unpack_make_file(u, e, err);
    case CAS_ENTRY_DIR:
        return unpack_make_dir(u, e, err);
    case CAS_ENTRY_SYMLINK:
        return unpack_make_symlink(u, e, err);
    case CAS_ENTRY_HARDLINK:
        return unpack_make_hardlink(u, e, err);
    case CAS_ENTRY_CHAR:
    case CAS_ENTRY_BLOCK:
    case CAS_ENTRY_FIFO:
        return unpack_make_node(u, e, err);
    case CAS_ENTRY_WHITEOUT:
        return unpack_make_whiteout(u, e, err);
    }
    return error_set(err, ERROR_CORRUPT, "'%.*s' is of no known type", VIEW_ARG(e->path));
}

/* --- Completion --- */

/* A hard link that leads to a layer below becomes a file of its own: links cannot cross. */
static int copy_from_below(struct cas_unpacker *u,
                           const struct cas_entry *link,
                           struct cas_tree *below,
                           struct error *err)
{
    struct cas_tree_entry found;
    bool exists = false;

    if (below && cas_tree_find(below, link->target, CAS_TREE_NOFOLLOW, &exists, &found,
                               NULL, err) < 0)
        return -1;
    if (!exists || found.entry.type != CAS_ENTRY_FILE)
        return error_set(err, ERROR_CORRUPT,
                         "'%.*s' is a hard link to '%.*s', which no layer has as a file",
                         VIEW_ARG(link->path), VIEW_ARG(link->target));

    CLEANUP(fd_closep) int fd = cas_tree_open(below, &found, err);
    struct cas_entry e = found.entry;

    if (fd < 0)
        return -1;
    e.path = link->path;
    if (cas_unpacker_entry(u, &e, err) < 0 || cas_unpacker_copy(u, fd, err) < 0)
        return -1;
    return unpack_end_file(u, err);
}

int cas_unpacker_finish(struct cas_unpacker *u, struct cas_tree *below, struct error *err)
{
    if (unpack_end_file(u, err) < 0)
        return -1;
    for (size_t i = 0; i < u->links_below.count; i++) {
        if (copy_from_below(u, &u->links_below.items[i], below, err) < 0)
            return -1;
    }
    unpack_forget_parent(u);
    if (unpack_finish_dirs(u, below, err) < 0)
        return -1;
    if (u->has_whiteout && unlinkat(u->scratch.fd, UNPACK_WHITEOUT, 0) < 0)
        return error_sys(err, "remove %s/" UNPACK_WHITEOUT, u->scratch.path);
    return 0;
}

int cas_unpacker_publish(struct cas_unpacker *u,
                         const struct digest *diff_id,
                         const struct digest *chain_id,
                         struct error *err)
{
    const bool is_chain = !u->self_contained;
    CLEANUP(base_freep)
    char *path = cas_layer_dir_path(&u->form, is_chain ? chain_id : diff_id, is_chain);
    bool published = false;

    if (cas_layer_dir_mark(u->scratch.fd, &u->root, err) < 0 ||
        (u->owners && cas_owners_save(u->owners, u->scratch.fd, err) < 0))
        return -1;
    /* Not published: somebody else was faster, and made the same. */
    return cas_scratch_publish(&u->scratch, path, &published, err);
}
