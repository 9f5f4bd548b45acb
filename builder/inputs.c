#include "builder/inputs_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/cache/cache.h"
#include "cas/blob.h"
#include "cas/ref.h"
#include "registry/pull.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Both what --build-context names and what a Dockerfile says are compared in docker's short
 * form without ":latest". NULL if it is no reference. */
static char *short_name(const char *name, struct error *err)
{
    struct registry_reference ref = {0};
    char *text;
    size_t size;

    if (registry_reference_parse(view_of(name), &ref, err) < 0)
        return NULL;
    text = registry_reference_familiar(&ref);
    registry_reference_release(&ref);
    size = strlen(text);
    if (size > 7 && strcmp(text + size - 7, ":latest") == 0)
        text[size - 7] = '\0';
    return text;
}

/* A name stands for one thing as long as a build lasts, whoever moves the tag meanwhile:
 * stages and platforms belong together. */
static const struct digest *pulled_find(const struct build_inputs *in, const char *name)
{
    for (size_t i = 0; i < in->pulled_count; i++)
        if (strcmp(in->pulled[i].name, name) == 0)
            return &in->pulled[i].root;
    return NULL;
}

static void pulled_add(struct build_inputs *in, const char *name, const struct digest *root)
{
    in->pulled =
        base_grow(in->pulled, in->pulled_count, &in->pulled_capacity, sizeof *in->pulled);
    in->pulled[in->pulled_count++] = (struct pulled){base_strdup(name), *root};
}

struct build_inputs *build_inputs_new(const struct build_environment *env,
                                      const struct build_request *request,
                                      struct error *err)
{
    struct build_inputs *in = base_alloc(sizeof *in);

    in->env = env;
    in->request = request;
    for (size_t i = 0; i < request->pin_count; i++)
        pulled_add(in, request->pins[i].name, &request->pins[i].root);
    in->named = base_alloc_array(request->context_count + 1, sizeof *in->named);
    for (size_t i = 0; i < request->context_count; i++) {
        const struct build_pair *pair = &request->contexts[i];

        in->named[i].value = pair->value;
        in->named[i].name = short_name(pair->name, err);
        in->named_count = i + 1;
        if (!in->named[i].name || !pair->value || !*pair->value) {
            if (in->named[i].name)
                error_set(err, ERROR_INVALID,
                          "it names no place: write NAME=PATH, NAME=URL, "
                          "NAME=docker-image://REF, NAME=oci-layout://PATH or "
                          "NAME=target:STAGE");
            error_wrap(err, "build context %s", pair->name);
            build_inputs_free(in);
            return NULL;
        }
    }
    return in;
}

void build_inputs_free(struct build_inputs *in)
{
    if (!in)
        return;
    for (size_t i = 0; i < in->named_count; i++) {
        build_context_close(in->named[i].context);
        build_context_source_free(in->named[i].source);
        free(in->named[i].name);
    }
    free(in->named);
    for (size_t i = 0; i < in->pulled_count; i++)
        free(in->pulled[i].name);
    free(in->pulled);
    inputs_main_release(in);
    inputs_remotes_release(in);
    free(in);
}

/* --- Images --- */

static int load_config(struct build_inputs *in,
                       struct build_image *image,
                       struct error *err)
{
    image->config =
        cas_blob_read_doc(in->env->store, &image->image.config, LIMIT_CONFIG_SIZE, err);
    if (!image->config)
        return error_wrap(err, "image config");
    if (doc_count(doc_get(doc_get(image->config, "rootfs"), "diff_ids")) !=
        image->image.layer_count)
        return error_set(err, ERROR_CORRUPT,
                         "image config names %zu layers, the manifest %zu",
                         doc_count(doc_get(doc_get(image->config, "rootfs"), "diff_ids")),
                         image->image.layer_count);
    return 0;
}

static struct build_image *image_new(const struct build_inputs *in,
                                     const struct registry_platform *platform)
{
    struct build_image *image = base_alloc(sizeof *image);

    image->env = in->env;
    image->platform = platform ? *platform : registry_platform_host();
    return image;
}

static void image_free(struct build_image *image)
{
    free(image->name);
    registry_image_release(&image->image);
    doc_unref(image->config);
    registry_reference_release(&image->ref);
    registry_layout_close(image->layout);
    free(image);
}

/* Is it in the store under that name, for that platform? Anything amiss there (another
 * platform only, a blob that is gone) means: ask the registry. */
static int find_in_store(struct build_inputs *in,
                         const struct build_image *image,
                         const struct registry_platform *platform,
                         bool *found,
                         struct registry_image *out,
                         struct error *err)
{
    CLEANUP(error_clear) struct error local = ERROR_INIT;
    CLEANUP(base_freep) char *name = registry_reference_text(&image->ref);
    struct cas_ref ref = {0};
    bool has_config = false;

