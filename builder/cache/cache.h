/*
 * What a build knows beyond the records of its own store: the caches of --cache-from, each
 * read when the store alone does not help; and which layers turned out bad in this build.
 *
 * A cache that is missing, damaged, hostile or of another program is a warning, and nothing
 * is found in it. Its layers are handles whose bytes are fetched when somebody needs them;
 * that they are there is asked before a record counts. Should the bytes not come, or not be
 * what the record says, the layer is bad: the build is done again without it.
 *
 * May be shared between threads. A NULL cache is one without anything.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/cache/options.h"
#include "builder/cache/record.h"
#include "cas/descriptor.h"
#include "cas/digest.h"
#include "registry/reference.h"

#include <stdbool.h>
#include <stddef.h>

struct build_cache;
struct build_cache_layer;
struct build_environment;
struct build_solution;
struct registry_platform;

/* Reads nothing yet. What comes from caches that are images is for `platform`. The texts
 * are borrowed, and `env`, which need not be filled in yet. */
struct build_cache *build_cache_new(const struct build_environment *env,
                                    const struct build_cache_from *from,
                                    size_t count,
                                    const struct registry_platform *platform);
void build_cache_free(struct build_cache *c); /* NULL is fine */
/* Is there no other cache at all? */
bool build_cache_is_empty(const struct build_cache *c);

/* --- Records --- */

/* The record that one of the caches has under the key, starting with cache *next, which is
 * moved behind it. False at the end. */
bool build_cache_find(struct build_cache *c,
                      const struct digest *key,
                      size_t *next,
                      struct build_record *out);
bool build_cache_has_operation(struct build_cache *c, const struct digest *operation);

/* --- Layers --- */

/* A blob of the layer that one of the caches has, made by `maker` (NULL: by whomever), not
 * bad, and there; *found false if there is none. *blob is the caller's; *out lives as long
 * as the cache. `outcome` is what the layer changes, as the record has it. */
void build_cache_find_layer(struct build_cache *c,
                            const struct digest *diff_id,
                            const struct digest *outcome,
                            const char *maker,
                            bool *found,
                            struct descriptor *blob,
                            struct build_cache_layer **out);
/* While a cache trusts, its layers are taken to be there without being asked for. */
void build_cache_trust(struct build_cache *c, bool trusts);
/* Asks for these layers and their blobs, several at once: are all there? Those that are not
 * are bad, and told as warnings. */
bool build_cache_ask(struct build_cache *c,
                     struct build_cache_layer *const *layers,
                     const struct descriptor *const *blobs,
                     size_t count);
/* For cas_layer_new; `context` is a struct build_cache_layer. The layer is verified whole,
 * diffID and outcome, and gets its layer record and index; if it cannot be had, or is not
 * what the record says, it is bad. Nobody can follow: it is whole before it counts. */
MUST_CHECK int build_cache_fetch_layer(void *context,
                                       const struct descriptor *blob,
                                       struct cas_arrival *arrival,
                                       struct error *err);
/* Where a blob is that some cache names: to mount it from there. NULL: in none. Borrowed.
 * For registry_push_options. */
const struct registry_reference *build_cache_origin(void *cache, const struct digest *blob);
/* Who made such a blob (cas/record.h), as the cache says; or NULL. Borrowed. */
const char *build_cache_maker(struct build_cache *c, const struct digest *blob);
/* Such a blob turned out not to be had. */
void build_cache_lost(void *cache, const struct digest *blob);
/* Brings a blob that some cache names, if one does: *done. */
MUST_CHECK int build_cache_fetch_blob(struct build_cache *c,
                                      const struct descriptor *blob,
                                      bool *done,
                                      struct error *err);

/* A layer whose blob must not be used in this build. */
void build_cache_mark_bad(struct build_cache *c, const struct digest *blob);
bool build_cache_is_bad(struct build_cache *c, const struct digest *blob);
size_t build_cache_bad_count(struct build_cache *c);
/* After a failure: have more layers turned out bad than `before`? Then they are the reason:
 * it is told as a warning and cleared, and the build is worth another try. */
bool build_cache_retries(struct build_cache *c, size_t before, struct error *err);

/* After a build: what was found in other caches and has been fetched, and so is known to be
 * true, becomes records of the store. */
void build_cache_adopt(const struct build_environment *env,
                       const struct build_solution *solution);

/* --- Images --- */

/* What a cache knows of a base image: the documents are put into the store. *root is the
 * caller's. */
void build_cache_find_image(struct build_cache *c,
                            const char *name,
                            const struct registry_platform *platform,
                            bool *found,
                            struct descriptor *root);
