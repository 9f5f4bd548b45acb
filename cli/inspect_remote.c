#include "cli/inspect_remote.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/output.h"
#include "registry/image.h"
#include "registry/place.h"
#include "registry/platform.h"

#include <inttypes.h>

/* A manifest or index as the registry sent it. */
struct remote {
    struct descriptor desc;
    struct buf bytes;
    struct doc *doc;
};

#define REMOTE_INIT                                                                        \
    {                                                                                      \
        .bytes = BUF_INIT(LIMIT_MANIFEST_SIZE)                                             \
    }

static void remote_release(struct remote *r)
{
    descriptor_release(&r->desc);
    buf_release(&r->bytes);
    doc_unref(r->doc);
    r->doc = NULL;
}

static int remote_parse(struct remote *r, struct error *err)
{
    r->doc = doc_parse(buf_view(&r->bytes), err);
    return r->doc != NULL ? 0 : -1;
}

static int remote_get(struct registry_place *p, struct remote *out, struct error *err)
{
    if (registry_place_root(p, &out->bytes, &out->desc, err) < 0)
        return -1;
    return remote_parse(out, err);
}

/* An entry of an index. */
static int remote_get_entry(struct registry_place *p,
                            const struct descriptor *entry,
                            struct remote *out,
                            struct error *err)
{
    if (registry_place_manifest(p, entry, &out->bytes, err) < 0 ||
        remote_parse(out, err) < 0)
        return -1;

    const char *const type = registry_manifest_media_type(out->doc, entry->media_type, err);

    if (type == NULL)
        return -1;
    descriptor_init(&out->desc, type, &entry->digest, out->bytes.size);
    return 0;
}

static int platform_parse(const char *text,
                          struct registry_platform *out,
                          struct error *err)
{
    *out = registry_platform_host();
    if (text == NULL || registry_platform_parse(view_of(text), out, err) == 0)
        return 0;
    return error_wrap(err, "--platform");
}

/* From an index down to the manifest for the platform. */
static int remote_descend(struct registry_place *p,
                          const struct registry_platform *platform,
                          struct remote *r,
                          struct error *err)
{
    for (int depth = 0; depth <= LIMIT_INDEX_DEPTH; depth++) {
        CLEANUP(descriptor_release) struct descriptor entry = {0};
        struct remote next = REMOTE_INIT;

        if (!registry_media_is_index(r->desc.media_type))
            return 0;
        if (registry_index_choose(r->doc, platform, &entry, err) < 0)
            return -1;
        const int result = remote_get_entry(p, &entry, &next, err);
        remote_release(r);
        *r = next;
        if (result < 0)
            return -1;
    }
    return error_set(err, ERROR_INVALID, "indexes within indexes more than %d deep",
                     LIMIT_INDEX_DEPTH);
}

/* --- As a document ------------------------------------------------------------------- */

static struct doc *platforms_doc(const struct doc *index)
{
    const struct doc *const entries = doc_get(index, "manifests");
    struct doc *const out = doc_new_array();

    for (size_t i = 0; i < doc_count(entries); i++) {
        CLEANUP(error_clear)
        struct error ignored = ERROR_INIT; /* not every entry has one */
        const struct doc *const entry = doc_at(entries, i);
        struct registry_platform platform;
        int64_t size = 0;

        if (registry_platform_from_doc(doc_get(entry, "platform"), &platform, &ignored) <
                0 ||
            strcmp(platform.os, "unknown") == 0)
            continue;
        struct doc *const one = doc_new_object();
        doc_set_text(one, "Platform", registry_platform_format(&platform).text);
        doc_set_view(one, "Digest", doc_view(doc_get(entry, "digest")));
        if (doc_int(doc_get(entry, "size"), &size))
            doc_set_int(one, "Size", size);
        doc_append(out, one);
    }
    return out;
}

static int take(void *context, const void *data, size_t size, struct error *err)
{
    buf_append(context, data, size);
    return buf_ok(context, "the config", err);
}

static int restart(void *context, struct error *err)
{
    (void)err;
    buf_clear(context);
    return 0;
}

static int config_get(struct registry_place *p,
                      const struct descriptor *config,
                      struct doc **out,
                      struct error *err)
{
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_CONFIG_SIZE);
    const struct registry_blob_sink sink = {
        .restart = restart, .write = take, .context = &bytes};

    if (config->size > LIMIT_CONFIG_SIZE)
        return error_set(err, ERROR_LIMIT,
                         "the config is said to have %" PRIu64 " bytes, more than %zu",
                         config->size, LIMIT_CONFIG_SIZE);
    if (registry_place_blob(p, config, &sink, err) < 0)
        return -1;
    *out = doc_parse(buf_view(&bytes), err);
    return *out != NULL ? 0 : error_wrap(err, "config");
}

