/*
 * The parts of the check, for cas/fsck*.c: blobs and indexes (fsck_files.c), meta.db and
 * index.json (fsck_meta.c), unpacked layers (fsck_layers.c), names (fsck_names.c).
 */
#pragma once

#include "cas/digest_set.h"
#include "cas/fsck.h"

#include <pthread.h>
#include <stdatomic.h>

struct fsck {
    struct cas_store *store;
    const struct cas_fsck_options *options;
    struct cas_fsck_report *report;
    pthread_mutex_t lock; /* guards the report, `bad` and `failure` */
    size_t capacity;
    struct digest_set bad; /* blobs that are damaged */
    struct error failure;  /* the first of a parallel part */
    atomic_bool stopped;
};

/* A thing that was looked at. Any thread. */
void fsck_count(struct fsck *f, enum cas_fsck_kind kind, uint64_t bytes);
/* Reports; `what` is copied, `why` consumed, `advice` borrowed (a literal, or NULL). */
void fsck_report(struct fsck *f,
                 enum cas_fsck_kind kind,
                 const char *what,
                 char *why,
                 const char *advice,
                 bool repaired);
/* As that, of what does no harm. */
void fsck_note(struct fsck *f, enum cas_fsck_kind kind, const char *what, char *why);
bool fsck_is_stopped(struct fsck *f);

/* Names in a directory of the store, hidden ones left out; sorted. Absent: none. */
struct fsck_names {
    char **items;
    size_t count;
    size_t capacity;
};
MUST_CHECK int fsck_names_read(struct fsck *f,
                               const char *dir,
                               struct fsck_names *out,
                               struct error *err);
void fsck_names_release(struct fsck_names *n);

/* Calls check(f, context, i) for 0 .. count-1 on all processors. A check that fails ends
 * the whole. */
typedef int fsck_check_fn(struct fsck *f, const void *context, size_t i, struct error *err);
MUST_CHECK int fsck_each(struct fsck *f,
                         size_t count,
                         fsck_check_fn *check,
                         const void *context,
                         struct error *err);

MUST_CHECK int fsck_database(struct fsck *f, struct error *err);
MUST_CHECK int fsck_blobs(struct fsck *f, struct error *err);
MUST_CHECK int fsck_indexes(struct fsck *f, struct error *err);
MUST_CHECK int fsck_records(struct fsck *f, struct error *err);
MUST_CHECK int fsck_refs(struct fsck *f, struct error *err);
MUST_CHECK int fsck_layers(struct fsck *f, struct error *err);
MUST_CHECK int fsck_unknown(struct fsck *f, struct error *err);

/* fsck_compare.c: does the tree hold what the index says? *why is NULL if so, else one
 * line, malloc'ed. `owners`: those on disk are the layer's; `devices`: all of them are
 * there. */
struct cas_index;
struct fsck_compare {
    const struct cas_index *index;
    int fs_fd;
    bool owners;
    bool devices;
    bool content; /* of files, too */
    const char *opaque_xattr;
};
MUST_CHECK int fsck_compare_tree(const struct fsck_compare *c,
                                 char **why,
                                 struct error *err);
