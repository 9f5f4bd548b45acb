#include "cas/gc_mark.h"
#include "cas/gc_kept.h"
#include "cas/gc_repository.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/reach.h"
#include "cas/ref.h"
#include "cas/store_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char sql_cache[] = "SELECT value FROM cache";
static const char sql_layers[] = "SELECT diff_id, blob FROM layer";

void gc_marks_release(struct gc_marks *marks)
{
    digest_set_release(&marks->reached);
    digest_set_release(&marks->blobs);
    digest_set_release(&marks->layers);
}

struct marking {
    struct cas_store *store;
    struct gc_marks *marks;
    struct digest_set *named; /* by cache records: of blobs or of layers */
};

/* --- Refs --- */

static void mark_layer(void *context,
                       const struct digest *diff_id,
                       const struct digest *chain_id)
{
    struct gc_marks *marks = context;

    digest_set_add(&marks->layers, chain_id);
    digest_set_add(&marks->layers, diff_id);
}

static bool is_there(const struct cas_store *s, const struct digest *blob)
{
    return faccessat(s->fd, cas_blob_path(blob).text, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What was marked before needs no second visit; what is absent leads no further. */
static int mark_reached(void *context,
                        const struct descriptor *d,
                        bool *descend,
                        struct error *err)
{
    struct marking *k = context;

    (void)err;
    if (!digest_set_add(&k->marks->reached, &d->digest)) {
        *descend = false;
        return 0;
    }
    *descend = *descend && is_there(k->store, &d->digest);
    cas_reach_layers(k->store, d, mark_layer, k->marks);
    return 0;
}

static int mark_refs(struct marking *k, struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};

    if (cas_ref_list(k->store, &refs, err) < 0)
        return -1;
    for (size_t i = 0; i < refs.count; i++) {
        if (cas_reach_walk(k->store, &refs.items[i].target, CAS_REACH_PEEK, mark_reached, k,
                           err) < 0)
            return error_wrap(err, "image %s", refs.items[i].name);
    }
    return 0;
}

/* --- Manifests that somebody holds --- */

/* NULL for what is none. */
static const char *manifest_type(const struct doc *d)
{
    const char *type = doc_text(doc_get(d, "mediaType"));

    if (type)
        return type;
    if (doc_type(doc_get(d, "layers")) == DOC_ARRAY)
        return MEDIA_OCI_MANIFEST;
    return doc_type(doc_get(d, "manifests")) == DOC_ARRAY ? MEDIA_OCI_INDEX : NULL;
}

/* Layers, most of what is held, do not begin so. */
static bool begins_as_document(int fd)
{
    char first;

    return pread(fd, &first, 1, 0) == 1 && first == '{';
}

/* What cannot be read leads no further: it is kept itself, as it is held. */
static void mark_if_manifest(struct marking *k, const struct digest *digest, uint64_t size)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(fd_closep) int fd = cas_blob_peek(k->store, digest, &ignored);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(descriptor_release) struct descriptor d = {0};

    if (fd < 0 || !begins_as_document(fd) || fs_read_all(fd, &text, &ignored) < 0)
        return;
    CLEANUP(doc_unrefp) struct doc *doc = doc_parse(buf_view(&text), &ignored);
    const char *type = manifest_type(doc);
    if (!type)
        return;
    descriptor_init(&d, type, digest, size);
    if (cas_reach_walk(k->store, &d, CAS_REACH_PEEK, mark_reached, k, &ignored) < 0)
        return;
}

static void dir_closep(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

static int mark_held(struct marking *k,
                     enum digest_alg alg,
                     struct timespec limit,
                     struct error *err)
{
    CLEANUP(base_freep) char *path = base_format("blobs/%s", digest_alg_name(alg));
    const int fd = openat(k->store->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(dir_closep) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    if (!dir)
        return errno == ENOENT ? 0 : error_sys(err, "open %s", path);
    while ((e = readdir(dir))) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;
        CLEANUP(base_freep) char *text = NULL;
        struct digest d;
        struct stat st;

        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
            st.st_size > (off_t)LIMIT_MANIFEST_SIZE ||
            cas_lease_before(cas_lease_stamp(&st), limit))
            continue;
        text = base_format("%s:%s", digest_alg_name(alg), e->d_name);
        if (digest_parse(view_of(text), &d, &ignored) == 0 &&
            !digest_set_has(&k->marks->reached, &d))
            mark_if_manifest(k, &d, (uint64_t)st.st_size);
    }
    return 0;
}

/* --- Records --- */

static void collect_names(struct marking *k, const struct doc *d)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct digest named;
    const char *key;

    switch (doc_type(d)) {
    case DOC_TEXT:
        if (digest_parse(doc_view(d), &named, &ignored) == 0)
            digest_set_add(k->named, &named);
        return;
    case DOC_ARRAY:
        for (size_t i = 0; i < doc_count(d); i++)
            collect_names(k, doc_at(d, i));
        return;
    case DOC_OBJECT:
        for (size_t i = 0; i < doc_count(d); i++)
            collect_names(k, doc_member_at(d, i, &key));
        return;
    case DOC_ABSENT:
    case DOC_NULL:
    case DOC_BOOL:
    case DOC_INT:
    case DOC_REAL:
        return;
    }
}

static int mark_cache(struct marking *k, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(k->store->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_cache, err);
    bool row = q != NULL;

    while (row) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        CLEANUP(doc_unrefp)
        struct doc *value = row ? doc_parse(cas_stmt_view(q, 0), &ignored) : NULL;
        collect_names(k, value);
    }
    return q ? 0 : -1;
}

/* Layer records tie both names of a layer together. */
static int mark_layers(struct marking *k, struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(k->store->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_layers, err);
    bool row = q != NULL;

    while (row) {
        struct digest diff;
        struct digest blob;
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        if (!row)
            break;
        if (cas_stmt_digest(q, 0, &diff, err) < 0 || cas_stmt_digest(q, 1, &blob, err) < 0)
            return -1;
        if (digest_set_has(k->named, &diff) || digest_set_has(&k->marks->blobs, &blob)) {
            digest_set_add(&k->marks->blobs, &blob);
            digest_set_add(&k->marks->layers, &diff);
        }
    }
    return q ? 0 : -1;
}

int gc_mark(struct cas_store *s,
            struct timespec limit,
            struct gc_marks *marks,
            struct error *err)
{
    CLEANUP(digest_set_release) struct digest_set named = {0};
    struct marking k = {s, marks, &named};

    if (mark_refs(&k, err) < 0 ||
        gc_repository_mark(s, &marks->reached, mark_reached, &k, err) < 0 ||
        mark_held(&k, DIGEST_SHA256, limit, err) < 0 ||
        mark_held(&k, DIGEST_SHA512, limit, err) < 0 || mark_cache(&k, err) < 0 ||
        gc_kept_mark(s, marks, err) < 0)
        return -1;
    digest_set_add_all(&marks->blobs, &marks->reached);
    digest_set_add_all(&marks->blobs, &named);
    digest_set_add_all(&marks->layers, &named);
    return mark_layers(&k, err);
}
