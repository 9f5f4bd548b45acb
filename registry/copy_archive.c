/*
 * An archive as an end of a copy. A tar is read and written in one order, and a compressed
 * or old one tells only at its end what its files are: so what is in it lies in a store of
 * its own meanwhile, in a temporary directory.
 */
#include "registry/copy_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "registry/archive.h"
#include "registry/store_blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
    char *dir;
    struct cas_store *store;
};

static void scratch_release(struct scratch *x)
{
    CLEANUP(error_clear)
    struct error ignored = ERROR_INIT; /* it lies in a place for such */

    cas_store_closep(&x->store);
    if (x->dir)
        (void)!fs_remove_tree_at(AT_FDCWD, x->dir, &ignored);
    base_freep(&x->dir);
}

static int scratch_open(struct scratch *x, struct error *err)
{
    const char *place = getenv("TMPDIR");
    char *dir = base_format("%s/cooper-copy-XXXXXX", place && *place ? place : "/var/tmp");

    if (!mkdtemp(dir)) {
        (void)error_sys(err, "create a temporary directory %s", dir);
        free(dir);
        return -1;
    }
    CLEANUP(base_freep) char *path = base_format("%s/store", dir);
    x->dir = dir;
    x->store = cas_store_open(path, CAS_STORE_OPEN_DEFAULT, err);
    if (x->store)
        return 0;
    scratch_release(x);
    return -1;
}

/* The NAME of a location as the archive has it: a whole reference, or a tag alone. */
static bool has_name(const struct registry_archive_entry *e, const char *name)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* a tag is no reference */
    CLEANUP(base_freep) char *full = registry_reference_normalize(view_of(name), &ignored);

    for (size_t i = 0; i < e->name_count; i++) {
        const char *colon = strrchr(e->names[i], ':');

        if ((full && strcmp(e->names[i], full) == 0) ||
            (colon && strcmp(colon + 1, name) == 0))
            return true;
    }
    return false;
}

/* ---- Source ---- */

struct source {
    struct scratch scratch;
    const struct registry_location *location;
    struct registry_archive_list list;
    struct descriptor *roots; /* of the list, for referrers; borrowed */
};

static int not_found(const struct source *s, struct error *err)
{
    CLEANUP(buf_release) struct buf names = BUF_INIT(LIMIT_HTTP_BODY_SMALL);

    for (size_t i = 0; i < s->list.count; i++) {
        const struct registry_archive_entry *e = &s->list.items[i];

        if (e->name_count == 0)
            buf_printf(&names, "%s%s", names.size ? ", " : "",
                       digest_format(&e->root.digest).text);
        for (size_t n = 0; n < e->name_count; n++)
            buf_printf(&names, "%s%.256s", names.size ? ", " : "", e->names[n]);
    }
    return error_set(err, ERROR_NOT_FOUND, "%s: which image? It has: %s", s->location->path,
                     buf_text(&names));
}

/* Images that refer to others are not what is meant where no name is given. */
static int is_referrer(const struct source *s,
                       const struct descriptor *root,
                       bool *refers,
                       struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor subject = {0};
    CLEANUP(doc_unrefp)
    struct doc *d = cas_blob_read_doc(s->scratch.store, root, LIMIT_MANIFEST_SIZE, err);

    return d ? registry_manifest_subject(d, refers, &subject, err) : -1;
}

static int source_resolve(void *self, struct descriptor *out, struct error *err)
{
    const struct source *s = self;
    const struct registry_archive_entry *found = NULL;
    const char *name = s->location->name;
    size_t count = 0;

    for (size_t i = 0; i < s->list.count; i++) {
        const struct registry_archive_entry *e = &s->list.items[i];
        bool refers = false;

        if (name ? !has_name(e, name) : false)
            continue;
        if (!name && is_referrer(s, &e->root, &refers, err) < 0)
            return -1;
        if (refers)
            continue;
        found = e;
        count++;
    }
    if (count != 1)
        return not_found(s, err);
    descriptor_copy(out, &found->root);
    return 0;
}

static int source_manifest(void *self,
                           const struct descriptor *d,
                           struct buf *out,
                           struct error *err)
{
    const struct source *s = self;

    return cas_blob_read(s->scratch.store, &d->digest, out, err);
}

static int source_blob(void *self,
                       const struct descriptor *d,
                       const struct registry_blob_sink *sink,
                       const struct registry_progress *progress,
                       struct error *err)
{
    const struct source *s = self;

    return copy_store_blob_out(s->scratch.store, d, sink, progress, err);
}

static int source_open(void *self, const struct descriptor *d, struct error *err)
{
    const struct source *s = self;
    bool found;

    if (registry_store_has(s->scratch.store, d, &found, err) < 0)
        return -1;
    return cas_blob_open(s->scratch.store, &d->digest, err);
}

static int source_referrers(void *self,
                            const struct digest *subject,
                            struct registry_referrers *out,
                            struct error *err)
{
    const struct source *s = self;

    return copy_store_referrers(s->scratch.store, s->roots, s->list.count, subject, out,
                                err);
}

static void source_close(void *self)
{
    struct source *s = self;

    registry_archive_list_release(&s->list);
    free(s->roots);
    scratch_release(&s->scratch);
    free(s);
}

