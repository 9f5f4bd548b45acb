/*
 * A build's caches from the inside. For builder/cache/cache.c and builder/cache/ask.c.
 */
#pragma once

#include "builder/cache/cache.h"
#include "builder/cache/source.h"
#include "cas/digest_set.h"
#include "registry/platform.h"

#include <pthread.h>

/* A layer of a cache that was handed out. */
struct build_cache_layer {
    struct build_cache_layer *next;
    struct build_cache *cache;
    const struct build_cache_source *source;
    struct digest diff_id;
    struct digest outcome;
    const char *maker; /* the bundle's */
};

struct build_cache {
    const struct build_environment *env;
    const struct build_cache_from *from;
    struct registry_platform platform;
    size_t count;

    pthread_mutex_t lock; /* guards all below; held while the caches are read */
    bool is_read;
    struct build_cache_source *sources; /* constant once they are read */
    struct digest_set there;            /* blobs that were asked for */
    struct digest_set bad;
    bool trusts; /* layers are taken to be there, unasked */
    struct build_cache_layer *layers;
};

/* A cache, or a layer of it, that cannot be used. */
void build_cache_warn(const struct build_cache *c,
                      const char *name,
                      const struct error *err);
/* Is the blob there and not bad? Asked once; while the cache trusts, not asked. */
bool build_cache_is_there(struct build_cache *c,
                          const struct build_cache_source *s,
                          const struct descriptor *blob);
/* Calls run(item) for each of `count` items of `size` bytes, several at once, and waits for
 * all of them. */
void build_cache_each(const struct build_cache *c,
                      void (*run)(void *item),
                      void *items,
                      size_t size,
                      size_t count);
