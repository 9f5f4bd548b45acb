/*
 * Whether the layers that caches name are there: asked once each, several at once.
 */
#include "builder/cache/cache_priv.h"

#include "base/alloc.h"
#include "base/pool.h"
#include "builder/build.h"

void build_cache_warn(const struct build_cache *c,
                      const char *name,
                      const struct error *err)
{
    CLEANUP(base_freep)
    char *text = base_format("cache %s is not used: %s", name, error_text(err));

    event_send(&c->env->sink,
               (struct event){.type = EVENT_WARNING, .name = "", .text = text});
}

/* A blob that is not there, or cannot be asked for, is bad. */
bool build_cache_is_there(struct build_cache *c,
                          const struct build_cache_source *s,
                          const struct descriptor *blob)
{
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    bool found = false;

    pthread_mutex_lock(&c->lock);
    const bool is_bad = digest_set_has(&c->bad, &blob->digest);
    const bool is_known = c->trusts || digest_set_has(&c->there, &blob->digest);
    pthread_mutex_unlock(&c->lock);
    if (is_bad || is_known)
        return is_known && !is_bad;
    if (build_cache_source_has(s, blob, &found, &failure) == 0 && !found)
        error_set(&failure, ERROR_NOT_FOUND, "layer %s is not there",
                  digest_format(&blob->digest).text);
    if (!found)
        build_cache_warn(c, s->name, &failure);
    pthread_mutex_lock(&c->lock);
    digest_set_add(found ? &c->there : &c->bad, &blob->digest);
    pthread_mutex_unlock(&c->lock);
    return found;
}

void build_cache_each(const struct build_cache *c,
                      void (*run)(void *item),
                      void *items,
                      size_t size,
                      size_t count)
{
    char *const first = items;
    unsigned threads = c->env->registry ? registry_client_parallel(c->env->registry) : 1;

    if (threads > count)
        threads = (unsigned)count;
    if (threads <= 1) {
        for (size_t i = 0; i < count; i++)
            run(first + i * size);
        return;
    }
    struct pool *const pool = pool_new(threads);
    for (size_t i = 0; i < count; i++)
        pool_submit(pool, run, first + i * size);
    pool_free(pool);
}

void build_cache_trust(struct build_cache *c, bool trusts)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->trusts = trusts;
    pthread_mutex_unlock(&c->lock);
}

struct question {
    const struct build_cache_layer *layer;
    const struct descriptor *blob;
    bool is_there;
};

static void answer(void *item)
{
    struct question *q = item;

    q->is_there = build_cache_is_there(q->layer->cache, q->layer->source, q->blob);
}

bool build_cache_ask(struct build_cache *c,
                     struct build_cache_layer *const *layers,
                     const struct descriptor *const *blobs,
                     size_t count)
{
    CLEANUP(base_freep)
    struct question *all = base_alloc_array(count + 1, sizeof *all);
    bool are_there = true;

    if (count == 0)
        return true;
    for (size_t i = 0; i < count; i++)
        all[i] = (struct question){.layer = layers[i], .blob = blobs[i]};
    build_cache_each(c, answer, all, sizeof *all, count);
    for (size_t i = 0; i < count; i++)
        are_there = are_there && all[i].is_there;
    return are_there;
}
