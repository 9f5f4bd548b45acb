#include "cas/blob.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "cas/disk_size.h"
#include "cas/hash_beside.h"
#include "cas/ingest.h"
#include "cas/store_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct cas_blob_path cas_blob_path(const struct digest *d)
{
    struct cas_blob_path p;

    assert(digest_is_set(d));
    snprintf(p.text, sizeof p.text, "blobs/%s/%s", digest_alg_name(d->alg),
             digest_hex(d).text);
    return p;
}

static int sync_dir(struct cas_store *s, const char *name, struct error *err)
{
    CLEANUP(fd_closep) int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : error_sys(err, "open %s in the store", name);
    return fs_sync(fd, name, err);
}

int cas_blob_sync_dirs(struct cas_store *s, struct error *err)
{
    if (sync_dir(s, "blobs/sha256", err) < 0 || sync_dir(s, "blobs/sha512", err) < 0)
        return -1;
    return sync_dir(s, "blobs", err);
}

/* --- Reading --- */

int cas_blob_find(struct cas_store *s,
                  const struct digest *d,
                  bool *found,
                  uint64_t *size,
                  struct error *err)
{
    struct stat st;

    if (cas_lease_hold(s, cas_blob_path(d).text, found, &st, err) < 0)
        return -1;
    if (*found && size)
        *size = (uint64_t)st.st_size;
    return 0;
}

