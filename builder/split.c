/*
 * Splitting a layer. Entries are dealt out in their order:
 *
 *     entries   a/  a/1  a/2  a/3  b/  b/4
 *     pieces    a/  a/1  a/2 | a/  a/3  b/  b/4
 *
 * What lies above the pieces sees them one on top of the other, so a directory that hides
 * what is below (opaque) does so only in the first piece that has it.
 */
#include "builder/reshape.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/index.h"
#include "cas/tar_write.h"
#include "cas/tree.h"

#include <stdlib.h>

struct split {
    const struct cas_index *index;
    struct cas_tree *tree; /* opens files */
    uint64_t size;
    size_t count; /* entries of the layer */
    size_t pieces;
    size_t *piece_of;          /* of each entry */
    bool *is_in;               /* of each entry: is it in the piece being made? */
    bool *was_in;              /* or in an earlier one? */
    struct cas_entry *entries; /* of the piece being made */
};

static void split_release(struct split *s)
{
    cas_tree_free(s->tree);
    free(s->piece_of);
    free(s->is_in);
    free(s->was_in);
    free(s->entries);
    *s = (struct split){0};
}

/* Directories cost hardly anything and begin no piece: it would have nothing else. */
static void deal(struct split *s)
{
    uint64_t used = 0;
    size_t piece = 0;

    for (size_t i = 0; i < s->count; i++) {
        struct cas_entry e;

        cas_index_at(s->index, i, &e);
        const uint64_t cost =
            TAR_BLOCK + (e.type == CAS_ENTRY_FILE ? tar_padded_size(e.size) : 0);
        if (e.type != CAS_ENTRY_DIR && e.type != CAS_ENTRY_HARDLINK && used > 0 &&
            used + cost > s->size) {
            piece++;
            used = 0;
        }
        s->piece_of[i] = piece;
        used += e.type == CAS_ENTRY_DIR ? 0 : cost;
    }
    s->pieces = piece + 1;
}

/* A name goes where its file is; one of a file in the layers below stays where it is. */
static void join_links(struct split *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct cas_entry e;
        size_t at;

        cas_index_at(s->index, i, &e);
        if (e.type == CAS_ENTRY_HARDLINK && cas_index_find(s->index, e.target, &at))
            s->piece_of[i] = s->piece_of[at];
    }
}

static void mark_with_parents(struct split *s, size_t i)
{
    struct cas_entry e;

    cas_index_at(s->index, i, &e);
    s->is_in[i] = true;
    for (struct view path = e.path; path.size > 0;) {
        size_t at;

        path = path_dir(path);
        if (path.size == 0 || !cas_index_find(s->index, path, &at) || s->is_in[at])
            return;
        s->is_in[at] = true;
    }
}

/* The entries of a piece in their order; returns how many. */
static size_t collect(struct split *s, size_t piece)
{
    size_t count = 0;

    for (size_t i = 0; i < s->count; i++)
        s->is_in[i] = false;
    for (size_t i = 0; i < s->count; i++)
        if (s->piece_of[i] == piece)
            mark_with_parents(s, i);
    for (size_t i = 0; i < s->count; i++) {
        if (!s->is_in[i])
            continue;
        cas_index_at(s->index, i, &s->entries[count]);
        if (s->was_in[i])
            s->entries[count].opaque = false;
        s->was_in[i] = true;
        count++;
    }
    return count;
}

static int content(void *context, size_t i, struct cas_content *out, struct error *err)
{
    const struct split *s = context;
    const struct cas_tree_entry e = {.entry = s->entries[i], .layer = 0};

    *out = (struct cas_content){.fd = cas_tree_open(s->tree, &e, err)};
    return out->fd < 0 ? -1 : 0;
}

static int write_pieces(struct split *s,
                        struct cas_store *store,
                        const struct cas_layer_options *options,
                        struct cas_layer **out,
                        size_t *count,
                        struct error *err)
{
    for (*count = 0; *count < s->pieces; (*count)++) {
        const size_t entries = collect(s, *count);

        out[*count] = cas_layer_write(store, s->entries, entries, content, s, options, err);
        if (!out[*count])
            return -1;
    }
    return 0;
}

static int split(struct cas_store *store,
                 struct cas_layer *layer,
                 struct split *s,
                 const struct cas_layer_options *options,
                 struct cas_layer ***out,
                 size_t *count,
                 struct error *err)
{
    s->count = cas_index_count(s->index);
    s->piece_of = base_alloc_array(s->count + 1, sizeof *s->piece_of);
    s->is_in = base_alloc_array(s->count + 1, sizeof *s->is_in);
    s->was_in = base_alloc_array(s->count + 1, sizeof *s->was_in);
    s->entries = base_alloc_array(s->count + 1, sizeof *s->entries);
    deal(s);
    join_links(s);
    *out = base_alloc_array(s->pieces, sizeof(struct cas_layer *));
    if (s->pieces == 1) {
        (*out)[(*count)++] = cas_layer_ref(layer);
        return 0;
    }
    s->tree = cas_tree_new(&layer, 1);
    if (write_pieces(s, store, options, *out, count, err) == 0)
        return 0;
    while (*count > 0)
        cas_layer_unref((*out)[--*count]);
    free(*out);
    *out = NULL;
    return -1;
}

int build_split(struct cas_store *store,
                struct cas_layer *layer,
                uint64_t size,
                const struct cas_layer_options *options,
                struct cas_layer ***out,
                size_t *count,
                struct error *err)
{
    CLEANUP(split_release)
    struct split s = {.index = cas_layer_index(layer, err), .size = size};

    *out = NULL;
    *count = 0;
    return s.index ? split(store, layer, &s, options, out, count, err) : -1;
}
