/*
 * A record of the build cache: what came of a step. It is found under three keys (see
 * builder/key.h) and is the same document under each of them:
 *
 *     definition  what was done to what; counts only while `inputs` is what it is done to
 *     content     the operation on the inputs' content
 *     result      the operation and its outcome
 *
 * The outcome (the layer without its times) exists in variants: one layer for each latest
 * time (SOURCE_DATE_EPOCH) that a build asked for. Compressions are no variants: the
 * store's layer records tell which blobs hold a layer.
 *
 * A variant without an epoch can be clamped to any; one with an epoch to that and earlier
 * ones only, as what it was before is lost. A build that wants more than all variants can
 * give runs the step, and adds what came of it.
 *
 *     {"definition": D, "content": D, "result": D, "inputs": D, "outcome": D,
 *      "layers": [{"diff_id": D, "created": NANOSECONDS, "epoch": SECONDS}]}
 *
 * Keys that are not known are left out, "epoch" where there is none. A record without
 * layers says what came of a step, so that those after it can be found, but not where.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/digest.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The oldest goes when there are more: it can be made again. */
#define BUILD_RECORD_LAYERS_MAX 8

struct build_record_layer {
    struct digest diff_id;
    int64_t created; /* ns since 1970: when the step ran */
    int64_t epoch;   /* what times were clamped to; negative: they were not */
};

struct build_record {
    struct digest definition; /* alg NONE: not known; so for the others */
    struct digest content;
    struct digest result;
    struct digest inputs;
    struct digest outcome;
    struct build_record_layer layers[BUILD_RECORD_LAYERS_MAX];
    size_t count;
};

/* False if the document is no such record: what comes from outside is held against all
 * that is said above. *out is then not to be read. */
bool build_record_parse(const struct doc *doc, struct build_record *out);
struct doc *build_record_doc(const struct build_record *r);

/* Replaces the layer of the same epoch. */
void build_record_add(struct build_record *r, const struct build_record_layer *layer);
/* Can a build that wants `epoch` use this layer, as it is or clamped? */
bool build_record_layer_serves(const struct build_record_layer *layer, int64_t epoch);

/* What the store has under the key; *found false also for a record that is damaged. */
MUST_CHECK int build_record_find(struct cas_store *store,
                                 const struct digest *key,
                                 bool *found,
                                 struct build_record *out,
                                 struct error *err);

enum build_record_put {
    BUILD_RECORD_REPLACE = 0, /* a record of another outcome goes */
    BUILD_RECORD_EXTEND,      /* a record of another outcome stays: nothing is written */
};
/* Stores it under all keys that it has, with the layers for other epochs of the records
 * that are there. `operation` is the step's. */
MUST_CHECK int build_record_store(struct cas_store *store,
                                  const struct digest *operation,
                                  const struct build_record *r,
                                  enum build_record_put how,
                                  struct error *err);