int cas_blob_open(struct cas_store *s, const struct digest *d, struct error *err)
{
    const struct cas_blob_path path = cas_blob_path(d);
    bool found;

    if (cas_blob_find(s, d, &found, NULL, err) < 0)
        return -1;
    if (!found)
        return error_set(err, ERROR_NOT_FOUND, "blob %s is not in the store",
                         digest_format(d).text);
    const int fd = openat(s->fd, path.text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 ? fd : error_sys(err, "open %s in the store", path.text);
}

int cas_blob_peek(struct cas_store *s, const struct digest *d, struct error *err)
{
    const struct cas_blob_path path = cas_blob_path(d);
    const int fd = cas_disk_open(s->fd, path.text, 0);

    if (fd >= 0)
        return fd;
    if (errno == ENOENT || errno == ENOTDIR)
        return error_set(err, ERROR_NOT_FOUND, "blob %s is not in the store",
                         digest_format(d).text);
    return error_sys(err, "open %s in the store", path.text);
}

/* Consumes the descriptor; -1 passes the failure on. */
static int read_checked(int consumed,
                        const struct digest *d,
                        struct buf *out,
                        struct error *err)
{
    CLEANUP(fd_closep) int fd = consumed;
    const size_t before = out->size;

    if (fd < 0)
        return -1;
    if (fs_read_all(fd, out, err) < 0 ||
        digest_check(d, view_sub(buf_view(out), before, out->size), err) < 0)
        return error_wrap(err, "blob %s", digest_format(d).text);
    return 0;
}

int cas_blob_read(struct cas_store *s,
                  const struct digest *d,
                  struct buf *out,
                  struct error *err)
{
    return read_checked(cas_blob_open(s, d, err), d, out, err);
}

/* Consumes the descriptor. */
static struct doc *read_doc(int fd,
                            const struct descriptor *d,
                            size_t max,
                            struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(max);

    if (read_checked(fd, &d->digest, &text, err) < 0)
        return NULL;
    if (text.size != d->size) {
        error_set(err, ERROR_CORRUPT, "blob %s has %zu bytes, its descriptor says %ju",
                  digest_format(&d->digest).text, text.size, (uintmax_t)d->size);
        return NULL;
    }
    struct doc *doc = doc_parse(buf_view(&text), err);
    if (!doc)
        error_wrap(err, "blob %s", digest_format(&d->digest).text);
    return doc;
}

struct doc *cas_blob_read_doc(struct cas_store *s,
                              const struct descriptor *d,
                              size_t max,
                              struct error *err)
{
    return read_doc(cas_blob_open(s, &d->digest, err), d, max, err);
}

struct doc *cas_blob_peek_doc(struct cas_store *s,
                              const struct descriptor *d,
                              size_t max,
                              struct error *err)
{
    return read_doc(cas_blob_peek(s, &d->digest, err), d, max, err);
}

/* --- Writing --- */

/* Bytes that are read at once when a blob is hashed again. */
#define REHASH_PART ((size_t)1 << 18)

struct cas_blob_writer {
    struct cas_store *store; /* borrowed */
    struct cas_ingest *ingest;
    struct hasher *hasher;      /* NULL: the digest is known elsewhere */
    struct hash_beside *beside; /* has the hasher, unless NULL */
};

struct cas_blob_writer *cas_blob_writer_new(struct cas_store *s,
                                            enum digest_alg alg,
                                            struct error *err)
{
    struct cas_ingest *g = cas_ingest_new(s, err);

    if (!g)
        return NULL;
    struct cas_blob_writer *w = base_alloc(sizeof *w);
    w->store = s;
    w->ingest = g;
    w->hasher = alg == DIGEST_NONE ? NULL : hasher_new(alg);
    return w;
}

int cas_blob_writer_write(struct cas_blob_writer *w,
                          const void *data,
                          size_t size,
                          struct error *err)
{
    if (w->beside)
        hash_beside_put(w->beside, data, size);
    else if (w->hasher)
        hasher_update(w->hasher, data, size);
    return cas_ingest_write(w->ingest, data, size, err);
}

int cas_blob_writer_reserve(struct cas_blob_writer *w, uint64_t size, struct error *err)
{
    return cas_ingest_reserve(w->ingest, size, err);
}

void cas_blob_writer_took(struct cas_blob_writer *w, const void *data, size_t size)
{
    if (w->hasher)
        hasher_update(w->hasher, data, size);
    cas_ingest_took(w->ingest, size);
}

void cas_blob_writer_hash_in(struct cas_blob_writer *w, struct pool *pool)
{
    hash_beside_free(w->beside);
    w->beside = pool && w->hasher ? hash_beside_new(w->hasher, pool) : NULL;
}

int cas_blob_writer_rehash(struct cas_blob_writer *w,
                           enum digest_alg alg,
                           struct error *err)
{
    CLEANUP(hasher_freep) struct hasher *hasher = hasher_new(alg);
    CLEANUP(fd_closep) int fd = cas_ingest_reader(w->ingest, err);
    CLEANUP(base_freep) char *part = base_alloc(REHASH_PART);
    ssize_t n = fd;

    while (n >= 0 && (n = read(fd, part, REHASH_PART)) > 0)
        hasher_update(hasher, part, (size_t)n);
    if (fd < 0 || n < 0)
        return fd < 0 ? -1 : error_sys(err, "read what was written to the store");
    cas_blob_writer_hash_in(w, NULL);
    struct hasher *old = w->hasher;
    w->hasher = hasher;
    hasher = old;
    return 0;
}

uint64_t cas_blob_writer_size(const struct cas_blob_writer *w)
{
    return cas_ingest_size(w->ingest);
}

int cas_blob_writer_reader(const struct cas_blob_writer *w, struct error *err)
{
    return cas_ingest_reader(w->ingest, err);
}

void cas_blob_writer_abort(struct cas_blob_writer *w)
{
    if (!w)
        return;
    hash_beside_free(w->beside);
    cas_ingest_abort(w->ingest);
    hasher_free(w->hasher);
    free(w);
}

void cas_blob_writer_abortp(struct cas_blob_writer **w)
{
    const int saved = errno;

    cas_blob_writer_abort(*w);
    *w = NULL;
    errno = saved;
}

/* The other directory, of sha512, is made when it is first needed. */
static int require_dir(struct cas_store *s, enum digest_alg alg, struct error *err)
{
    if (alg != DIGEST_SHA512 || mkdirat(s->fd, "blobs/sha512", 0700) == 0 ||
        errno == EEXIST)
        return 0;
    return error_sys(err, "make blobs/sha512 in the store");
}

/* What is there under this digest with this size was verified when it came; something of
 * another size is damage, and is replaced. */
static int publish(struct cas_store *s,
                   struct cas_ingest *consumed,
                   const struct digest *d,
                   struct error *err)
{
    CLEANUP(cas_ingest_abortp) struct cas_ingest *g = consumed;
    bool found;
    uint64_t size = 0;

    if (cas_blob_find(s, d, &found, &size, err) < 0)
        return -1;
    if (found && size == cas_ingest_size(g))
        return 0;
    if (require_dir(s, d->alg, err) < 0)
        return -1;
    consumed = g;
    g = NULL;
    return cas_ingest_publish(consumed, cas_blob_path(d).text, err);
}

static int check_content(struct cas_blob_writer *w,
                         const struct digest *want,
                         uint64_t want_size,
                         struct digest *got,
                         struct error *err)
{
    const uint64_t size = cas_blob_writer_size(w);

    assert(w->hasher || want);
    assert(!w->hasher || !want || digest_is_set(want));
    if (want_size != UINT64_MAX && size != want_size)
        return error_set(err, ERROR_CORRUPT, "content has %ju bytes, not %ju",
                         (uintmax_t)size, (uintmax_t)want_size);
    if (!w->hasher) {
        *got = *want;
        return 0;
    }
    cas_blob_writer_hash_in(w, NULL);
    hasher_final(w->hasher, got);
    if (want && !digest_eq(want, got))
        return error_set(err, ERROR_CORRUPT, "content has digest %s, not %s",
                         digest_format(got).text, digest_format(want).text);
    return 0;
}

int cas_blob_writer_commit(struct cas_blob_writer *consumed,
                           const struct digest *want,
                           uint64_t want_size,
                           struct digest *got,
                           uint64_t *got_size,
                           struct error *err)
{
    CLEANUP(cas_blob_writer_abortp) struct cas_blob_writer *w = consumed;
    const uint64_t size = cas_blob_writer_size(w);
    struct digest d;

    if (check_content(w, want, want_size, &d, err) < 0)
        return -1;
    struct cas_ingest *g = w->ingest;
    w->ingest = NULL;
    if (publish(w->store, g, &d, err) < 0)
        return -1;
    if (got)
        *got = d;
    if (got_size)
        *got_size = size;
    return 0;
}

int cas_blob_put(struct cas_store *s,
                 struct view data,
                 struct digest *out,
                 struct error *err)
{
    const struct digest d = digest_of(DIGEST_SHA256, data);
    bool found;
    uint64_t size;

    if (cas_blob_find(s, &d, &found, &size, err) < 0)
        return -1;
    if (!found || size != data.size) {
        CLEANUP(cas_ingest_abortp) struct cas_ingest *g = cas_ingest_new(s, err);
        if (!g || cas_ingest_write(g, data.data, data.size, err) < 0)
            return -1;
        struct cas_ingest *whole = g;
        g = NULL;
        if (publish(s, whole, &d, err) < 0)
            return -1;
    }
    *out = d;
    return 0;
}

int cas_blob_put_doc(struct cas_store *s,
                     const struct doc *doc,
                     const char *media_type,
                     size_t max,
                     struct descriptor *out,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(max);
    struct digest digest;

    doc_write(doc, DOC_WRITE_COMPACT, &text);
    if (buf_ok(&text, media_type, err) < 0 ||
        cas_blob_put(s, buf_view(&text), &digest, err) < 0)
        return -1;
    descriptor_init(out, media_type, &digest, text.size);
    return 0;
}