    *found = false;
    if (cas_ref_find(in->env->store, name, found, &ref, err) < 0)
        return -1;
    if (!*found)
        return 0;
    *found = registry_image_load(in->env->store, &ref.target, platform, out, &local) == 0;
    cas_ref_release(&ref);
    if (*found && (cas_blob_find(in->env->store, &out->config.digest, &has_config, NULL,
                                 &local) < 0 ||
                   !has_config)) {
        registry_image_release(out);
        *found = false;
    }
    return 0;
}

static void warn_of(const struct build_inputs *in,
                    const struct build_image *image,
                    const struct error *why)
{
    CLEANUP(base_freep)
    char *text =
        base_format("%s is taken as the cache has it: %s", image->name, error_text(why));

    event_send(&in->env->sink,
               (struct event){.type = EVENT_WARNING, .name = "", .text = text});
}

/* Is what the cache knows of the image what its name stands for? Where the registry cannot
 * be asked it is, unless --pull insists. */
static int is_current(const struct build_inputs *in,
                      const struct build_image *image,
                      const struct digest *known,
                      bool *current,
                      struct error *err)
{
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    CLEANUP(descriptor_release) struct descriptor now = {0};

    if (digest_is_set(&image->ref.digest)) {
        *current = digest_eq(&image->ref.digest, known);
        return 0;
    }
    if (registry_resolve(in->env->registry, &image->ref, &now, &failure) == 0) {
        *current = digest_eq(&now.digest, known);
        return 0;
    }
    if (in->request->pull || error_is(&failure, ERROR_CANCELLED))
        return error_move(err, &failure);
    warn_of(in, image, &failure);
    *current = true;
    return 0;
}

/* From its registry; documents that another cache carries along are not asked for. */
static int pull_image(struct build_inputs *in,
                      struct build_image *image,
                      const struct registry_platform *platform,
                      struct error *err)
{
    const struct registry_pull_options lazy = {.lazy = true,
                                               .progress = {.sink = &in->env->sink}};
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    CLEANUP(descriptor_release) struct descriptor root = {0};
    const struct digest *asked = pulled_find(in, image->name);
    bool known = false;

    registry_reference_copy(&ref, &image->ref);
    if (!asked)
        build_cache_find_image(in->env->cache, image->name, platform, &known, &root);
    if (known && is_current(in, image, &root.digest, &known, err) < 0)
        return -1;
    if (asked || known)
        ref.digest = asked ? *asked : root.digest;
    if (registry_pull(in->env->registry, in->env->store, &ref, platform, &lazy,
                      &image->image, err) < 0)
        return -1;
    if (!asked)
        pulled_add(in, image->name, &image->image.root.digest);
    return 0;
}

/* An image is kept under its name for one platform mostly: for this machine's. */
static bool fits(const struct build_image *image, const struct registry_platform *platform)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* who says none fits */
    struct registry_platform have;

    return !platform || registry_platform_from_doc(image->config, &have, &ignored) < 0 ||
           registry_platform_rank(platform, &have) >= 0;
}

static void warn_of_platform(const struct build_inputs *in,
                             const struct build_image *image,
                             const struct registry_platform *platform,
                             const struct error *why)
{
    CLEANUP(base_freep)
    char *text =
        base_format("%s is taken for %s as the store has it, for another platform: %s",
                    image->name, registry_platform_format(platform).text, error_text(why));

    event_send(&in->env->sink,
               (struct event){.type = EVENT_WARNING, .name = "", .text = text});
}

/* The store's image is for another platform: that of the registry, or else it has to do. */
static int replace_image(struct build_inputs *in,
                         struct build_image *image,
                         const struct registry_platform *platform,
                         struct error *err)
{
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    struct registry_image stored = image->image;

    image->image = (struct registry_image){0};
    if (pull_image(in, image, platform, &failure) == 0) {
        registry_image_release(&stored);
        doc_unref(image->config);
        image->config = NULL;
        return load_config(in, image, err);
    }
    registry_image_release(&image->image);
    image->image = stored;
    if (error_is(&failure, ERROR_CANCELLED))
        return error_move(err, &failure);
    warn_of_platform(in, image, platform, &failure);
    return 0;
}

/* One that was pulled before, or is pinned, is asked for by digest: the store may have it.
 */
static int load_image(struct build_inputs *in,
                      struct build_image *image,
                      const struct registry_platform *platform,
                      struct error *err)
{
    const bool is_pinned = pulled_find(in, image->name) != NULL;
    bool found = false;

    if (!in->request->pull && !is_pinned &&
        find_in_store(in, image, platform, &found, &image->image, err) < 0)
        return -1;
    if (!found && pull_image(in, image, platform, err) < 0)
        return -1;
    if (load_config(in, image, err) < 0)
        return -1;
    return found && !fits(image, platform) ? replace_image(in, image, platform, err) : 0;
}

