#include "cli/compared.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "builder/layers.h"
#include "cas/blob.h"
#include "cli/image.h"
#include "registry/pull.h"

#include <stdlib.h>

void cli_transfers_release(struct cli_transfers *t)
{
    cli_progress_freep(&t->progress);
}

static struct event_sink sink_of(struct cli_transfers *t)
{
    if (t->progress == NULL)
        t->progress = cli_progress_new(t->mode, "Fetching");
    return cli_progress_sink(t->progress);
}

void cli_compared_release(struct cli_compared *c)
{
    for (size_t i = 0; i < c->layer_count; i++)
        cas_layer_unref(c->layers[i]);
    free(c->layers);
    doc_unref(c->config);
    doc_unref(c->manifest);
    registry_image_release(&c->image);
    registry_reference_release(&c->reference);
    *c = (struct cli_compared){0};
}

/* --- Finding ------------------------------------------------------------------------ */

static int open_registry(struct cli_compared *c,
                         const struct registry_platform *platform,
                         struct error *err)
{
    const struct event_sink sink = sink_of(c->transfers);
    const struct registry_pull_options options = {.lazy = true, .progress = {&sink, 0}};

    registry_image_release(&c->image);
    return registry_pull(cli_session_registry(c->session), c->session->store, &c->reference,
                         platform, &options, &c->image, err);
}

static int open_store(struct cli_compared *c,
                      const struct registry_platform *platform,
                      struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(base_freep) char *name = NULL;
    struct cas_store *const store = c->session->store;

    if (cli_image_resolve(store, c->typed, &name, &root, err) < 0)
        return -1;
    return registry_image_load(store, &root, platform, &c->image, err);
}

/* Where the parts that the store lacks may come from. What is no reference is an ID. */
static void reference_read(struct cli_compared *c, const char *text)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    if (registry_reference_parse(view_of(text), &c->reference, &ignored) == 0)
        registry_reference_add_default_tag(&c->reference);
}

static int find(struct cli_compared *c,
                const struct registry_platform *platform,
                struct error *err)
{
    const size_t prefix = strlen(CLI_COMPARED_REGISTRY);
    CLEANUP(error_clear) struct error local = ERROR_INIT;

    if (strncmp(c->typed, CLI_COMPARED_REGISTRY, prefix) == 0) {
        if (registry_reference_parse(view_of(c->typed + prefix), &c->reference, err) < 0)
            return -1;
        registry_reference_add_default_tag(&c->reference);
        return open_registry(c, platform, err);
    }
    reference_read(c, c->typed);
    if (open_store(c, platform, &local) == 0)
        return 0;
    /* An ID, or part of one, is nothing that a registry could be asked for. */
    if (local.code != ERROR_NOT_FOUND || c->reference.host == NULL ||
        strncmp(c->typed, "sha256:", 7) == 0)
        return error_move(err, &local);
    if (open_registry(c, platform, err) < 0)
        return error_wrap(err, "not in the store, and from the registry");
    return 0;
}

/* --- Parts -------------------------------------------------------------------------- */

static int fetch(void *context,
                 const struct descriptor *blob,
                 struct cas_arrival *arrival,
                 struct error *err)
{
    const struct cli_compared *const c = context;
    const struct event_sink sink = sink_of(c->transfers);
    const struct registry_progress progress = {&sink, 0};

    if (c->reference.host == NULL)
        return error_set(err, ERROR_NOT_FOUND,
                         "the store lacks a part of this image, and no registry is known");
    return registry_fetch_followed(cli_session_registry(c->session), c->session->store,
                                   &c->reference, blob, arrival, &progress, err);
}

static int docs_read(struct cli_compared *c, struct error *err)
{
    struct cas_store *const store = c->session->store;
    bool found = false;

    if (cas_blob_find(store, &c->image.config.digest, &found, NULL, err) < 0 ||
        (!found && fetch(c, &c->image.config, NULL, err) < 0))
        return -1;
    c->config = cas_blob_read_doc(store, &c->image.config, LIMIT_CONFIG_SIZE, err);
    c->manifest = c->config == NULL ? NULL
                                    : cas_blob_read_doc(store, &c->image.manifest,
                                                        LIMIT_MANIFEST_SIZE, err);
    return c->manifest != NULL ? 0 : -1;
}

static int layers_open(struct cli_compared *c, struct error *err)
{
    const struct doc *const ids = doc_get(doc_get(c->config, "rootfs"), "diff_ids");

    if (doc_count(ids) != c->image.layer_count)
        return error_set(err, ERROR_CORRUPT,
                         "the config names %zu layers, the manifest %zu", doc_count(ids),
                         c->image.layer_count);
    c->layers = base_alloc_array(c->image.layer_count + 1, sizeof(struct cas_layer *));
    for (size_t i = 0; i < c->image.layer_count; i++) {
        struct digest id;

        if (digest_parse(doc_view(doc_at(ids, i)), &id, err) < 0)
            return -1;
        c->layers[i] = cas_layer_new(c->session->store, &id, &c->image.layers[i], fetch, c);
        c->layer_count++;
    }
    return 0;
}

int cli_compared_open(struct cli_compared *c,
                      struct cli_session *session,
                      struct cli_transfers *transfers,
                      const char *typed,
                      const struct registry_platform *platform,
                      struct error *err)
{
    *c = (struct cli_compared){.session = session, .transfers = transfers, .typed = typed};
    if (cli_session_store(session, err) == NULL)
        return -1;
    if (find(c, platform, err) < 0 || docs_read(c, err) < 0 || layers_open(c, err) < 0) {
        cli_compared_release(c);
        return error_wrap(err, "image %s", typed);
    }
    return 0;
}

int cli_compared_bring(struct cli_compared *c, struct error *err)
{
    size_t absent = 0;

    if (build_layers_absent(c->layers, c->layer_count, &absent, err) < 0)
        return -1;
    /* Made before there are several threads that would. */
    if (absent > 0)
        (void)sink_of(c->transfers);
    if (build_layers_bring(c->layers, c->layer_count, err) < 0)
        return error_wrap(err, "image %s", c->typed);
    return 0;
}

struct build_compare_image cli_compared_image(const struct cli_compared *c)
{
    return (struct build_compare_image){
        .store = c->session->store,
        .image = &c->image,
        .manifest = c->manifest,
        .config = c->config,
        .layers = c->layers,
    };
}
