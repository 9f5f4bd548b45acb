#include "cas/gc_kept.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/layer_dir.h"
#include "cas/lease.h"
#include "cas/note.h"
#include "cas/store_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int build_fn(struct cas_store *s,
                     const char *path,
                     void *context,
                     struct error *err);

static void dir_closep(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

/* Calls `each` with "builds/ID" of every build. */
static int each_build(struct cas_store *s, build_fn *each, void *context, struct error *err)
{
    const int fd = openat(s->fd, GC_BUILDS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(dir_closep) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    if (!dir)
        return errno == ENOENT ? 0 : error_sys(err, "open " GC_BUILDS_DIR);
    while ((e = readdir(dir))) {
        CLEANUP(base_freep) char *path = base_format(GC_BUILDS_DIR "/%s", e->d_name);

        if (e->d_name[0] != '.' && each(s, path, context, err) < 0)
            return -1;
    }
    return 0;
}

/* --- Marking --- */

static void mark_stack(struct gc_marks *marks, const struct doc *layers)
{
    CLEANUP(error_clear) struct error damage = ERROR_INIT;
    struct digest chain = {.alg = DIGEST_NONE};

    for (size_t i = 0; i < doc_count(layers); i++) {
        const struct doc *layer = doc_at(layers, i);
        struct digest diff, blob;

        if (digest_parse(doc_view(doc_get(layer, "diff_id")), &diff, &damage) < 0 ||
            digest_parse(doc_view(doc_get(doc_get(layer, "blob"), "digest")), &blob,
                         &damage) < 0)
            return;
        chain = cas_layer_chain_id(digest_is_set(&chain) ? &chain : NULL, &diff);
        digest_set_add(&marks->layers, &chain);
        digest_set_add(&marks->layers, &diff);
        digest_set_add(&marks->blobs, &blob);
    }
}

static int mark_state(struct cas_store *s,
                      const char *path,
                      void *context,
                      struct error *err)
{
    CLEANUP(base_freep) char *name = base_format("%s/" GC_STATE_NAME, path);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(error_clear) struct error damage = ERROR_INIT;
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    bool found = false;

    if (cas_note_read(s, name, &text, &found, err) < 0)
        return -1;
    d = found ? doc_parse(buf_view(&text), &damage) : NULL;
    const struct doc *stacks = doc_get(d, "stacks");
    for (size_t i = 0; i < doc_count(stacks); i++)
        mark_stack(context, doc_at(stacks, i));
    return 0;
}

int gc_kept_mark(struct cas_store *s, struct gc_marks *marks, struct error *err)
{
    return each_build(s, mark_state, marks, err);
}

/* --- Sweeping --- */

struct kept_sweep {
    bool all;
    struct timespec limit;
};

/* The document goes first: without it the files are left over. */
static int remove_state(struct cas_store *s, int dir_fd, struct error *err)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    (void)s;
    if (unlinkat(dir_fd, GC_STATE_NAME, 0) < 0 && errno != ENOENT)
        return error_sys(err, "remove a kept state");
    if (fs_remove_tree_at(dir_fd, GC_STATE_TREE, &ignored) < 0) {
        /* Files of subordinate ids, outside of their user namespace: the next collection
         * inside of it finds a tree without a document. */
    }
    return 0;
}

static int sweep_state(struct cas_store *s,
                       const char *path,
                       void *context,
                       struct error *err)
{
    const struct kept_sweep *k = context;
    CLEANUP(fd_closep)
    int fd = openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return 0;
    const bool has_state = fstatat(fd, GC_STATE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (has_state && !(k->all && cas_lease_before(st.st_mtim, k->limit)))
        return 0;
    if (!has_state && faccessat(fd, GC_STATE_TREE, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return remove_state(s, fd, err);
}

int gc_kept_sweep(struct cas_store *s, bool all, struct timespec limit, struct error *err)
{
    struct kept_sweep k = {all, limit};

    return each_build(s, sweep_state, &k, err);
}