struct build_image *build_inputs_image(struct build_inputs *in,
                                       const char *reference,
                                       const struct registry_platform *platform,
                                       struct error *err)
{
    struct build_image *image = image_new(in, platform);

    if (registry_reference_parse(view_of(reference), &image->ref, err) == 0) {
        registry_reference_add_default_tag(&image->ref);
        image->name = registry_reference_text(&image->ref);
        if (load_image(in, image, platform, err) == 0)
            return image;
    }
    error_wrap(err, "%s", reference);
    image_free(image);
    return NULL;
}

static struct build_image *layout_image(struct build_inputs *in,
                                        const char *where,
                                        const struct registry_platform *platform,
                                        struct error *err)
{
    struct build_image *image = image_new(in, platform);
    struct registry_layout_name name = {0};
    struct descriptor root = {0};
    int status = registry_layout_name_parse(view_of(where), &name, err);

    image->name = base_strdup(where);
    if (status == 0) {
        image->layout = registry_layout_open(name.path, err);
        status = image->layout ? registry_layout_resolve(image->layout, name.tag,
                                                         &name.digest, &root, err)
                               : -1;
    }
    if (status == 0)
        status = registry_layout_load(image->layout, in->env->store, &root, platform, true,
                                      &image->image, err);
    if (status == 0)
        status = load_config(in, image, err);
    descriptor_release(&root);
    registry_layout_name_release(&name);
    if (status == 0)
        return image;
    image_free(image);
    return NULL;
}

static const char *after(const char *text, const char *prefix)
{
    const size_t size = strlen(prefix);

    return strncmp(text, prefix, size) == 0 ? text + size : NULL;
}

#define TARGET "target:"

static struct named *find_named(struct build_inputs *in, const char *name)
{
    struct error ignored = ERROR_INIT;
    char *key = short_name(name, &ignored);
    struct named *found = NULL;

    /* A stage's name need not be a reference: then no context can be named so. */
    error_clear(&ignored);
    for (size_t i = 0; key && i < in->named_count; i++)
        if (strcmp(in->named[i].name, key) == 0)
            found = &in->named[i];
    free(key);
    return found;
}

int build_inputs_named(struct build_inputs *in,
                       const char *name,
                       const struct registry_platform *platform,
                       enum build_named *kind,
                       struct build_context **context,
                       struct build_image **image,
                       struct error *err)
{
    struct named *n = find_named(in, name);
    const char *reference;

    *kind = BUILD_NAMED_NONE;
    if (!n || after(n->value, TARGET))
        return 0;
    *kind = BUILD_NAMED_IMAGE;
    reference = after(n->value, "docker-image://");
    if (reference) {
        *image = build_inputs_image(in, reference, platform, err);
        return *image ? 0 : error_wrap(err, "build context %s", n->name);
    }
    if (after(n->value, "oci-layout:")) {
        *image = layout_image(in, n->value, platform, err);
        return *image ? 0 : error_wrap(err, "build context %s", n->name);
    }
    *kind = BUILD_NAMED_DIRECTORY;
    *context = inputs_named_context(in, n, err);
    return *context ? 0 : error_wrap(err, "build context %s", n->name);
}

const char *build_inputs_target(struct build_inputs *in, const char *name)
{
    const struct named *n = find_named(in, name);

    return n ? after(n->value, TARGET) : NULL;
}

static int find_stored(struct build_inputs *in,
                       const char *reference,
                       const struct registry_platform *platform,
                       struct build_image **out,
                       struct error *err)
{
    struct build_image *image = image_new(in, platform);
    bool found = false;
    int status = registry_reference_parse(view_of(reference), &image->ref, err);

    if (status == 0) {
        registry_reference_add_default_tag(&image->ref);
        image->name = registry_reference_text(&image->ref);
        status = find_in_store(in, image, platform, &found, &image->image, err);
    }
    if (status == 0 && found)
        status = load_config(in, image, err);
    if (status == 0 && found)
        *out = image;
    else
        image_free(image);
    return status;
}

int build_inputs_find_image(struct build_inputs *in,
                            const char *reference,
                            const struct registry_platform *platform,
                            struct build_image **out,
                            struct error *err)
{
    const struct named *n = find_named(in, reference);

    *out = NULL;
    if (n && after(n->value, "docker-image://"))
        reference = after(n->value, "docker-image://");
    else if (n && after(n->value, "oci-layout:"))
        return (*out = layout_image(in, n->value, platform, err)) ? 0 : -1;
    else if (n && !after(n->value, TARGET))
        return 0;
    return find_stored(in, reference, platform, out, err);
}

void build_image_free(struct build_image *image)
{
    if (image)
        image_free(image);
}
