#include "builder/cache/cache_priv.h"

#include "base/alloc.h"
#include "builder/build.h"
#include "builder/solve.h"
#include "cas/blob.h"
#include "cas/layer.h"
#include "cas/layer_scan.h"
#include "cas/record.h"
#include "registry/store_blob.h"

#include <stdlib.h>
#include <string.h>

struct build_cache *build_cache_new(const struct build_environment *env,
                                    const struct build_cache_from *from,
                                    size_t count,
                                    const struct registry_platform *platform)
{
    struct build_cache *c = base_alloc(sizeof *c);

    c->env = env;
    c->from = from;
    c->count = count;
    c->platform = *platform;
    c->sources = base_alloc_array(count + 1, sizeof *c->sources);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

bool build_cache_is_empty(const struct build_cache *c)
{
    return !c || c->count == 0;
}

void build_cache_free(struct build_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++)
        build_cache_source_release(&c->sources[i]);
    for (struct build_cache_layer *l = c->layers, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    free(c->sources);
    digest_set_release(&c->there);
    digest_set_release(&c->bad);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* --- Reading --- */

struct reading {
    struct build_cache *cache;
    size_t i;
};

static void read_one(void *arg)
{
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    const struct reading *r = arg;
    struct build_cache *c = r->cache;

    if (build_cache_source_open(c->env, &c->from[r->i], &c->platform, &c->sources[r->i],
                                &failure) < 0)
        build_cache_warn(c, c->from[r->i].place, &failure);
}

/* The sources, all of them read, when somebody first asks. */
static void read_all(struct build_cache *c)
{
    pthread_mutex_lock(&c->lock);
    if (!c->is_read) {
        CLEANUP(base_freep)
        struct reading *all = base_alloc_array(c->count, sizeof *all);

        for (size_t i = 0; i < c->count; i++)
            all[i] = (struct reading){c, i};
        build_cache_each(c, read_one, all, sizeof *all, c->count);
        c->is_read = true;
    }
    pthread_mutex_unlock(&c->lock);
}

bool build_cache_find(struct build_cache *c,
                      const struct digest *key,
                      size_t *next,
                      struct build_record *out)
{
    if (!c || c->count == 0)
        return false;
    read_all(c);
    while (*next < c->count) {
        const struct build_bundle *b = c->sources[(*next)++].bundle;
        const struct build_bundle_record *r = b ? build_bundle_find(b, key) : NULL;

        if (!r)
            continue;
        *out = r->record;
        return true;
    }
    return false;
}

bool build_cache_has_operation(struct build_cache *c, const struct digest *operation)
{
    bool found = false;

    if (!c || c->count == 0)
        return false;
    read_all(c);
    for (size_t i = 0; !found && i < c->count; i++)
        found = c->sources[i].bundle &&
                build_bundle_has_operation(c->sources[i].bundle, operation);
    return found;
}

/* --- Bad layers --- */

void build_cache_mark_bad(struct build_cache *c, const struct digest *blob)
{
    pthread_mutex_lock(&c->lock);
    digest_set_add(&c->bad, blob);
    pthread_mutex_unlock(&c->lock);
}

bool build_cache_is_bad(struct build_cache *c, const struct digest *blob)
{
    bool is_bad;

    if (!c)
        return false;
    pthread_mutex_lock(&c->lock);
    is_bad = digest_set_has(&c->bad, blob);
    pthread_mutex_unlock(&c->lock);
    return is_bad;
}

size_t build_cache_bad_count(struct build_cache *c)
{
    size_t count;

    pthread_mutex_lock(&c->lock);
    count = c->bad.count;
    pthread_mutex_unlock(&c->lock);
    return count;
}

bool build_cache_retries(struct build_cache *c, size_t before, struct error *err)
{
    if (build_cache_bad_count(c) == before || error_is(err, ERROR_CANCELLED))
        return false;
    event_send(&c->env->sink,
               (struct event){.type = EVENT_WARNING, .name = "", .text = error_text(err)});
    error_clear(err);
    return true;
}

/* Only layers that were fetched have layer records. */
static int is_known(const struct build_environment *env,
                    const struct build_record *r,
                    bool *known,
                    struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor blob = {0};
    struct build_record there;

    if (r->count > 0)
        return cas_layer_record_find(env->store, &r->layers[0].diff_id, NULL, known, &blob,
                                     err);
    /* What came of a step, without its layer: worth less than anything that is there. */
    if (build_record_find(env->store, &r->definition, known, &there, err) < 0)
        return -1;
    *known = !*known;
    return 0;
}

/* Of what the other cache said, that key is believed by which it was found. */
static int adopt(const struct build_environment *env,
                 const struct build_solved *step,
                 struct error *err)
{
    struct build_record r = step->record;
    bool known = false;

    r.content = r.result = (struct digest){.alg = DIGEST_NONE};
    if (!digest_is_set(&r.definition))
        return 0;
    if (is_known(env, &r, &known, err) < 0)
        return -1;
    return known ? build_record_store(env->store, &step->operation, &r,
                                      BUILD_RECORD_REPLACE, err)
                 : 0;
}

/* A record that cannot be written is only missed by the next build. */
void build_cache_adopt(const struct build_environment *env,
                       const struct build_solution *solution)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    for (size_t i = 0; i < solution->solved_count; i++)
        if (solution->solved[i].is_foreign &&
            adopt(env, &solution->solved[i], &ignored) < 0)
            return;
}

/* --- Layers --- */

/* Two records of different outcomes cannot have one layer: one of them lies, and a layer is
 * verified for him only who fetches it. */
static bool is_contradicted(struct build_cache *c,
                            const struct digest *diff_id,
                            const struct digest *outcome)
{
    bool is = false;

    pthread_mutex_lock(&c->lock);
    for (const struct build_cache_layer *l = c->layers; l && !is; l = l->next)
        is = digest_eq(&l->diff_id, diff_id) && !digest_eq(&l->outcome, outcome);
    pthread_mutex_unlock(&c->lock);
    return is;
}

static struct build_cache_layer *add_layer(struct build_cache *c,
                                           const struct build_cache_source *s,
                                           const struct build_bundle_layer *l,
                                           const struct digest *outcome)
{
    struct build_cache_layer *layer = base_alloc(sizeof *layer);

    layer->cache = c;
    layer->source = s;
    layer->diff_id = l->diff_id;
    layer->outcome = *outcome;
    layer->maker = l->maker;
    pthread_mutex_lock(&c->lock);
    layer->next = c->layers;
    c->layers = layer;
    pthread_mutex_unlock(&c->lock);
    return layer;
}

void build_cache_find_layer(struct build_cache *c,
                            const struct digest *diff_id,
                            const struct digest *outcome,
                            const char *maker,
                            bool *found,
                            struct descriptor *blob,
                            struct build_cache_layer **out)
{
    *found = false;
    if (!c || c->count == 0)
        return;
    read_all(c);
    for (size_t i = 0; i < c->count; i++) {
        const struct build_cache_source *s = &c->sources[i];
        const struct build_bundle_layer *l = NULL;

        while (s->bundle && (l = build_bundle_layer(s->bundle, diff_id, l))) {
            const struct descriptor *d = build_cache_source_blob(s, &l->blob);

            if (!d || (maker && (!l->maker || strcmp(maker, l->maker) != 0)) ||
                is_contradicted(c, diff_id, outcome) || !build_cache_is_there(c, s, d))
                continue;
            descriptor_copy(blob, d);
            *out = add_layer(c, s, l, outcome);
            *found = true;
            return;
        }
    }
}

/* What a layer record says is believed by every later build, so the whole of it is read. */
static int verify(const struct build_cache_layer *l,
                  const struct descriptor *blob,
                  struct error *err)
{
    struct cas_store *store = l->cache->env->store;
    CLEANUP(cas_layer_unrefp)
    struct cas_layer *layer = cas_layer_new(store, &l->diff_id, blob, NULL, NULL);

    struct digest content;

    if (cas_layer_scan(layer, NULL, CAS_LAYER_SCAN_INDEX, err) < 0 ||
        cas_layer_content_key(layer, &content, err) < 0)
        return -1;
    if (!digest_eq(&content, &l->outcome))
        return error_set(err, ERROR_CORRUPT, "layer %s is not what its record says",
                         digest_format(&l->diff_id).text);
    return cas_layer_record_put(store, &l->diff_id, blob, l->maker, err);
}

int build_cache_fetch_layer(void *context,
                            const struct descriptor *blob,
                            struct cas_arrival *arrival,
                            struct error *err)
{
    const struct build_cache_layer *l = context;

    (void)arrival;
    if (build_cache_source_fetch(l->source, blob, err) == 0 && verify(l, blob, err) == 0)
        return 0;
    error_wrap(err, "cache %s", l->source->name);
    if (!error_is(err, ERROR_CANCELLED))
        build_cache_mark_bad(l->cache, &blob->digest);
    return -1;
}

/* --- Blobs --- */

static const struct build_cache_source *source_of(struct build_cache *c,
                                                  const struct digest *blob)
{
    bool is_read;

    if (!c)
        return NULL;
    pthread_mutex_lock(&c->lock);
    is_read = c->is_read;
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; is_read && i < c->count; i++)
        if (build_cache_source_blob(&c->sources[i], blob))
            return &c->sources[i];
    return NULL;
}

