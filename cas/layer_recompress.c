#include "cas/layer_recompress.h"

#include "base/alloc.h"
#include "cas/blob.h"
#include "cas/codec_write.h"
#include "cas/layer_priv.h"
#include "cas/layer_stream.h"
#include "cas/record.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * Two batches of blocks take turns: one is compressed on the pool while the other is
 * filled.
 *
 *     fill A | fill B      | write A, fill A | write B, fill B | ...
 *            | compress A  | compress B      | compress A      |
 */
enum { BLOCKS_A_THREAD = 2 };

struct block {
    struct batch *batch;
    struct codec_encoder *encoder; /* NULL where the content is what is written */
    char *in;
    size_t in_size;
    char *out;
    size_t out_size;
    uint32_t crc;
};

struct batch {
    struct block *blocks;
    size_t count; /* blocks that have content */
    pthread_mutex_t lock;
    pthread_cond_t calm;
    size_t running; /* guarded by lock */
};

struct recompress {
    const struct cas_layer_options *options;
    struct layer_stream *in;
    struct cas_blob_writer *out;
    struct view piece; /* what was read and fits into no block yet */
    bool is_end;
    size_t width; /* blocks in a batch */
    struct batch batches[2];
    struct codec_sum sum;
};

/* --- Batches --- */

static int batch_init(struct batch *b, const struct recompress *r, struct error *err)
{
    const struct cas_layer_options *o = r->options;

    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->calm, NULL);
    b->blocks = base_alloc_array(r->width, sizeof *b->blocks);
    for (size_t i = 0; i < r->width; i++) {
        struct block *k = &b->blocks[i];

        k->batch = b;
        k->in = base_alloc(CODEC_BLOCK_SIZE);
        if (o->compression == CAS_COMPRESSION_NONE)
            continue;
        k->out = base_alloc(CODEC_BLOCK_ROOM(CODEC_BLOCK_SIZE));
        k->encoder = codec_encoder_new(o->compression, o->level, err);
        if (!k->encoder)
            return -1;
    }
    return 0;
}

