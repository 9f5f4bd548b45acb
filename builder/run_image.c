#include "builder/run_image.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/ref.h"
#include "registry/pull.h"

void run_image_release(struct run_image *i)
{
    for (size_t n = 0; n < i->layer_count; n++)
        cas_layer_unref(i->layers[n]);
    free(i->layers);
    free(i->pulled);
    doc_unref(i->config);
    registry_reference_release(&i->reference);
    registry_image_release(&i->image);
    *i = (struct run_image){0};
}

/* --- Finding ------------------------------------------------------------------------ */

static int open_digest(struct run_image *i, const char *name, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(doc_unrefp) struct doc *doc = NULL;
    struct digest digest;
    const char *media_type;

    if (digest_parse(view_of(name), &digest, err) < 0 ||
        cas_blob_read(i->env->store, &digest, &text, err) < 0)
        return -1;
    doc = doc_parse(buf_view(&text), err);
    media_type = doc != NULL ? registry_manifest_media_type(doc, NULL, err) : NULL;
    if (media_type == NULL)
        return -1;
    descriptor_init(&root, media_type, &digest, text.size);
    return registry_image_load(i->env->store, &root, NULL, &i->image, err);
}

/* Its layers come when they are unpacked. Consumes the name. */
static int pull(struct run_image *i, char *full, struct error *err)
{
    CLEANUP(base_freep) char *note = base_format("pulling %s", full);
    const struct registry_pull_options options = {.lazy = true,
                                                  .progress = {.sink = &i->env->sink}};

    i->pulled = full;
    event_send(&i->env->sink, (struct event){.type = EVENT_NOTE, .text = note});
    return registry_pull(i->env->registry, i->env->store, &i->reference, NULL, &options,
                         &i->image, err);
}

static int open_reference(struct run_image *i, const char *name, struct error *err)
{
    CLEANUP(base_freep) char *full = NULL;
    struct cas_ref ref = {0};
    bool found = false;
    int result;

    if (registry_reference_parse(view_of(name), &i->reference, err) < 0)
        return -1;
    registry_reference_add_default_tag(&i->reference);
    full = registry_reference_text(&i->reference);
    if (cas_ref_find(i->env->store, full, &found, &ref, err) < 0)
        return -1;
    if (!found) {
        char *own = full;

        full = NULL;
        return pull(i, own, err);
    }
    result = registry_image_load(i->env->store, &ref.target, NULL, &i->image, err);
    cas_ref_release(&ref);
    return result;
}

/* --- Layers ------------------------------------------------------------------------- */

static int fetch(void *context,
                 const struct descriptor *blob,
                 struct cas_arrival *arrival,
                 struct error *err)
{
    const struct run_image *const i = context;
    const struct registry_progress progress = {.sink = &i->env->sink};

    if (i->reference.host == NULL)
        return error_set(err, ERROR_NOT_FOUND,
                         "the store lacks a layer, and no registry is known");
    return registry_fetch_followed(i->env->registry, i->env->store, &i->reference, blob,
                                   arrival, &progress, err);
}

static int layers_open(struct run_image *i, struct error *err)
{
    const struct doc *const ids = doc_get(doc_get(i->config, "rootfs"), "diff_ids");

    if (doc_count(ids) != i->image.layer_count)
        return error_set(err, ERROR_CORRUPT,
                         "the config names %zu layers, the manifest %zu", doc_count(ids),
                         i->image.layer_count);
    i->layers = base_alloc_array(i->image.layer_count + 1, sizeof(struct cas_layer *));
    for (size_t n = 0; n < i->image.layer_count; n++) {
        struct digest id;

        if (digest_parse(doc_view(doc_at(ids, n)), &id, err) < 0)
            return -1;
        i->layers[n] = cas_layer_new(i->env->store, &id, &i->image.layers[n], fetch, i);
        i->layer_count++;
    }
    return 0;
}

static int config_open(struct run_image *i, struct error *err)
{
    bool found = false;

    if (cas_blob_find(i->env->store, &i->image.config.digest, &found, NULL, err) < 0 ||
        (!found && fetch(i, &i->image.config, NULL, err) < 0))
        return -1;
    i->config = cas_blob_read_doc(i->env->store, &i->image.config, LIMIT_CONFIG_SIZE, err);
    return i->config != NULL ? 0 : -1;
}

int run_image_open(const struct build_environment *env,
                   const char *name,
                   struct run_image *out,
                   struct error *err)
{
    const bool is_digest =
        strncmp(name, "sha256:", 7) == 0 || strncmp(name, "sha512:", 7) == 0;

    *out = (struct run_image){.env = env};
    if ((is_digest ? open_digest(out, name, err) : open_reference(out, name, err)) < 0 ||
        config_open(out, err) < 0 || layers_open(out, err) < 0) {
        run_image_release(out);
        return error_wrap(err, "image %s", name);
    }
    return 0;
}

int run_image_keep(struct run_image *i, struct error *err)
{
    if (i->pulled == NULL)
        return 0;
    for (size_t n = 0; n < i->layer_count; n++)
        if (cas_layer_require_blob(i->layers[n], err) < 0)
            return -1;
    return cas_ref_set(i->env->store, i->pulled, &i->image.manifest, "pull", err);
}