const struct registry_reference *build_cache_origin(void *cache, const struct digest *blob)
{
    const struct build_cache_source *s = source_of(cache, blob);

    return s && s->ref.host && !build_cache_is_bad(cache, blob) ? &s->ref : NULL;
}

const char *build_cache_maker(struct build_cache *c, const struct digest *blob)
{
    const struct build_cache_source *s = source_of(c, blob);

    for (size_t i = 0; s && s->bundle && i < s->bundle->layer_count; i++)
        if (digest_eq(&s->bundle->layers[i].blob, blob))
            return s->bundle->layers[i].maker;
    return NULL;
}

void build_cache_lost(void *cache, const struct digest *blob)
{
    if (source_of(cache, blob))
        build_cache_mark_bad(cache, blob);
}

int build_cache_fetch_blob(struct build_cache *c,
                           const struct descriptor *blob,
                           bool *done,
                           struct error *err)
{
    const struct build_cache_source *s = source_of(c, &blob->digest);

    *done = false;
    if (!s || build_cache_is_bad(c, &blob->digest))
        return 0;
    if (build_cache_source_fetch(s, blob, err) < 0)
        return -1;
    *done = true;
    return 0;
}

/* --- Images --- */

/* Index, manifest and config: each is stored under the digest that it has, so nothing wrong
 * can be said with them. */
