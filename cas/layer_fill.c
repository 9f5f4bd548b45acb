#include "cas/layer_fill.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/index_priv.h"
#include "cas/tar_write.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* A file whose content lies in the blocks [first, last]; opened by whoever comes first,
 * closed by whoever is last. */
struct span {
    size_t entry;
    size_t first;
    size_t last;
    bool digest_known;
    pthread_mutex_t lock; /* guards opened and content while the file is being opened */
    bool opened;
    struct cas_content content;
    atomic_size_t left; /* blocks still to be made */
};

/* A copy of a small file, put together by whoever makes the blocks that it lies in. */
struct kept {
    size_t entry;
    char *data;
};

#define KEPT_MAX 2 /* index_wants_inline knows two paths */

struct layer_fill {
    const struct layer_plan *plan;
    struct cas_entry *entries;
    cas_content_fn *content;
    void *context;
    struct span **entering; /* of each block and one more: the span that goes on into it */
    struct kept kept[KEPT_MAX];
    size_t kept_count;
    struct hasher *span_hasher;
};

/* --- Set-up --- */

static struct span *span_new(const struct layer_fill *f, size_t entry, size_t first)
{
    const struct cas_entry *e = &f->entries[entry];
    const uint64_t end = layer_plan_content(f->plan, entry) + e->size;
    struct span *s = base_alloc(sizeof *s);

    s->entry = entry;
    s->first = first;
    s->last = (size_t)((end - 1) / f->plan->block_size);
    s->digest_known = e->content.alg == DIGEST_SHA256;
    s->content.fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->left, s->last - s->first + 1);
    return s;
}

/* Block b > 0 begins in entry firsts[b]; if that is within its content, the span enters. */
static void find_spans(struct layer_fill *f)
{
    const struct layer_plan *p = f->plan;

    for (size_t b = 1; b < p->block_count; b++) {
        const size_t i = p->firsts[b];
        const uint64_t at = (uint64_t)b * p->block_size;
        if (i >= p->count || !layer_plan_is_span(p, i))
            continue;
        const uint64_t begin = layer_plan_content(p, i);
        if (begin >= at || at >= begin + f->entries[i].size)
            continue;
        struct span *before = f->entering[b - 1];
        f->entering[b] = before && before->entry == i ? before : span_new(f, i, b - 1);
    }
}

