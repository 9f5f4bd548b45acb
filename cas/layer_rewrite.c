#include "cas/layer_rewrite.h"

#include "base/alloc.h"
#include "cas/index.h"
#include "cas/layer_priv.h"
#include "cas/layer_stream.h"
#include "cas/tar_read.h"

#include <stdlib.h>
#include <string.h>

/* The files' bytes as they come along in the source's tar. */
struct rewrite {
    const struct cas_index *index;
    struct cas_entry *entries;
    size_t count;
    struct layer_stream *in;
    struct tar_reader *reader;
    struct hasher *hasher;
    size_t current;      /* the entry whose content is being read; count: none yet */
    uint64_t at;         /* how much of it was given out */
    struct view piece;   /* bytes of it that were read and not given out */
    uint64_t piece_at;   /* where in the content they belong */
    struct digest known; /* of the current entry's content, by the index */
};

static int feed(struct rewrite *w, struct error *err)
{
    struct view bytes;

    if (layer_stream_next(w->in, &bytes, err) < 0)
        return -1;
    if (bytes.size > 0)
        tar_reader_feed(w->reader, bytes);
    else
        tar_reader_end_input(w->reader);
    return 0;
}

/* The next thing that is no hunger for input. */
static int step(struct rewrite *w, enum tar_event *event, struct error *err)
{
    do {
        if (tar_reader_step(w->reader, event, err) < 0 ||
            (*event == TAR_MORE_INPUT && feed(w, err) < 0))
            return -1;
    } while (*event == TAR_MORE_INPUT);
    return 0;
}

static int other_order(const struct cas_entry *e, struct error *err)
{
    return error_set(err, ERROR_UNSUPPORTED,
                     "'%.*s' does not stand where cooper would have put it",
                     VIEW_ARG(e->path));
}

/* Goes to the content of entry `i`. Files with content come in one order in both tars, so
 * the next one is the one. */
static int enter(struct rewrite *w, size_t i, struct error *err)
{
    const struct cas_entry *e = &w->entries[i];
    const struct tar_entry *t;
    enum tar_event event;

    do {
        if (step(w, &event, err) < 0)
            return -1;
        if (event == TAR_END)
            return other_order(e, err);
        t = event == TAR_ENTRY ? tar_reader_entry(w->reader) : NULL;
    } while (!t || t->type != TAR_FILE || t->size == 0);
    if (t->size != e->size || !view_eq(t->path, e->path))
        return other_order(e, err);
    w->current = i;
    w->at = 0;
    w->piece = (struct view){NULL, 0};
    w->known = e->content;
    return 0;
}

/* What comes next of the current content: bytes, or (*zeros) a hole before the next ones.
 */
static int more(struct rewrite *w, uint64_t *zeros, struct error *err)
{
    const struct cas_entry *e = &w->entries[w->current];
    enum tar_event event;

    *zeros = 0;
    while (w->piece.size == 0) {
        if (step(w, &event, err) < 0)
            return -1;
        if (event != TAR_DATA)
            return other_order(e, err); /* or it ends in a hole, which ours never do */
        w->piece = tar_reader_data(w->reader, &w->piece_at);
    }
    if (w->piece_at > w->at)
        *zeros = w->piece_at - w->at;
    return 0;
}

static int check_content(struct rewrite *w, struct error *err)
{
    const struct cas_entry *e = &w->entries[w->current];
    struct digest got;

    hasher_final(w->hasher, &got);
    if (digest_eq(&got, &w->known))
        return 0;
    return error_set(err, ERROR_CORRUPT, "'%.*s' has not the digest that the index has",
                     VIEW_ARG(e->path));
}

/* A cas_content's `read`. */
static int read_content(
    void *context, uint64_t from, char *out, size_t size, struct error *err)
{
    struct rewrite *w = context;
    const struct cas_entry *e = &w->entries[w->current];

    if (from != w->at)
        return other_order(e, err);
    while (size > 0) {
        uint64_t zeros;
        size_t n;

        if (more(w, &zeros, err) < 0)
            return -1;
        if (zeros > 0) {
            n = zeros < size ? (size_t)zeros : size;
            memset(out, 0, n);
        } else {
            n = w->piece.size < size ? w->piece.size : size;
            memcpy(out, w->piece.data, n);
            w->piece = view_sub(w->piece, n, w->piece.size);
            w->piece_at += n;
        }
        hasher_update(w->hasher, out, n);
        out += n;
        size -= n;
        w->at += n;
    }
    return w->at == e->size ? check_content(w, err) : 0;
}

static int content(void *context, size_t i, struct cas_content *out, struct error *err)
{
    struct rewrite *w = context;

    if (enter(w, i, err) < 0)
        return -1;
    *out = (struct cas_content){.fd = -1, .read = read_content, .read_context = w};
    return 0;
}

static int begin(struct rewrite *w, struct cas_layer *source, struct error *err)
{
    w->index = cas_layer_index(source, err);
    if (!w->index || cas_layer_require_blob(source, err) < 0)
        return -1;
    w->count = cas_index_count(w->index);
    w->current = w->count;
    w->entries = base_alloc_array(w->count + 1, sizeof *w->entries);
    for (size_t i = 0; i < w->count; i++)
        cas_index_at(w->index, i, &w->entries[i]);
    w->reader = tar_reader_new();
    w->hasher = hasher_new(DIGEST_SHA256);
    w->in = layer_stream_open(cas_layer_store(source), cas_layer_blob(source),
                              cas_layer_diff_id(source)->alg, err);
    return w->in ? 0 : -1;
}

static void rewrite_release(struct rewrite *w)
{
    layer_stream_close(w->in);
    tar_reader_free(w->reader);
    hasher_free(w->hasher);
    free(w->entries);
}

static bool keeps_times(const struct rewrite *w, int64_t epoch)
{
    bool keeps = true;

    for (size_t i = 0; i < w->count; i++)
        keeps = keeps && (epoch < 0 || w->entries[i].mtime_s <= epoch);
    return keeps;
}

struct cas_layer *cas_layer_rewrite(struct cas_layer *source,
                                    const struct cas_layer_options *options,
                                    struct error *err)
{
    CLEANUP(rewrite_release) struct rewrite w = {0};
    struct cas_layer_options how = *options;
    struct cas_layer *made = NULL;
    bool is_same = false; /* by what the tar says */

    how.in_order = true;
    if (begin(&w, source, err) == 0) {
        is_same = keeps_times(&w, how.epoch);
        made = cas_layer_write(cas_layer_store(source), w.entries, w.count, content, &w,
                               &how, err);
    }
    if (made && is_same && !digest_eq(cas_layer_diff_id(made), cas_layer_diff_id(source))) {
        cas_layer_unrefp(&made);
        error_set(err, ERROR_UNSUPPORTED, "cooper would have written its tar otherwise");
    }
    if (!made)
        error_wrap(err, "rewrite layer %s", digest_format(cas_layer_diff_id(source)).text);
    return made;
}
