/* An OCI layout as an end of a copy. */
#include "registry/copy_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "registry/layout.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- Source ---- */

struct source {
    struct registry_layout *layout;
    const struct registry_location *location;
};

static int source_resolve(void *self, struct descriptor *out, struct error *err)
{
    const struct source *s = self;

    return registry_layout_resolve(s->layout, s->location->name, &s->location->digest, out,
                                   err);
}

static int source_open(void *self, const struct descriptor *d, struct error *err)
{
    const struct source *s = self;

    return registry_layout_open_blob(s->layout, d, err);
}

static int read_manifest(const struct source *s,
                         const struct descriptor *d,
                         struct buf *out,
                         struct error *err)
{
    CLEANUP(fd_closep) int fd = registry_layout_open_blob(s->layout, d, err);

    if (fd < 0 || fs_read_all(fd, out, err) < 0)
        return -1;
    return digest_check(&d->digest, buf_view(out), err);
}

static int source_manifest(void *self,
                           const struct descriptor *d,
                           struct buf *out,
                           struct error *err)
{
    return read_manifest(self, d, out, err);
}

static int source_blob(void *self,
                       const struct descriptor *d,
                       const struct registry_blob_sink *sink,
                       const struct registry_progress *progress,
                       struct error *err)
{
    CLEANUP(fd_closep) int fd = source_open(self, d, err);

    return fd < 0 ? -1 : copy_fd_to_sink(fd, d, sink, progress, err);
}

/* Referrers are in index.json, as a layout knows no other list. */
static int add_if_referrer(const struct source *s,
                           const struct descriptor *root,
                           const struct digest *subject,
                           struct registry_referrers *out,
                           struct error *err)
{
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(descriptor_release) struct descriptor named = {0};
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    bool refers, found;

    if (registry_layout_has_blob(s->layout, root, &found, err) < 0)
        return -1;
    if (!found || root->size > LIMIT_MANIFEST_SIZE)
        return 0;
    if (read_manifest(s, root, &bytes, err) < 0 ||
        !(d = doc_parse(buf_view(&bytes), err)) ||
        registry_manifest_subject(d, &refers, &named, err) < 0)
        return -1;
    if (refers && digest_eq(&named.digest, subject))
        registry_referrers_add(out, root);
    return 0;
}

static int source_referrers(void *self,
                            const struct digest *subject,
                            struct registry_referrers *out,
                            struct error *err)
{
    const struct source *s = self;
    const struct doc *entries = doc_get(registry_layout_index(s->layout), "manifests");

    for (size_t i = 0; i < doc_count(entries); i++) {
        CLEANUP(descriptor_release) struct descriptor root = {0};

        if (descriptor_parse(doc_at(entries, i), &root, err) < 0 ||
            add_if_referrer(s, &root, subject, out, err) < 0)
            return error_wrap(err, "index.json");
    }
    return 0;
}

static void source_close(void *self)
{
    struct source *s = self;

    registry_layout_close(s->layout);
    free(s);
}

int copy_layout_source(const struct registry_location *l,
                       struct copy_source *out,
                       struct error *err)
{
    struct registry_layout *layout = registry_layout_open(l->path, err);

    if (!layout)
        return -1;
    struct source *s = base_alloc(sizeof *s);
    *s = (struct source){layout, l};
    *out = (struct copy_source){
        .self = s,
        .resolve = source_resolve,
        .manifest = source_manifest,
        .blob = source_blob,
        .open = source_open,
        .referrers = source_referrers,
        .close = source_close,
    };
    return 0;
}

/* ---- Target ---- */

struct target {
    struct registry_layout_writer *writer;
    const struct registry_location *location;
};

/* A blob on its way into the layout. */
struct incoming {
    int fd;
};

static int incoming_restart(void *context, struct error *err)
{
    const struct incoming *in = context;

    if (ftruncate(in->fd, 0) < 0 || lseek(in->fd, 0, SEEK_SET) < 0)
        return error_sys(err, "rewind a blob");
    return 0;
}

static int incoming_write(void *context, const void *data, size_t size, struct error *err)
{
    const struct incoming *in = context;

    return fs_write_all(in->fd, data, size, err);
}

static int incoming_reserve(void *context, uint64_t size, struct error *err)
{
    const struct incoming *in = context;

    (void)size;
    (void)err;
    return in->fd;
}