static void find_kept(struct layer_fill *f)
{
    static const char *const names[KEPT_MAX] = {"etc/group", "etc/passwd"};

    for (size_t k = 0; k < KEPT_MAX; k++) {
        const struct view name = view_of(names[k]);
        size_t low = 0;
        size_t high = f->plan->count;
        while (low < high) {
            const size_t middle = low + (high - low) / 2;
            if (cas_entry_path_compare(f->entries[middle].path, name) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < f->plan->count && view_eq(f->entries[low].path, name) &&
            index_wants_inline(&f->entries[low]))
            f->kept[f->kept_count++] =
                (struct kept){low, base_alloc((size_t)f->entries[low].size)};
    }
}

struct layer_fill *layer_fill_new(const struct layer_plan *plan,
                                  struct cas_entry *entries,
                                  cas_content_fn *content,
                                  void *context)
{
    struct layer_fill *f = base_alloc(sizeof *f);

    assert(plan->entries == entries);
    f->plan = plan;
    f->entries = entries;
    f->content = content;
    f->context = context;
    f->entering = base_alloc_array(plan->block_count + 1, sizeof *f->entering);
    find_spans(f);
    find_kept(f);
    f->span_hasher = hasher_new(DIGEST_SHA256);
    return f;
}

static void span_free(struct span *s)
{
    fd_closep(&s->content.fd);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void layer_fill_free(struct layer_fill *f)
{
    if (!f)
        return;
    for (size_t b = 1; b <= f->plan->block_count; b++) {
        struct span *s = f->entering[b];
        if (s && s != f->entering[b - 1])
            span_free(s);
    }
    for (size_t k = 0; k < f->kept_count; k++)
        free(f->kept[k].data);
    free(f->entering);
    hasher_free(f->span_hasher);
    free(f);
}

void layer_fill_worker_init(struct layer_fill_worker *w)
{
    w->hasher = hasher_new(DIGEST_SHA256);
    /* A name, a link and all attributes of one entry; what is larger is refused before. */
    buf_init(&w->headers, SIZE_MAX);
}

void layer_fill_worker_release(struct layer_fill_worker *w)
{
    hasher_freep(&w->hasher);
    buf_release(&w->headers);
}

/* --- Reading files --- */

static int changed(const struct cas_entry *e, struct error *err)
{
    return error_set(err, ERROR_FAILED, "%.*s changed while it was read",
                     VIEW_ARG(e->path));
}

/*
 * Reads exactly `size` bytes from `offset`. Where the file must end behind them, one byte
 * more is asked for in the same call: getting it means that the file grew.
 */
static int read_exactly(int fd,
                        char *out,
                        size_t size,
                        uint64_t offset,
                        bool ends,
                        const struct cas_entry *e,
                        struct error *err)
{
    char beyond;

    while (size > 0) {
        const struct iovec parts[2] = {{out, size}, {&beyond, 1}};
        const ssize_t n = preadv(fd, parts, ends ? 2 : 1, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_sys(err, "read %.*s", VIEW_ARG(e->path));
        if (n == 0 || (size_t)n > size)
            return changed(e, err);
        out += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

static int take_piece(const struct cas_content *c,
                      const struct cas_entry *e,
                      uint64_t from,
                      char *out,
                      size_t size,
                      struct error *err)
{
    if (c->read)
        return c->read(c->read_context, from, out, size, err);
    if (c->fd >= 0)
        return read_exactly(c->fd, out, size, from, from + size == e->size, e, err);
    if (c->memory.size != e->size)
        return changed(e, err);
    memcpy(out, c->memory.data + from, size);
    return 0;
}

static int span_open(struct layer_fill *f, struct span *s, struct error *err)
{
    int result = 0;

    pthread_mutex_lock(&s->lock);
    if (!s->opened) {
        struct cas_content c = {.fd = -1};
        result = f->content(f->context, s->entry, &c, err);
        if (result == 0) {
            s->content = c;
            s->opened = true;
            if (c.fd >= 0)
                (void)posix_fadvise(c.fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* a hint */
        }
    }
    pthread_mutex_unlock(&s->lock);
    return result;
}

static int fill_span(struct layer_fill *f,
                     struct span *s,
                     uint64_t from,
                     char *out,
                     size_t size,
                     struct error *err)
{
    if (span_open(f, s, err) < 0 ||
        take_piece(&s->content, &f->entries[s->entry], from, out, size, err) < 0)
        return -1;
    if (atomic_fetch_sub(&s->left, 1) == 1)
        fd_closep(&s->content.fd);
    return 0;
}

static int fill_whole(struct layer_fill *f,
                      struct layer_fill_worker *w,
                      size_t i,
                      char *out,
                      struct error *err)
{
    struct cas_entry *e = &f->entries[i];
    struct cas_content c = {.fd = -1};

    if (f->content(f->context, i, &c, err) < 0)
        return -1;
    const int result = take_piece(&c, e, 0, out, (size_t)e->size, err);
    fd_closep(&c.fd);
    if (result < 0)
        return -1;
    if (e->content.alg != DIGEST_SHA256) {
        hasher_update(w->hasher, out, (size_t)e->size);
        hasher_final(w->hasher, &e->content);
    }
    return 0;
}

static void keep_inline(
    struct layer_fill *f, size_t i, uint64_t from, const char *data, size_t size)
{
    for (size_t k = 0; k < f->kept_count; k++) {
        if (f->kept[k].entry == i)
            memcpy(f->kept[k].data + from, data, size);
    }
}

/* --- Blocks --- */

static int fill_headers(const struct layer_plan *p,
                        struct layer_fill_worker *w,
                        size_t i,
                        const struct layer_overlap *o,
                        char *out,
                        struct error *err)
{
    const struct cas_entry e = tar_entry_written(&p->entries[i], p->epoch);

    buf_clear(&w->headers);
    tar_headers_append(&e, &w->headers);
    if (buf_ok(&w->headers, "tar headers", err) < 0)
        return -1;
    assert(o->from + o->size <= w->headers.size);
    memcpy(out + o->at, w->headers.data + o->from, o->size);
    return 0;
}

static int fill_content(struct layer_fill *f,
                        struct layer_fill_worker *w,
                        size_t i,
                        size_t b,
                        const struct layer_overlap *o,
                        char *out,
                        struct error *err)
{
    struct span *s = NULL;
    int result;

    if (layer_plan_is_span(f->plan, i))
        s = f->entering[b] && f->entering[b]->entry == i ? f->entering[b]
                                                         : f->entering[b + 1];
    assert(!s || s->entry == i);
    result = s ? fill_span(f, s, o->from, out + o->at, o->size, err)
               : fill_whole(f, w, i, out + o->at, err);
    if (result == 0)
        keep_inline(f, i, o->from, out + o->at, o->size);
    return result;
}

static int fill_entry(struct layer_fill *f,
                      struct layer_fill_worker *w,
                      size_t i,
                      size_t b,
                      char *out,
                      struct error *err)
{
    const struct layer_plan *p = f->plan;
    const uint64_t content = layer_plan_content(p, i);
    const uint64_t padding =
        p->entries[i].type == CAS_ENTRY_FILE ? content + p->entries[i].size : content;

    const struct layer_overlap h = layer_plan_overlap(p, b, p->starts[i], content);
    if (h.size && fill_headers(p, w, i, &h, out, err) < 0)
        return -1;
    const struct layer_overlap c = layer_plan_overlap(p, b, content, padding);
    if (c.size && fill_content(f, w, i, b, &c, out, err) < 0)
        return -1;
    const struct layer_overlap z = layer_plan_overlap(p, b, padding, p->starts[i + 1]);
    memset(out + z.at, 0, z.size);
    return 0;
}

int layer_fill_block(struct layer_fill *f,
                     struct layer_fill_worker *w,
                     size_t b,
                     char *out,
                     struct error *err)
{
    const struct layer_plan *p = f->plan;
    const uint64_t block_end = (uint64_t)b * p->block_size + layer_plan_block_size(p, b);

    for (size_t i = p->firsts[b]; i < p->count && p->starts[i] < block_end; i++) {
        if (fill_entry(f, w, i, b, out, err) < 0)
            return -1;
    }
    const struct layer_overlap end =
        layer_plan_overlap(p, b, p->starts[p->count], p->tar_size);
    memset(out + end.at, 0, end.size);
    return 0;
}

/* --- Spans' digests --- */

static void hash_span(struct layer_fill *f,
                      const struct span *s,
                      size_t b,
                      const char *data)
{
    const struct layer_plan *p = f->plan;
    const uint64_t begin = layer_plan_content(p, s->entry);
    const struct layer_overlap o =
        layer_plan_overlap(p, b, begin, begin + f->entries[s->entry].size);

    if (s->digest_known)
        return;
    hasher_update(f->span_hasher, data + o.at, o.size);
    if (b == s->last)
        hasher_final(f->span_hasher, &f->entries[s->entry].content);
}

void layer_fill_spans(struct layer_fill *f, size_t b, const char *data)
{
    const struct span *in = f->entering[b];
    const struct span *out = f->entering[b + 1];

    if (in)
        hash_span(f, in, b, data);
    if (out && out != in)
        hash_span(f, out, b, data);
}

struct view layer_fill_inline(const struct layer_fill *f, size_t i)
{
    for (size_t k = 0; k < f->kept_count; k++) {
        if (f->kept[k].entry == i)
            return (struct view){f->kept[k].data, (size_t)f->entries[i].size};
    }
    return (struct view){NULL, 0};
}
