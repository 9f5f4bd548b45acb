/*
 * The solver's own structures. For builder/solve*.c and builder/step_*.c only.
 */
#pragma once

#include "base/pool.h"
#include "builder/cache/cache.h"
#include "builder/cache/record.h"
#include "builder/key.h"
#include "builder/solve.h"
#include "builder/source_tree.h"
#include "cas/claim.h"

#include <pthread.h>
#include <stdbool.h>

struct step_shared;
struct build_mask;
struct cas_snapshot;
struct solve_last;

enum solve_phase {
    SOLVE_WAITING, /* for its inputs */
    SOLVE_RUNNING, /* a worker has it */
    SOLVE_DONE,
};

/* A layer that a record names, and what has to be done to it. */
struct solve_hit {
    struct build_record record;
    struct build_record_layer layer;
    struct descriptor blob;
    struct build_cache_layer *from; /* the cache that has the blob; NULL: the store */
    bool rewrite;                   /* another compression or epoch than the build's */
};
void solve_hit_free(struct solve_hit *hit); /* NULL is fine */

/* A node while it is solved. A worker that has it owns everything but `phase`, `missing`
 * and `is_needed`, which are the scheduler's. */
struct solve_node {
    const struct build_node *node;
    struct solver *solver;
    struct solve_node *twin; /* an earlier node that is the same: this one is not used */
    enum solve_phase phase;
    bool is_needed;
    bool needs_files; /* a step will see its files: they are unpacked while they are written
                       */
    size_t missing;   /* inputs that are not done */
    size_t depth;     /* layers of the result, before anything is known of them */

    struct digest operation;
    struct digest definition; /* alg NONE: not known before the step has run */
    struct digest recorded;   /* the recorder's: the definition where only it knows it */
    struct digest chain;      /* of what its stack will consist; alg NONE: not known */
    struct digest selection;  /* COPY: content of what it takes; alg NONE: not known */
    bool has_records;         /* some record of this operation exists */
    bool is_hit;
    bool hit_late; /* found only when its inputs were done: its definition is recorded anew
                    */
    struct solve_hit *hit;      /* of a hit */
    bool is_foreign;            /* another cache says so */
    struct build_record record; /* what came of it, if that is known: outcome is set */
    bool is_followed;           /* some node needs this one's definition */
    struct cas_claim *claim;    /* while it runs and until it is recorded; or NULL */

    const struct solve_node *cause; /* it misses because this one did; or NULL */
    struct cas_layer **layers;      /* the result: base's layers and perhaps one more */
    int64_t *created;               /* of each layer; -1: the base image's */
    struct digest *contents; /* of each layer without times; alg NONE: ask its index */
    size_t count;
    uint32_t step;
    struct error error;
};

struct solver {
    const struct build_environment *env;
    const struct build_request *request;
    const struct build_plans *plans;
    struct step_shared *shared; /* what the RUN steps share */
    struct build_variant variant;
    struct solve_node *nodes; /* as the graph's */
    size_t count;
    struct pool *workers;    /* run nodes */
    struct pool *cpus;       /* read ahead and compress */
    struct queue *finished;  /* nodes that come back from workers */
    struct queue *to_record; /* nodes whose layers are still being written */
    pthread_t recorder;
    bool has_recorder;
    struct error record_error; /* the recorder's; read after it has ended */
    struct solve_last *last;   /* what is known of the last build, when a step misses */
    struct build_mask *mask;   /* the secrets' values, once a step has run */
    struct solve_node *failed; /* the first step that failed and can be looked at */
    struct cas_snapshot *failed_root; /* of a RUN: its files; NULL: those below the step */
    char *failed_why;
    pthread_mutex_t lock; /* guards next_step, mask, failed */
    uint32_t next_step;
    bool stop;   /* a node failed: end the others; atomic */
    bool is_dry; /* nothing is run and nothing fetched: build_solve_explain */
};

/* solve_begin.c */
/* Nodes with their keys as far as they can be known, and the hits among them. */
int solve_begin(struct solver *s, struct error *err);
void solve_mark_needed(struct solver *s);

/* solve_twin.c */
struct solve_twins;
struct solve_twins *solve_twins_new(size_t count);
void solve_twins_free(struct solve_twins *t); /* NULL is fine */
/* The earlier node that is the same as this one, or NULL. Its operation (of a source its
 * definition) is known, and its inputs have been through here. */
struct solve_node *solve_twins_add(struct solve_twins *t, struct solve_node *n);