static int put_documents(const struct build_cache *c,
                         const struct build_bundle_image *image,
                         struct error *err)
{
    for (size_t i = 0; i < image->document_count; i++) {
        struct digest ignored;

        if (cas_blob_put(c->env->store, view_of(image->documents[i]), &ignored, err) < 0)
            return -1;
    }
    return 0;
}

static const struct build_bundle_image *find_image(const struct build_bundle *b,
                                                   const char *name,
                                                   const char *platform)
{
    for (size_t i = 0; b && i < b->image_count; i++)
        if (strcmp(b->images[i].name, name) == 0 &&
            strcmp(b->images[i].platform, platform) == 0)
            return &b->images[i];
    return NULL;
}

void build_cache_find_image(struct build_cache *c,
                            const char *name,
                            const struct registry_platform *platform,
                            bool *found,
                            struct descriptor *root)
{
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    const struct build_bundle_image *image = NULL;

    *found = false;
    if (!c || c->count == 0)
        return;
    read_all(c);
    for (size_t i = 0; !image && i < c->count; i++)
        image =
            find_image(c->sources[i].bundle, name,
                       registry_platform_format(platform ? platform : &c->platform).text);
    if (!image || put_documents(c, image, &failure) < 0)
        return;
    descriptor_copy(root, &image->root);
    *found = true;
}
