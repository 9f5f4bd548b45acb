#include "builder/export/export.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/link_names.h"
#include "builder/source_tree.h"
#include "cas/tar_write.h"

#include <stdlib.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };

struct tar_output {
    struct build_tree *tree;
    int fd;
    int64_t epoch;
    struct buf headers;
    char *chunk;
    struct build_link_names links;
    const char *below; /* directory that everything is in, or NULL */
    struct buf path;   /* of the entry being written, with that */
};

static int write_content(struct tar_output *t,
                         const struct build_tree_entry *e,
                         struct error *err)
{
    static const char zeros[TAR_BLOCK];
    struct cas_content content;
    CLEANUP(fd_closep) int fd = -1;
    uint64_t left = e->entry.size;

    if (t->tree->open(t->tree->self, &e->place, &content, err) < 0)
        return -1;
    fd = content.fd;
    while (left > 0) {
        const ssize_t n = read(fd, t->chunk, left < CHUNK ? (size_t)left : CHUNK);

        if (n <= 0)
            return n < 0 ? error_sys(err, "read %.*s", VIEW_ARG(e->entry.path))
                         : error_set(err, ERROR_CORRUPT,
                                     "%.*s is shorter than its layer says",
                                     VIEW_ARG(e->entry.path));
        if (fs_write_all(t->fd, t->chunk, (size_t)n, err) < 0)
            return -1;
        left -= (uint64_t)n;
    }
    return fs_write_all(t->fd, zeros,
                        (size_t)(tar_padded_size(e->entry.size) - e->entry.size), err);
}

static int visit(void *context, const struct build_tree_entry *e, struct error *err)
{
    struct tar_output *t = context;
    struct cas_entry entry = tar_entry_written(&e->entry, t->epoch);
    const char *earlier = build_link_names_find(&t->links, e->link_key);

    if (entry.path.size == 0 && !t->below)
        return 1;
    if (t->below) {
        buf_clear(&t->path);
        buf_printf(&t->path, "%s%s%.*s", t->below, entry.path.size ? "/" : "",
                   VIEW_ARG(entry.path));
        entry.path = buf_view(&t->path);
    }
    entry.opaque = false;
    if (earlier) {
        entry.type = CAS_ENTRY_HARDLINK;
        entry.target = view_of(earlier);
        entry.size = 0;
    } else {
        build_link_names_add(&t->links, e->link_key, entry.path);
    }
    buf_clear(&t->headers);
    tar_headers_append(&entry, &t->headers);
    if (buf_ok(&t->path, "tar path", err) < 0 ||
        buf_ok(&t->headers, "tar header", err) < 0 ||
        fs_write_all(t->fd, t->headers.data, t->headers.size, err) < 0)
        return -1;
    if (entry.type == CAS_ENTRY_FILE && entry.size > 0 && write_content(t, e, err) < 0)
        return -1;
    return 1;
}

static int write_plan(const struct build_export *x, size_t plan, int fd, struct error *err)
{
    CLEANUP(base_freep) char *below = build_platform_dir(x, plan);
    const struct build_solution *s = &x->solutions[plan];
    struct build_layer_tree *tree = build_layer_tree_new(s->layers, s->count);
    struct tar_output t = {.tree = build_layer_tree_tree(tree),
                           .fd = fd,
                           .epoch = x->epoch,
                           .headers = BUF_INIT(LIMIT_TAR_EXTENSION * 2),
                           .below = below,
                           .path = BUF_INIT(LIMIT_TAR_EXTENSION),
                           .chunk = base_alloc(CHUNK)};
    const int status = t.tree->walk(t.tree->self, VIEW_LIT(""), visit, &t, err);

    build_link_names_release(&t.links);
    free(t.chunk);
    buf_release(&t.headers);
    buf_release(&t.path);
    build_layer_tree_free(tree);
    return status;
}

static int write_tar(const struct build_export *x, int fd, struct error *err)
{
    static const char end[TAR_END_SIZE];

    for (size_t i = 0; i < x->plans->count; i++)
        if (write_plan(x, i, fd, err) < 0)
            return -1;
    return fs_write_all(fd, end, sizeof end, err);
}

int build_export_tar(const struct build_export *x, struct error *err)
{
    struct build_export_file f;

    if (!x->output->dest)
        return error_set(err, ERROR_USAGE, "output needs dest=PATH");
    if (build_export_file_open(x->output->dest, &f, err) < 0)
        return -1;
    if (write_tar(x, f.fd, err) == 0)
        return build_export_file_commit(&f, err);
    build_export_file_discard(&f);
    return error_wrap(err, "write %s", x->output->dest);
}