static int manifest_set(struct registry_place *p,
                        const struct remote *manifest,
                        struct doc *out,
                        struct error *err)
{
    CLEANUP(registry_image_release) struct registry_image image = {0};
    CLEANUP(error_clear) struct error artifact = ERROR_INIT;
    struct doc *config = NULL;

    if (registry_image_parse(manifest->doc, &image, err) < 0)
        return -1;
    doc_set(out, "Manifest", doc_copy(manifest->doc));
    if (registry_image_check(&image, &artifact) < 0)
        return 0;
    if (config_get(p, &image.config, &config, err) < 0)
        return -1;
    doc_set(out, "Config", config);
    return 0;
}

/* A registry's in full, host and all. */
static char *full_name(const struct registry_location *l)
{
    return l->kind == REGISTRY_LOCATION_REGISTRY ? registry_reference_text(&l->reference)
                                                 : registry_location_text(l);
}

static void names_set(const struct registry_location *l,
                      const struct descriptor *root,
                      struct doc *out)
{
    CLEANUP(base_freep) char *name = full_name(l);

    doc_set_text(out, "Name", name);
    doc_set_text(out, "Digest", digest_format(&root->digest).text);
    doc_set_text(out, "MediaType", root->media_type);
    doc_set_int(out, "Size", (int64_t)root->size);
}

static int remote_describe(struct registry_place *p,
                           const struct registry_location *l,
                           const struct registry_platform *platform,
                           bool must_fit,
                           struct doc *out,
                           struct error *err)
{
    CLEANUP(remote_release) struct remote r = REMOTE_INIT;
    CLEANUP(error_clear) struct error failure = ERROR_INIT;

    if (remote_get(p, &r, err) < 0)
        return -1;
    names_set(l, &r.desc, out);
    if (registry_media_is_index(r.desc.media_type))
        doc_set(out, "Platforms", platforms_doc(r.doc));
    /* What has nothing for this machine still has platforms to be told. */
    if (remote_descend(p, platform, &r, &failure) < 0)
        return !must_fit && error_is(&failure, ERROR_NOT_FOUND) ? 0
                                                                : error_move(err, &failure);
    return manifest_set(p, &r, out, err);
}

/* The store is opened only for what is there. */
static struct registry_place *place_open(struct cli_session *session,
                                         const char *name,
                                         struct registry_location *l,
                                         struct error *err)
{
    struct cas_store *store = NULL;

    if (registry_location_parse(view_of(name), l, err) < 0 ||
        (l->kind == REGISTRY_LOCATION_STORE &&
         (store = cli_session_store(session, err)) == NULL))
        return NULL;
    return registry_place_open(cli_session_registry(session), store, l, err);
}

int cli_inspect_remote(struct cli_session *session,
                       const struct cli_texts *names,
                       const char *platform,
                       struct doc *list,
                       struct error *err)
{
    struct registry_platform wanted;

    if (platform_parse(platform, &wanted, err) < 0)
        return -1;
    for (size_t i = 0; i < names->count; i++) {
        CLEANUP(registry_location_release) struct registry_location l = {0};
        CLEANUP(registry_place_closep)
        struct registry_place *p = place_open(session, names->items[i], &l, err);
        struct doc *const one = doc_new_object();

        doc_append(list, one);
        if (p == NULL)
            return -1;
        if (remote_describe(p, &l, &wanted, platform != NULL, one, err) < 0)
            return error_wrap(err, "%s", names->items[i]);
    }
    return 0;
}

int cli_inspect_remote_raw(struct cli_session *session,
                           const struct cli_texts *names,
                           const char *platform,
                           struct error *err)
{
    struct registry_platform wanted;

    if (platform_parse(platform, &wanted, err) < 0)
        return -1;
    for (size_t i = 0; i < names->count; i++) {
        CLEANUP(registry_location_release) struct registry_location l = {0};
        CLEANUP(registry_place_closep)
        struct registry_place *p = place_open(session, names->items[i], &l, err);
        CLEANUP(remote_release) struct remote r = REMOTE_INIT;

        if (p == NULL)
            return -1;
        if (remote_get(p, &r, err) < 0 ||
            (platform != NULL && remote_descend(p, &wanted, &r, err) < 0))
            return error_wrap(err, "%s", names->items[i]);
        cli_output_buf(&r.bytes);
    }
    return 0;
}
