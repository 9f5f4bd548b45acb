/*
 * The state of a failed step as the journal keeps it, builds/ID/state.json. A step that is
 * no RUN has that of a RUN in its place, on what lies below it, without files of its own.
 *
 *     {"version":1,"step":N,"name":"[2/3] RUN make","line":3,"error":"...",
 *      "form":"t","files":true,                 builds/ID/fs, see cas_snapshot_keep
 *      "stacks":[[{"diff_id":D,"blob":{...},  layers: the step's base, then of mounts
 *                  "from":"REGISTRY/NAME@..."}]], where the store had no such blob yet
 *      "run":{"argv":[...],"env":[...],"mounts":[{"from":1,...}],...},
 *      "hosts":[["NAME","ADDRESS"]],"shm_size":N}
 *
 * Secrets are named in it and never held; proxies, which may hold passwords, are named too.
 * The newest BUILD_KEPT_COUNT states stay.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/graph.h"
#include "cas/layer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUILD_KEPT_COUNT   5u
#define BUILD_KEPT_FILE    "state.json"
#define BUILD_KEPT_FILES   "fs"
#define BUILD_KEPT_VERSION 1

struct build_kept_source;

/* Layers, bottom first. */
struct build_kept_stack {
    struct cas_layer **layers;
    size_t count;
    struct build_kept_source *source; /* of those that the store lacks, or NULL */
};

/* --- Writing --- */

/* A document of the step; the caller adds form, files and stacks. `from_stack(context, n)`
 * is the number of the stack that stands for a mount's node. */
struct doc *build_kept_describe(const struct build_node *n,
                                const struct build_request *request,
                                size_t (*from_stack)(void *context,
                                                     const struct build_node *n),
                                void *context);
/* A stack as the document has it. Waits for layers that are still being written. What the
 * store lacks of `image` (NULL: none), with whose layers the stack begins, is fetched when
 * the state is opened; what else it lacks is fetched now. */
MUST_CHECK struct doc *build_kept_stack_doc(struct cas_layer *const *layers,
                                            size_t count,
                                            const struct build_image *image,
                                            struct error *err);
/* Removes the oldest states until BUILD_KEPT_COUNT are left. */
MUST_CHECK int build_kept_prune(struct cas_store *s, struct error *err);

/* --- Reading --- */

/* The newest build that keeps a state; malloc'ed ID, NULL with ERROR_NOT_FOUND. */
MUST_CHECK char *build_kept_latest(struct cas_store *s, struct error *err);

struct build_kept {
    struct doc *doc;
    char *files; /* "builds/ID/fs"; NULL: the files are in the base's layers */
    const char *form;
    struct build_kept_stack *stacks;
    size_t stack_count;
    /* A graph of one RUN on sources that stand for the stacks, in their order; the RUN is
     * the last node. */
    struct build_graph graph;
    struct build_pair *hosts; /* texts borrow from the document */
    size_t host_count;
    struct build_ulimit *ulimits;
    uint64_t shm_size;
};

/* `env` is borrowed as long as the layers are used.
 * Errors: ERROR_NOT_FOUND if the build keeps no state; ERROR_CORRUPT. */
MUST_CHECK int build_kept_open(const struct build_environment *env,
                               const char *id,
                               struct build_kept *out,
                               struct error *err);
void build_kept_release(struct build_kept *k); /* idempotent */
