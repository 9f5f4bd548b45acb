#include "cas/tree_extract.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/blob.h"
#include "cas/codec.h"
#include "cas/digest.h"
#include "cas/index.h"
#include "cas/layer_priv.h"

#include <stdlib.h>

enum { PIECE_SIZE = 256 << 10 };

/* Where a file's bytes lie in the tar of a layer. */
struct place {
    size_t which;
    size_t layer;
    uint64_t offset;
    uint64_t size;
    const struct digest *content;
};

/* One layer's tar, read from its beginning on. */
struct pass {
    struct codec_reader *reader;
    struct hasher *hasher;
    char *piece;
    uint64_t at;
    cas_tree_extract_fn *give;
    void *context;
};

/* --- Places --- */

static bool is_file(const struct cas_index *x,
                    struct view path,
                    struct cas_entry *e,
                    size_t *at)
{
    if (!cas_index_find(x, path, at))
        return false;
    cas_index_at(x, *at, e);
    return e->type == CAS_ENTRY_FILE;
}

/* A name in a layer: a file, or a hard link to one of this layer or of one below. Which of
 * those below it is tells the content. */
static int find_place(struct cas_tree *t,
                      const struct cas_tree_entry *file,
                      struct place *out,
                      struct error *err)
{
    struct view path = file->entry.path;

    for (size_t i = file->layer + 1; i-- > 0;) {
        const struct cas_index *const x = cas_layer_index(cas_tree_layer(t, i), err);
        struct cas_entry e;
        size_t at = 0;

        if (!x)
            return -1;
        if (cas_index_find(x, path, &at)) {
            cas_index_at(x, at, &e);
            if (e.type == CAS_ENTRY_HARDLINK)
                path = e.target;
        }
        if (!is_file(x, path, &e, &at) || !digest_eq(&e.content, &file->entry.content))
            continue;
        out->layer = i;
        out->offset = cas_index_offset(x, at);
        return 0;
    }
    return error_set(err, ERROR_CORRUPT, "'%.*s' has its bytes in no layer",
                     VIEW_ARG(file->entry.path));
}

static int compare_places(const void *a, const void *b)
{
    const struct place *const x = a;
    const struct place *const y = b;

    if (x->layer != y->layer)
        return x->layer < y->layer ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* --- Reading --- */

/* Up to `size` bytes; none at the end of the layer. */
static int read_piece(struct pass *p, uint64_t size, struct view *out, struct error *err)
{
    const size_t wanted = size < PIECE_SIZE ? (size_t)size : PIECE_SIZE;
    size_t got = 0;

    if (codec_reader_read(p->reader, p->piece, wanted, &got, err) < 0)
        return -1;
    p->at += got;
    *out = (struct view){p->piece, got};
    return 0;
}

/* The layer was verified when its index was made, so where its bytes are not the file's it
 * is a sparse one: a map of its holes stands in front, and no holes. */
static int fail_sparse(struct error *err)
{
    return error_set(err, ERROR_UNSUPPORTED, "it is stored as a sparse file");
}

static int skip(struct pass *p, uint64_t to, struct error *err)
{
    struct view piece;

    while (p->at < to) {
        if (read_piece(p, to - p->at, &piece, err) < 0)
            return -1;
        if (piece.size == 0)
            return error_set(err, ERROR_CORRUPT, "the layer ends before it");
    }
    return 0;
}

static int give_file(struct pass *p, const struct place *file, struct error *err)
{
    const uint64_t end = file->offset + file->size;
    struct digest got;
    struct view piece;

    if (skip(p, file->offset, err) < 0)
        return -1;
    while (p->at < end) {
        if (read_piece(p, end - p->at, &piece, err) < 0)
            return -1;
        if (piece.size == 0)
            return fail_sparse(err);
        hasher_update(p->hasher, piece.data, piece.size);
        if (p->give(p->context, file->which, piece, err) < 0)
            return -1;
    }
    hasher_final(p->hasher, &got);
    if (!digest_eq(&got, file->content))
        return fail_sparse(err);
    return p->give(p->context, file->which, (struct view){NULL, 0}, err);
}

/* Begins (anew: the same bytes may be wanted by two names) at the start of a layer. */
static int pass_open(struct pass *p, struct cas_layer *layer, int *fd, struct error *err)
{
    if (cas_layer_require_blob(layer, err) < 0)
        return -1;
    fd_closep(fd);
    *fd = cas_blob_open(cas_layer_store(layer), &cas_layer_blob(layer)->digest, err);
    if (*fd < 0)
        return -1;
    codec_reader_free(p->reader);
    p->reader = codec_reader_new_fd(*fd);
    p->at = 0;
    return 0;
}

static int give_all(struct cas_tree *t,
                    struct pass *p,
                    const struct cas_tree_entry *files,
                    const struct place *places,
                    size_t count,
                    struct error *err)
{
    CLEANUP(fd_closep) int fd = -1;

    for (size_t i = 0; i < count; i++) {
        struct cas_layer *const layer = cas_tree_layer(t, places[i].layer);
        const bool is_new =
            i == 0 || places[i].layer != places[i - 1].layer || places[i].offset < p->at;

        if ((is_new && pass_open(p, layer, &fd, err) < 0) ||
            give_file(p, &places[i], err) < 0)
            return error_wrap(err, "'%.*s'", VIEW_ARG(files[places[i].which].entry.path));
    }
    return 0;
}

int cas_tree_extract(struct cas_tree *t,
                     const struct cas_tree_entry *files,
                     size_t count,
                     cas_tree_extract_fn *give,
                     void *context,
                     struct error *err)
{
    CLEANUP(base_freep) struct place *places = base_alloc_array(count + 1, sizeof *places);
    struct pass p = {.give = give, .context = context};

    for (size_t i = 0; i < count; i++) {
        places[i] = (struct place){
            .which = i,
            .size = files[i].entry.size,
            .content = &files[i].entry.content,
        };
        if (find_place(t, &files[i], &places[i], err) < 0)
            return -1;
    }
    qsort(places, count, sizeof *places, compare_places);
    p.hasher = hasher_new(DIGEST_SHA256);
    p.piece = base_alloc(PIECE_SIZE);

    const int result = give_all(t, &p, files, places, count, err);

    codec_reader_free(p.reader);
    hasher_free(p.hasher);
    free(p.piece);
    return result;
}
