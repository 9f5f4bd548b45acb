/*
 * The two ends of a copy, as the walk in between sees them: whatever the place is, it can
 * be read from, or written to, through one of these tables.
 */
#pragma once

#include "registry/copy.h"
#include "registry/referrers.h"

#include <pthread.h>

enum copy_outcome { COPY_PRESENT, COPY_MOVED, COPY_MOUNTED };

/* `blob`, `open` are called from several threads at once. */
struct copy_source {
    void *self;
    const struct registry_reference *repository; /* of a registry's; else NULL */
    /* What the location names. */
    int (*resolve)(void *self, struct descriptor *out, struct error *err);
    /* A manifest's bytes, verified. */
    int (*manifest)(void *self,
                    const struct descriptor *d,
                    struct buf *out,
                    struct error *err);
    /* As registry_blob_get. */
    int (*blob)(void *self,
                const struct descriptor *d,
                const struct registry_blob_sink *sink,
                const struct registry_progress *progress,
                struct error *err);
    /* The blob as a file of the right size, whose content nobody looked at; NULL where
     * there are no files. */
    int (*open)(void *self, const struct descriptor *d, struct error *err);
    int (*referrers)(void *self,
                     const struct digest *subject,
                     struct registry_referrers *out,
                     struct error *err);
    void (*close)(void *self);
};

/* `has` and `blob` are called from several threads at once. */
struct copy_target {
    void *self;
    /* Has it the manifest, and with it all that it names? NULL: never known. */
    int (*has_tree)(void *self, const struct descriptor *d, bool *found, struct error *err);
    /* Is there nothing to do: it has `root`, under the name it is to have? NULL: never. */
    int (*is_done)(void *self,
                   const struct descriptor *root,
                   bool *done,
                   struct error *err);
    int (*blob)(void *self,
                const struct copy_source *from,
                const struct descriptor *d,
                const struct registry_progress *progress,
                enum copy_outcome *outcome,
                struct error *err);
    /* After all that it names; the root gets the name. */
    int (*manifest)(void *self,
                    const struct descriptor *d,
                    struct view bytes,
                    const struct doc *doc,
                    bool is_root,
                    struct error *err);
    /* Makes it visible, where it is not yet. NULL: nothing to do. */
    int (*finish)(void *self, const struct descriptor *root, struct error *err);
    void (*close)(void *self);
};

/* The source of this kind; `store` for those in a store only. */
MUST_CHECK int copy_source_open(struct registry_client *c,
                                struct cas_store *store,
                                const struct registry_location *l,
                                struct copy_source *out,
                                struct error *err);
/* Sources and targets: 0, or -1 with nothing to close. The location is borrowed. */
MUST_CHECK int copy_registry_source(struct registry_client *c,
                                    const struct registry_location *l,
                                    struct copy_source *out,
                                    struct error *err);
MUST_CHECK int copy_registry_target(struct registry_client *c,
                                    const struct registry_location *l,
                                    struct copy_target *out,
                                    struct error *err);
MUST_CHECK int copy_layout_source(const struct registry_location *l,
                                  struct copy_source *out,
                                  struct error *err);
MUST_CHECK int copy_layout_target(const struct registry_location *l,
                                  struct copy_target *out,
                                  struct error *err);
MUST_CHECK int copy_store_source(struct cas_store *store,
                                 const struct registry_location *l,
                                 struct copy_source *out,
                                 struct error *err);
MUST_CHECK int copy_store_target(struct cas_store *store,
                                 const struct registry_location *l,
                                 struct copy_target *out,
                                 struct error *err);
MUST_CHECK int copy_archive_source(const struct registry_location *l,
                                   struct copy_source *out,
                                   struct error *err);
MUST_CHECK int copy_archive_target(const struct registry_location *l,
                                   struct copy_target *out,
                                   struct error *err);

/* The bytes of a file into a sink, verified (by the sink or here). */
MUST_CHECK int copy_fd_to_sink(int fd,
                               const struct descriptor *d,
                               const struct registry_blob_sink *sink,
                               const struct registry_progress *progress,
                               struct error *err);

/* What the store says of manifests among `roots` whose subject is `subject`. */
MUST_CHECK int copy_store_referrers(struct cas_store *store,
                                    const struct descriptor *roots,
                                    size_t count,
                                    const struct digest *subject,
                                    struct registry_referrers *out,
                                    struct error *err);
/* For tables of both kinds that end in a store. */
MUST_CHECK int copy_store_blob_out(struct cas_store *store,
                                   const struct descriptor *d,
                                   const struct registry_blob_sink *sink,
                                   const struct registry_progress *progress,
                                   struct error *err);
MUST_CHECK int copy_store_blob_in(struct cas_store *store,
                                  const struct copy_source *from,
                                  const struct descriptor *d,
                                  const struct registry_progress *progress,
                                  enum copy_outcome *outcome,
                                  struct error *err);

/*
 * A blob that is read from a source while it is sent elsewhere: what has come lies in an
 * unnamed file, so that the sending can begin anew. It comes only when the first byte is
 * asked for, and its last byte is given out only when all were found to be right.
 */
struct copy_spool;
struct copy_spool *copy_spool_new(const struct copy_source *from,
                                  const struct descriptor *d,
                                  const struct registry_progress *progress);
/* As the read_at of a body; `context` is the spool. */
ptrdiff_t copy_spool_read(void *context, uint64_t offset, void *out, size_t size);
/* Ends the reading and frees. If that had failed, `err`, which is set or not, becomes the
 * reason, and the result is -1; else 0. */
int copy_spool_free(struct copy_spool *s, struct error *err);