/* solve_claim.c */
/* Makes sure that no other build runs the same step meanwhile; afterwards it may be a hit.
 */
int solve_claim(struct solve_node *n, struct error *err);
void solve_unclaim(struct solve_node *n);

/* solve_report.c */
/* Fills in what is known of each step. */
void solve_report(struct solver *s,
                  const struct build_plan *plan,
                  struct build_solution *out);

/* solve_node.c */
/* Did the user interrupt the build? */
bool solve_is_interrupted(const struct solver *s);
/* Is the build to end, also because another step failed? */
bool solve_is_cancelled(const struct solver *s);
/* The one that stands for it, if it has a twin. */
struct solve_node *solve_of(struct solver *s, const struct build_node *n);
struct cas_layer_options solve_layer_options(const struct solve_node *n);
void solve_event(struct solve_node *n, enum event_type type, const char *text);
/* Sets the node's result: the base's layers, and `layer` (consumed) on top unless NULL. */
void solve_set_result(struct solve_node *n, struct cas_layer *layer, int64_t created);
/* Tells of the layers of a node that is done, if the result consists of them. */
void solve_tell_watch(const struct solve_node *n);
int64_t solve_now_ns(void);

/* solve_keys.c */
typedef int solve_key_fn(const struct solve_node *n, struct digest *out, struct error *err);
/* Keys of an input: alg NONE where they are not known (yet). */
int solve_definition_of(const struct solve_node *n, struct digest *out, struct error *err);
/* For the recorder alone. */
int solve_recorded_definition_of(const struct solve_node *n,
                                 struct digest *out,
                                 struct error *err);
int solve_planned_chain(const struct solve_node *n, struct digest *out, struct error *err);
/* When the node is done. */
int solve_stack_chain(const struct solve_node *n, struct digest *out, struct error *err);
void solve_chain_init(struct digest *chain);
void solve_chain_add(struct digest *chain, const struct digest *layer);
/* *out stays as it is if some input's key is not known. */
int solve_make_definition(struct solve_node *n,
                          solve_key_fn *key_of,
                          struct digest *out,
                          struct error *err);
/* *out stays as it is if of some input it is not known of what it consists. */
int solve_make_inputs(struct solve_node *n,
                      solve_key_fn *chain_of,
                      struct digest *out,
                      struct error *err);
/* When the inputs are done. */
int solve_content_key(struct solve_node *n, struct digest *out, struct error *err);
/* What the node's own layer changes, without times. */
int solve_outcome(const struct solve_node *n, struct digest *out, struct error *err);

/* solve_record.c */
/* The operation; of a source also what it is. */
void solve_identify(struct solve_node *n);
/* Keys that can be known before anything runs, and whether the cache has the result. */
int solve_prepare(struct solve_node *n, struct error *err);
/* Once more, when the inputs are done: by definition, then by content. */
int solve_lookup(struct solve_node *n, struct error *err);
/* And again by definition alone: another build may have stored its record meanwhile. */
int solve_lookup_again(struct solve_node *n, struct error *err);
/* After it ran: the definition of a COPY from contexts, whose files were not looked at
 * before, for those who follow. */
int solve_define(struct solve_node *n, struct error *err);
/* Makes the result from the record. */
int solve_apply_hit(struct solve_node *n, struct error *err);
/* After its layer is written: stores the records. */
int solve_store(struct solve_node *n, struct error *err);
/* An equal outcome of the same operation was seen before: its layer replaces the new one.
 */
int solve_adopt(struct solve_node *n,
                struct cas_layer **layer,
                int64_t *created,
                struct error *err);

/* step_*.c: run the node and set its result. */
int step_source(struct solve_node *n, struct error *err);
int step_copy(struct solve_node *n, struct error *err);
int step_mkdir(struct solve_node *n, struct error *err);
int step_run(struct solve_node *n, struct error *err);
/* The node will run, unless its inputs turn out to be known: what takes time is begun. */
void step_run_expect(struct solve_node *n);
/* Digest of what a COPY takes, without its destination; may read files of contexts. */
int step_copy_selection(struct solve_node *n, struct digest *out, struct error *err);
/* The same by looking at every file: what step_copy_selection does without a fingerprint.
 */
int step_copy_select(struct solve_node *n, struct digest *out, struct error *err);
/* Does the COPY take anything from a context or from text only? Then its selection can be
 * known before anything has run. */
bool step_copy_is_local(const struct build_node *n);