static int open_input(const char *path, struct error *err)
{
    if (strcmp(path, "-") != 0)
        return fs_open_at(AT_FDCWD, path, O_RDONLY, 0, err);
    const int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    return fd >= 0 ? fd : error_sys(err, "standard input");
}

static int source_read(struct source *s, struct error *err)
{
    CLEANUP(fd_closep) int fd = open_input(s->location->path, err);

    if (fd < 0 || scratch_open(&s->scratch, err) < 0 ||
        registry_archive_read(s->scratch.store, fd, NULL, &s->list, err) < 0)
        return -1;
    s->roots = base_alloc_array(s->list.count + 1, sizeof *s->roots);
    for (size_t i = 0; i < s->list.count; i++)
        s->roots[i] = s->list.items[i].root;
    return 0;
}

int copy_archive_source(const struct registry_location *l,
                        struct copy_source *out,
                        struct error *err)
{
    struct source *s = base_alloc(sizeof *s);

    s->location = l;
    if (source_read(s, err) < 0) {
        source_close(s);
        return -1;
    }
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
    struct scratch scratch;
    const struct registry_location *location;
    char *name;                       /* full reference that it gets, or NULL */
    struct registry_referrers others; /* manifests that refer to it */
};

static int target_blob(void *self,
                       const struct copy_source *from,
                       const struct descriptor *d,
                       const struct registry_progress *progress,
                       enum copy_outcome *outcome,
                       struct error *err)
{
    const struct target *t = self;

    return copy_store_blob_in(t->scratch.store, from, d, progress, outcome, err);
}

static int target_manifest(void *self,
                           const struct descriptor *d,
                           struct view bytes,
                           const struct doc *doc,
                           bool is_root,
                           struct error *err)
{
    struct target *t = self;
    CLEANUP(descriptor_release) struct descriptor subject = {0};
    bool refers;

    if (registry_manifest_subject(doc, &refers, &subject, err) < 0 ||
        registry_store_bytes(t->scratch.store, d, bytes, err) < 0)
        return -1;
    if (refers && !is_root)
        registry_referrers_add(&t->others, d);
    return 0;
}

static int open_output(const char *path, char **temporary, struct error *err)
{
    struct stat st;

    *temporary = NULL;
    if (strcmp(path, "-") == 0) {
        if (isatty(STDOUT_FILENO))
            return error_set(err, ERROR_INVALID,
                             "standard output is a terminal: name a file or redirect it");
        const int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        return fd >= 0 ? fd : error_sys(err, "standard output");
    }
    /* A device or a pipe is written to; there is nothing to replace. */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return fs_open_at(AT_FDCWD, path, O_WRONLY, 0, err);
    *temporary = base_format("%s.tmp%d", path, (int)getpid());
    return fs_open_at(AT_FDCWD, *temporary, O_WRONLY | O_CREAT | O_TRUNC, 0644, err);
}

static int write_archive(const struct target *t,
                         const struct descriptor *root,
                         int fd,
                         struct error *err)
{
    const bool is_docker = t->location->kind == REGISTRY_LOCATION_DOCKER_ARCHIVE;
    const char *const names[] = {t->name};
    const size_t count = is_docker ? 1 : 1 + t->others.count;
    CLEANUP(base_freep)
    struct registry_archive_image *images =
        base_alloc_array(1 + t->others.count, sizeof *images);

    images[0] = (struct registry_archive_image){
        .root = root, .names = names, .name_count = t->name ? 1 : 0};
    for (size_t i = 0; i < t->others.count; i++)
        images[1 + i].root = &t->others.items[i];
    return registry_archive_write(
        t->scratch.store, images, count,
        is_docker ? REGISTRY_ARCHIVE_DOCKER : REGISTRY_ARCHIVE_OCI, fd, NULL, err);
}

static int target_finish(void *self, const struct descriptor *root, struct error *err)
{
    const struct target *t = self;
    CLEANUP(base_freep) char *temporary = NULL;
    CLEANUP(fd_closep) int fd = open_output(t->location->path, &temporary, err);

    if (fd < 0)
        return -1;
    if (write_archive(t, root, fd, err) == 0) {
        if (!temporary || rename(temporary, t->location->path) == 0)
            return 0;
        (void)error_sys(err, "rename %s", temporary);
    }
    if (temporary)
        (void)unlink(temporary);
    return -1;
}

static void target_close(void *self)
{
    struct target *t = self;

    registry_referrers_release(&t->others);
    scratch_release(&t->scratch);
    free(t->name);
    free(t);
}

int copy_archive_target(const struct registry_location *l,
                        struct copy_target *out,
                        struct error *err)
{
    struct target *t = base_alloc(sizeof *t);

    t->location = l;
    if ((l->name && !(t->name = registry_reference_normalize(view_of(l->name), err))) ||
        scratch_open(&t->scratch, err) < 0) {
        target_close(t);
        return -1;
    }
    *out = (struct copy_target){
        .self = t,
        .blob = target_blob,
        .manifest = target_manifest,
        .finish = target_finish,
        .close = target_close,
    };
    return 0;
}