static void batch_wait(struct batch *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->running > 0)
        pthread_cond_wait(&b->calm, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

static void batch_release(struct batch *b, size_t width)
{
    if (!b->blocks)
        return;
    batch_wait(b);
    for (size_t i = 0; i < width; i++) {
        codec_encoder_free(b->blocks[i].encoder);
        free(b->blocks[i].in);
        free(b->blocks[i].out);
    }
    free(b->blocks);
    pthread_cond_destroy(&b->calm);
    pthread_mutex_destroy(&b->lock);
}

/* A block to the brim, unless the end comes first. */
static int fill_block(struct recompress *r, struct block *k, struct error *err)
{
    k->in_size = 0;
    while (!r->is_end && k->in_size < CODEC_BLOCK_SIZE) {
        if (r->piece.size == 0) {
            if (layer_stream_next(r->in, &r->piece, err) < 0)
                return -1;
            r->is_end = r->piece.size == 0;
            continue;
        }
        const size_t room = CODEC_BLOCK_SIZE - k->in_size;
        const size_t size = r->piece.size < room ? r->piece.size : room;

        memcpy(k->in + k->in_size, r->piece.data, size);
        k->in_size += size;
        r->piece = view_sub(r->piece, size, r->piece.size - size);
    }
    return 0;
}

static int fill_batch(struct recompress *r, struct batch *b, struct error *err)
{
    for (b->count = 0; b->count < r->width && !r->is_end; b->count++) {
        if (r->options->cancel && __atomic_load_n(r->options->cancel, __ATOMIC_RELAXED))
            return error_set(err, ERROR_CANCELLED, "interrupted");
        if (fill_block(r, &b->blocks[b->count], err) < 0)
            return -1;
        if (b->blocks[b->count].in_size == 0)
            break;
    }
    return 0;
}

static void compress_block(void *arg)
{
    struct block *k = arg;
    struct batch *b = k->batch;

    k->out_size =
        codec_encode(k->encoder, (struct view){k->in, k->in_size}, k->out, &k->crc);
    pthread_mutex_lock(&b->lock);
    if (--b->running == 0)
        pthread_cond_broadcast(&b->calm);
    pthread_mutex_unlock(&b->lock);
}

static void compress_batch(const struct recompress *r, struct batch *b)
{
    if (r->options->compression == CAS_COMPRESSION_NONE)
        return;
    b->running = b->count;
    for (size_t i = 0; i < b->count; i++)
        pool_submit(r->options->pool, compress_block, &b->blocks[i]);
}

static int write_batch(struct recompress *r, struct batch *b, struct error *err)
{
    batch_wait(b);
    for (size_t i = 0; i < b->count; i++) {
        const struct block *k = &b->blocks[i];
        const bool is_plain = !k->encoder;

        codec_sum_add(&r->sum, k->crc, k->in_size);
        if (cas_blob_writer_write(r->out, is_plain ? k->in : k->out,
                                  is_plain ? k->in_size : k->out_size, err) < 0)
            return -1;
    }
    b->count = 0;
    return 0;
}

/* --- The whole --- */

static int write_edge(const struct recompress *r, bool is_head, struct error *err)
{
    char edge[CODEC_EDGE_MAX];
    const enum cas_compression c = r->options->compression;

    if (c == CAS_COMPRESSION_NONE)
        return 0;
    return cas_blob_writer_write(
        r->out, edge, is_head ? codec_head(c, edge) : codec_tail(c, &r->sum, edge), err);
}

static int run(struct recompress *r, struct error *err)
{
    if (batch_init(&r->batches[0], r, err) < 0 || batch_init(&r->batches[1], r, err) < 0 ||
        write_edge(r, true, err) < 0)
        return -1;
    for (size_t turn = 0; !r->is_end || r->batches[turn % 2].count > 0; turn++) {
        struct batch *b = &r->batches[turn % 2];

        if (write_batch(r, b, err) < 0 || fill_batch(r, b, err) < 0)
            return -1;
        compress_batch(r, b);
        /* The end came: what the other batch holds is older. */
        if (r->is_end && (write_batch(r, &r->batches[(turn + 1) % 2], err) < 0 ||
                          write_batch(r, b, err) < 0))
            return -1;
    }
    return write_edge(r, false, err);
}

static int check_tar(const struct recompress *r,
                     const struct digest *diff_id,
                     struct error *err)
{
    struct digest got;
    uint64_t size;

    layer_stream_digest(r->in, &got, &size);
    if (digest_eq(&got, diff_id))
        return 0;
    return error_set(err, ERROR_CORRUPT, "the layer unpacks to %s, not to %s",
                     digest_format(&got).text, digest_format(diff_id).text);
}

static struct cas_layer *publish(struct cas_store *s,
                                 struct cas_blob_writer *out,
                                 const struct digest *diff_id,
                                 const struct cas_layer_options *options,
                                 struct error *err)
{
    const struct codec_maker maker = codec_maker(options->compression, options->level);
    CLEANUP(descriptor_release) struct descriptor blob = {0};
    struct digest digest;
    uint64_t size;

    if (cas_blob_writer_commit(out, NULL, UINT64_MAX, &digest, &size, err) < 0)
        return NULL;
    descriptor_init(&blob, cas_layer_media_type(options->compression), &digest, size);
    if (cas_layer_record_put(s, diff_id, &blob, maker.text, err) < 0)
        return NULL;
    return cas_layer_new_ready(s, diff_id, &blob, NULL);
}

static struct cas_layer *recompress(struct cas_layer *source,
                                    const struct cas_layer_options *options,
                                    struct error *err)
{
    struct cas_store *s = cas_layer_store(source);
    const struct digest *diff_id = cas_layer_diff_id(source);
    CLEANUP(layer_stream_closep)
    struct layer_stream *in =
        layer_stream_open(s, cas_layer_blob(source), diff_id->alg, err);
    CLEANUP(cas_blob_writer_abortp) struct cas_blob_writer *out = NULL;
    struct recompress r = {.options = options,
                           .in = in,
                           .width = pool_threads(options->pool) * BLOCKS_A_THREAD};

    if (!in || !(out = cas_blob_writer_new(s, DIGEST_SHA256, err)))
        return NULL;
    r.out = out;
    const int status = run(&r, err);
    batch_release(&r.batches[0], r.width);
    batch_release(&r.batches[1], r.width);
    if (status < 0 || check_tar(&r, diff_id, err) < 0)
        return NULL;
    out = NULL;
    return publish(s, r.out, diff_id, options, err);
}

struct cas_layer *cas_layer_recompress(struct cas_layer *source,
                                       const struct cas_layer_options *options,
                                       struct error *err)
{
    struct cas_layer *made = NULL;

    if (codec_check_level(options->compression, options->level, err) == 0 &&
        cas_layer_require_blob(source, err) == 0)
        made = recompress(source, options, err);
    if (!made)
        (void)error_wrap(err, "compress layer %s anew",
                         digest_format(cas_layer_diff_id(source)).text);
    return made;
}

const char *cas_layer_media_type(enum cas_compression compression)
{
    switch (compression) {
    case CAS_COMPRESSION_GZIP:
        return MEDIA_OCI_LAYER_GZIP;
    case CAS_COMPRESSION_ZSTD:
        return MEDIA_OCI_LAYER_ZSTD;
    case CAS_COMPRESSION_NONE:
        return MEDIA_OCI_LAYER;
    }
    return MEDIA_OCI_LAYER;
}