/* The file's own place, where the next write goes, stays at its end. */
static int incoming_took(void *context, const void *data, size_t size, struct error *err)
{
    const struct incoming *in = context;

    (void)data;
    return lseek(in->fd, (off_t)size, SEEK_CUR) < 0 ? error_sys(err, "seek") : 0;
}

static int receive(const struct target *t,
                   const struct copy_source *from,
                   const struct descriptor *d,
                   const struct registry_progress *progress,
                   struct error *err)
{
    CLEANUP(base_freep) char *name = NULL;
    CLEANUP(fd_closep) int fd = registry_layout_writer_create(t->writer, &name, err);
    struct incoming in = {fd};
    const struct registry_blob_sink sink = {
        .restart = incoming_restart,
        .write = incoming_write,
        .context = &in,
        .is_verifying = true,
        .reserve = incoming_reserve,
        .took = incoming_took,
    };

    if (fd < 0)
        return -1;
    if (from->blob(from->self, d, &sink, progress, err) == 0 &&
        registry_layout_writer_publish(t->writer, fd, name, d, err) == 0)
        return 0;
    registry_layout_writer_discard(t->writer, name);
    return -1;
}

static int target_blob(void *self,
                       const struct copy_source *from,
                       const struct descriptor *d,
                       const struct registry_progress *progress,
                       enum copy_outcome *outcome,
                       struct error *err)
{
    const struct target *t = self;
    bool found;

    if (registry_layout_writer_has(t->writer, d, &found, err) < 0)
        return -1;
    *outcome = found ? COPY_PRESENT : COPY_MOVED;
    return found ? 0 : receive(t, from, d, progress, err);
}

static int put_bytes(const struct target *t,
                     const struct descriptor *d,
                     struct view bytes,
                     struct error *err)
{
    CLEANUP(base_freep) char *name = NULL;
    CLEANUP(fd_closep) int fd = -1;
    bool found;

    if (registry_layout_writer_has(t->writer, d, &found, err) < 0)
        return -1;
    if (found)
        return 0;
    fd = registry_layout_writer_create(t->writer, &name, err);
    if (fd < 0)
        return -1;
    if (fs_write_all(fd, bytes.data, bytes.size, err) == 0 &&
        registry_layout_writer_publish(t->writer, fd, name, d, err) == 0)
        return 0;
    registry_layout_writer_discard(t->writer, name);
    return -1;
}

/* The root is listed under its tag; what refers to it without one, so that it is found. */
static int target_manifest(void *self,
                           const struct descriptor *d,
                           struct view bytes,
                           const struct doc *doc,
                           bool is_root,
                           struct error *err)
{
    const struct target *t = self;
    CLEANUP(descriptor_release) struct descriptor subject = {0};
    CLEANUP(descriptor_release) struct descriptor entry = {0};
    const char *type = doc_text(doc_get(doc, "artifactType"));
    bool refers;

    if (registry_manifest_subject(doc, &refers, &subject, err) < 0 ||
        put_bytes(t, d, bytes, err) < 0)
        return -1;
    if (is_root || !refers)
        return 0;
    descriptor_copy(&entry, d);
    entry.artifact_type = base_strdup(type);
    return registry_layout_writer_list(t->writer, &entry, NULL, err);
}

static int target_finish(void *self, const struct descriptor *root, struct error *err)
{
    const struct target *t = self;
    const struct registry_location *l = t->location;

    return registry_layout_writer_list(
        t->writer, root, l->name || digest_is_set(&l->digest) ? l->name : "latest", err);
}

static void target_close(void *self)
{
    struct target *t = self;

    registry_layout_writer_close(t->writer);
    free(t);
}

static int check_digest(void *self,
                        const struct descriptor *root,
                        bool *done,
                        struct error *err)
{
    const struct target *t = self;
    const struct digest *digest = &t->location->digest;

    *done = false;
    if (!digest_is_set(digest) || digest_eq(digest, &root->digest))
        return 0;
    return error_set(err, ERROR_INVALID,
                     "the image is %s and cannot be stored under another digest",
                     digest_format(&root->digest).text);
}

int copy_layout_target(const struct registry_location *l,
                       struct copy_target *out,
                       struct error *err)
{
    struct registry_layout_writer *writer = registry_layout_writer_open(l->path, err);

    if (!writer)
        return -1;
    struct target *t = base_alloc(sizeof *t);
    *t = (struct target){writer, l};
    *out = (struct copy_target){
        .self = t,
        .is_done = check_digest,
        .blob = target_blob,
        .manifest = target_manifest,
        .finish = target_finish,
        .close = target_close,
    };
    return 0;
}
