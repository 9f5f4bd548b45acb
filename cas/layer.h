/*
 * A layer as the running process knows it: a shared handle to its blob, diffID, index and,
 * when needed, its unpacked directory. Any of them may still be in the making: the
 * functions that need one wait for it. Handles are reference counted and thread-safe.
 *
 * Spec: OCI image-spec layer.md, config.md "Layer DiffID".
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/pool.h"
#include "cas/descriptor.h"
#include "cas/digest.h"
#include "cas/entry.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stdint.h>

struct cas_arrival;
struct cas_layer;
struct cas_index;

/* Brings a layer's blob into the store, verified. What goes through a writer is shown to
 * `arrival` (see arrival.h; NULL: nobody follows), so that it can be read meanwhile. */
typedef int cas_layer_fetch_fn(void *context,
                               const struct descriptor *blob,
                               struct cas_arrival *arrival,
                               struct error *err);

/*
 * A layer whose blob is known by descriptor, and may not be in the store yet: `fetch` (may
 * be NULL) is called, once and when the bytes are first needed, to bring it there.
 * `context` is borrowed until the last handle is gone. `diff_id` comes from the image
 * config.
 */
struct cas_layer *cas_layer_new(struct cas_store *s,
                                const struct digest *diff_id,
                                const struct descriptor *blob,
                                cas_layer_fetch_fn *fetch,
                                void *context);
struct cas_layer *cas_layer_ref(struct cas_layer *l);
void cas_layer_unref(struct cas_layer *l); /* NULL is fine */
void cas_layer_unrefp(struct cas_layer **l);

/* Waits until a layer that is being written has its diffID and a published blob with its
 * layer record. The error of the writing is reported to everyone who waits. */
MUST_CHECK int cas_layer_wait(struct cas_layer *l, struct error *err);
/* Asks a layer that is still being written to end soon; those who wait for it then get
 * ERROR_CANCELLED. Does nothing to a finished one. Any thread. */
void cas_layer_cancel(struct cas_layer *l);
/* After cas_layer_wait (or for layers made with cas_layer_new) these are known; borrowed.
 */
const struct digest *cas_layer_diff_id(const struct cas_layer *l);
const struct descriptor *cas_layer_blob(const struct cas_layer *l);
/* Has the store the blob already? Waits for a layer that is being written. */
MUST_CHECK int cas_layer_is_here(struct cas_layer *l, bool *here, struct error *err);
/* Makes sure that the blob is in the store (fetching it), verified. */
MUST_CHECK int cas_layer_require_blob(struct cas_layer *l, struct error *err);
/* The layer's index, made from the blob if it does not exist yet; borrowed from the layer.
 */
MUST_CHECK const struct cas_index *cas_layer_index(struct cas_layer *l, struct error *err);
/* A digest of what the layer changes, times left out: the content key of builder/key. */
MUST_CHECK int cas_layer_content_key(struct cas_layer *l,
                                     struct digest *out,
                                     struct error *err);

enum cas_compression {
    CAS_COMPRESSION_GZIP = 0,
    CAS_COMPRESSION_ZSTD,
    CAS_COMPRESSION_NONE
};

/* Where the bytes of a file come from: a descriptor to read from its start (consumed),
 * memory that lives as long as the call (then fd is -1), or a function that gives exactly
 * the bytes asked for (then fd is -1 as well). */
struct cas_content {
    int fd;
    struct view memory;
    int (*read)(void *context, uint64_t from, char *out, size_t size, struct error *err);
    void *read_context;
};

struct cas_blob_writer;

/* Is told of a layer's blob while it is written, each time it has grown: in order, one
 * thread at a time, and never after the layer is done. Must not block. */
struct cas_layer_tap {
    void (*grown)(void *context, const struct cas_blob_writer *blob);
    void *context;
};

struct cas_layer_options {
    enum cas_compression compression;
    int level;          /* 0: the default of the compression */
    int64_t epoch;      /* SOURCE_DATE_EPOCH: later times become this; < 0: none */
    struct pool *pool;  /* for reading ahead and compressing; borrowed */
    bool unpack;        /* also make the unpacked directory from the same read */
    bool in_order;      /* content is asked for from the first byte to the last, by one
                           thread at a time: where it comes from cannot go back */
    const bool *cancel; /* looked at between blocks; NULL: never */
    const struct cas_layer_tap *tap; /* or NULL; borrowed until the layer is done */
};

/* Gives the content of entries[i], a file with size > 0; called from several threads. */
typedef int cas_content_fn(void *context,
                           size_t i,
                           struct cas_content *out,
                           struct error *err);

/*
 * Writes a layer: `entries` sorted by cas_entry_path_compare without duplicates, holding
 * all parent directories of each entry (the caller knows their attributes), a hard link
 * after the file it names. One pass: tar, diffID, compression in blocks on the pool, blob
 * digest, file; the index with each file's SHA-256 (taken from entry->content where it is
 * known) beside it. Same entries and options: same bytes, whatever the pool. A file whose
 * size differs from its entry when it is read is ERROR_FAILED: "changed while it was read".
 *
 * On return the blob is published and the layer record written. Entries are borrowed for
 * the call; on success they are as the tar has them (whole seconds, no later than the
 * epoch), with the digests of files found on the way in entries[i].content.
 */
MUST_CHECK struct cas_layer *cas_layer_write(struct cas_store *s,
                                             struct cas_entry *entries,
                                             size_t count,
                                             cas_content_fn *content,
                                             void *context,
                                             const struct cas_layer_options *options,
                                             struct error *err);
