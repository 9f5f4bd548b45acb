#include "cas/layer.h"

#include "base/alloc.h"
#include "cas/blob.h"
#include "cas/codec_write.h"
#include "cas/index_priv.h"
#include "cas/layer_feed.h"
#include "cas/layer_fill.h"
#include "cas/layer_pipe.h"
#include "cas/layer_plan.h"
#include "cas/layer_priv.h"
#include "cas/layer_recompress.h"
#include "cas/record.h"
#include "cas/tar_write.h"
#include "cas/unpacker.h"

#include <assert.h>
#include <stdlib.h>

/* SHA-256 of nothing. */
static const struct digest empty_content = {
    .alg = DIGEST_SHA256,
    .bytes = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
              0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
              0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55},
};

/* What one call works with. */
struct writing {
    struct cas_store *store;
    struct cas_entry *entries;
    size_t count;
    const struct cas_layer_options *options;
    struct layer_plan plan;
    struct layer_fill *fill;
    struct cas_unpacker *unpacker; /* NULL: nothing is unpacked */
    struct layer_pipe_result done;
    struct digest blob;
    uint64_t blob_size;
};

static void writing_release(struct writing *w)
{
    layer_fill_free(w->fill);
    cas_unpacker_free(w->unpacker);
    layer_plan_release(&w->plan);
    free(w->done.points);
    *w = (struct writing){0};
}

/* Bytes through the pipeline into a blob that is then visible. */
static int write_blob(struct writing *w, struct error *err)
{
    struct cas_blob_writer *blob = cas_blob_writer_new(w->store, DIGEST_SHA256, err);
    const struct layer_feed feed = {.plan = &w->plan, .unpacker = w->unpacker};

    if (!blob)
        return -1;
    if (layer_pipe_run(&w->plan, w->fill, blob, w->unpacker ? &feed : NULL, w->options,
                       &w->done, err) < 0) {
        cas_blob_writer_abort(blob);
        return -1;
    }
    if (cas_blob_writer_commit(blob, NULL, UINT64_MAX, &w->blob, &w->blob_size, err) < 0)
        return -1;
    if (!digest_is_set(&w->done.diff_id))
        w->done.diff_id = w->blob;
    return 0;
}

/* The index says what the tar says, so that it is the same when it is made from the blob.
 */
static int write_index(const struct writing *w, struct error *err)
{
    CLEANUP(base_freep) uint64_t *offsets = base_alloc_array(w->count, sizeof *offsets);
    CLEANUP(base_freep) struct view *inlines = base_alloc_array(w->count, sizeof *inlines);

    for (size_t i = 0; i < w->count; i++) {
        struct cas_entry written = tar_entry_written(&w->entries[i], w->plan.epoch);

        if (written.type == CAS_ENTRY_FILE)
            written.content = w->entries[i].content;
        w->entries[i] = written; /* in place: of 100,000 a copy is 20 MB */
        offsets[i] = layer_plan_content(&w->plan, i);
        inlines[i] = layer_fill_inline(w->fill, i);
    }
    return index_publish(w->store,
                         &(struct index_source){
                             .entries = w->entries,
                             .count = w->count,
                             .offsets = offsets,
                             .inlines = inlines,
                             .diff_id = &w->done.diff_id,
                             .tar_size = w->plan.tar_size,
                             .restarts = {w->blob, CODEC_BLOCK_SIZE, w->plan.block_count},
                             .points = w->done.points,
                         },
                         err);
}

/* A layer that needs something of those below is unpacked when they are known: by
 * cas_layer_unpacked. */
static int begin_unpacking(struct writing *w, struct error *err)
{
    if (!w->options->unpack || !index_self_contained(w->entries, w->count))
        return 0;
    w->unpacker = cas_unpacker_new(w->store, err);
    return w->unpacker ? 0 : -1;
}

static int end_unpacking(const struct writing *w, struct error *err)
{
    if (!w->unpacker)
        return 0;
    if (cas_unpacker_finish(w->unpacker, NULL, err) < 0)
        return -1;
    /* The chainID does not matter to what is self-contained. */
    return cas_unpacker_publish(w->unpacker, &w->done.diff_id, &w->done.diff_id, err);
}

static struct cas_layer *publish(struct writing *w, struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor blob = {0};
    const struct codec_maker maker =
        codec_maker(w->options->compression, w->options->level);

    descriptor_init(&blob, cas_layer_media_type(w->options->compression), &w->blob,
                    w->blob_size);
    if (write_index(w, err) < 0 || end_unpacking(w, err) < 0 ||
        cas_layer_record_put(w->store, &w->done.diff_id, &blob, maker.text, err) < 0)
        return NULL;
    return cas_layer_new_ready(w->store, &w->done.diff_id, &blob, NULL);
}

static void know_empty_files(struct cas_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (entries[i].type == CAS_ENTRY_FILE && entries[i].size == 0)
            entries[i].content = empty_content;
    }
}

struct cas_layer *cas_layer_write(struct cas_store *s,
                                  struct cas_entry *entries,
                                  size_t count,
                                  cas_content_fn *content,
                                  void *context,
                                  const struct cas_layer_options *options,
                                  struct error *err)
{
    CLEANUP(writing_release)
    struct writing w = {.store = s, .entries = entries, .count = count, .options = options};

    if (codec_check_level(options->compression, options->level, err) < 0 ||
        layer_plan_init(&w.plan, entries, count, options->epoch, CODEC_BLOCK_SIZE, err) < 0)
        return NULL;
    know_empty_files(entries, count);
    w.fill = layer_fill_new(&w.plan, entries, content, context);
    if (begin_unpacking(&w, err) < 0)
        return NULL;
    return write_blob(&w, err) < 0 ? NULL : publish(&w, err);
}
