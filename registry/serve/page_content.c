/* What a manifest or index holds: platforms; config, layers; what refers to it. */
#include "registry/serve/page_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "registry/image.h"
#include "registry/serve/html.h"

#include <inttypes.h>
#include <string.h>

/* A document that the store may not have, or that is none: NULL. */
static struct doc *read_doc(struct serve *s, const struct descriptor *d, size_t max)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    return cas_blob_read_doc(s->store, d, max, &ignored);
}

/* False for what is no descriptor. */
static bool read_descriptor(const struct doc *doc, struct descriptor *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    return descriptor_parse(doc, out, &ignored) == 0;
}

static bool is_image_config(const char *type)
{
    return strcmp(type, MEDIA_OCI_CONFIG) == 0 || strcmp(type, MEDIA_DOCKER_CONFIG) == 0;
}

/* --- In a few words --- */

static uint64_t add_size(uint64_t sum, const struct doc *descriptor)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};

    if (!read_descriptor(descriptor, &d) || d.size > UINT64_MAX - sum)
        return sum;
    return sum + d.size;
}

static uint64_t image_size(const struct doc *manifest)
{
    const struct doc *layers = doc_get(manifest, "layers");
    uint64_t sum = add_size(0, doc_get(manifest, "config"));

    for (size_t i = 0; i < doc_count(layers); i++)
        sum = add_size(sum, doc_at(layers, i));
    return sum;
}

void page_summary(struct serve *s, const struct descriptor *target, struct buf *out)
{
    CLEANUP(doc_unrefp) struct doc *doc = read_doc(s, target, LIMIT_MANIFEST_SIZE);
    CLEANUP(descriptor_release) struct descriptor config = {0};

    if (!doc) {
        buf_append_text(out, "?");
    } else if (registry_media_is_index(target->media_type)) {
        buf_printf(out, "index of %zu", doc_count(doc_get(doc, "manifests")));
    } else {
        const bool is_image = read_descriptor(doc_get(doc, "config"), &config) &&
                              is_image_config(config.media_type);
        buf_append_text(out, is_image ? "image, " : "artifact, ");
        html_size(out, image_size(doc));
    }
}

/* --- An index --- */

static void put_platform(const struct doc *platform, struct buf *out)
{
    static const char *const members[] = {"os", "architecture", "variant", "os.version"};
    bool any = false;

    for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
        const struct view v = doc_view(doc_get(platform, members[i]));
        if (v.size == 0)
            continue;
        buf_append_text(out, any ? "/" : "");
        html_text(out, v);
        any = true;
    }
    if (!any)
        buf_append_text(out, "-");
}

/* What nobody pushed can be named only, unless the upstream has it. */
static void put_entry(struct serve *s,
                      const char *repository,
                      const struct descriptor *d,
                      struct buf *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(descriptor_release) struct descriptor target = {0};
    bool found;

    if (serve_manifest_find(s, repository, &d->digest, &found, NULL, &target, &ignored) < 0)
        found = false;
    const bool is_to_be_had = found || s->upstream;
    buf_append_text(out, "</td><td>");
    if (is_to_be_had)
        html_link(out, repository, NULL, digest_format(&d->digest).text);
    html_digest(out, &d->digest);
    buf_append_text(out, is_to_be_had ? "</a></td><td>" : "</td><td>");
    if (found)
        page_summary(s, &target, out);
    else
        buf_append_text(out, s->upstream ? "at the upstream" : "not here");
    buf_append_text(out, "</td></tr>\n");
}

static void put_index(struct serve_exchange *x,
                      const char *repository,
                      const struct doc *index,
                      struct buf *out)
{
    const struct doc *entries = doc_get(index, "manifests");
    const size_t count = doc_count(entries);

    buf_append_text(out, "<h2>Manifests</h2>\n<table id=\"manifests\"><thead><tr>"
                         "<th>Platform</th><th>Digest</th><th>What</th></tr></thead>\n"
                         "<tbody>\n");
    for (size_t i = 0; i < count && i < PAGE_ROWS_MAX; i++) {
        CLEANUP(descriptor_release) struct descriptor d = {0};
        if (!read_descriptor(doc_at(entries, i), &d))
            continue;
        buf_append_text(out, "<tr><td>");
        put_platform(d.platform, out);
        put_entry(x->serve, repository, &d, out);
    }
    buf_append_text(out, "</tbody></table>\n");
    page_more(out, PAGE_ROWS_MAX, count);
}

/* --- Config --- */

/* A list of texts as one would write it, a text as it is. */
static void put_words(const char *name, const struct doc *words, struct buf *out)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_CONFIG_SIZE);

    if (doc_type(words) == DOC_TEXT) {
        html_row(out, name, doc_view(words));
        return;
    }
    if (doc_count(words) == 0)
        return;
    doc_write(words, DOC_WRITE_COMPACT, &text);
    html_row(out, name, buf_view(&text));
}

/* The names of an object's members: ports, volumes. */
static void put_keys(const char *name, const struct doc *object, struct buf *out)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_CONFIG_SIZE);
    const struct doc *value;

    for (const char *key = NULL; doc_next(object, &key, &value);)
        buf_printf(&text, "%s%s", text.size ? " " : "", key);
    html_row(out, name, buf_view(&text));
}

static void put_pairs(const char *title,
                      const char *id,
                      const struct doc *object,
                      struct buf *out)
{
    const struct doc *value;
    size_t shown = 0;

    if (doc_type(object) != DOC_OBJECT || doc_count(object) == 0)
        return;
    html_put(out, "<h2>%s</h2>\n<table id=\"%s\"><tbody>\n", title, id);
    for (const char *key = NULL; doc_next(object, &key, &value);) {
        if (++shown > PAGE_ROWS_MAX)
            break;
        html_put(out, "<tr><th scope=\"row\">%s</th><td>", key);
        html_text(out, doc_view(value));
        buf_append_text(out, "</td></tr>\n");
    }
    buf_append_text(out, "</tbody></table>\n");
    page_more(out, PAGE_ROWS_MAX, doc_count(object));
}

static void put_environment(const struct doc *list, struct buf *out)
{
    if (doc_count(list) == 0)
        return;
    buf_append_text(out, "<h2>Environment</h2>\n<pre id=\"environment\">");
    for (size_t i = 0; i < doc_count(list) && i < PAGE_ROWS_MAX; i++) {
        html_text(out, doc_view(doc_at(list, i)));
        buf_append_text(out, "\n");
    }
    buf_append_text(out, "</pre>\n");
    page_more(out, PAGE_ROWS_MAX, doc_count(list));
}

static void put_config(const struct doc *config, struct buf *out)
{
    const struct doc *c = doc_get(config, "config");

    buf_append_text(out, "<h2>Config</h2>\n<table id=\"config\"><tbody>\n"
                         "<tr><th scope=\"row\">Platform</th><td>");
    put_platform(config, out);
    buf_append_text(out, "</td></tr>\n");
    html_row(out, "Created", doc_view(doc_get(config, "created")));
    html_row(out, "Author", doc_view(doc_get(config, "author")));
    put_words("Entrypoint", doc_get(c, "Entrypoint"), out);
    put_words("Command", doc_get(c, "Cmd"), out);
    html_row(out, "Working directory", doc_view(doc_get(c, "WorkingDir")));
    html_row(out, "User", doc_view(doc_get(c, "User")));
    put_keys("Ports", doc_get(c, "ExposedPorts"), out);
    put_keys("Volumes", doc_get(c, "Volumes"), out);
    html_row(out, "Stop signal", doc_view(doc_get(c, "StopSignal")));
    put_words("Health check", doc_get(doc_get(c, "Healthcheck"), "Test"), out);
    put_words("Shell", doc_get(c, "Shell"), out);
    put_words("On build", doc_get(c, "OnBuild"), out);
    buf_append_text(out, "</tbody></table>\n");
    put_environment(doc_get(c, "Env"), out);
    put_pairs("Labels", "labels", doc_get(c, "Labels"), out);
}

/* --- Layers --- */

/* The next step of the history that made a layer; *at goes past it. */
static struct view next_step(const struct doc *history, size_t *at)
{
    while (*at < doc_count(history)) {
        const struct doc *step = doc_at(history, (*at)++);
        if (!doc_bool(doc_get(step, "empty_layer")))
            return doc_view(doc_get(step, "created_by"));
    }
    return (struct view){0};
}

static void put_layer(struct serve *s,
                      const char *repository,
                      const struct descriptor *d,
                      struct view step,
                      struct buf *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    const struct digest_text digest = digest_format(&d->digest);
    bool found;

    if (serve_blob_find(s, repository, &d->digest, &found, NULL, &ignored) < 0)
        found = false;
    html_put(out, "<td><a href=\"/v2/%s/blobs/%s\">", repository, digest.text);
    html_digest(out, &d->digest);
    buf_append_text(out, found || s->upstream ? "</a>" : "</a> not here");
    buf_append_text(out, "</td><td class=\"number\">");
    html_size(out, d->size);
    html_put(out, "</td><td class=\"soft\">%s</td><td><code>", d->media_type);
    html_text(out, step);
    buf_append_text(out, "</code></td></tr>\n");
}

static void put_layers(struct serve *s,
                       const char *repository,
                       const struct doc *manifest,
                       const struct doc *history,
                       struct buf *out)
{
    const struct doc *layers = doc_get(manifest, "layers");
    size_t at = 0;

    buf_append_text(out, "<h2>Layers</h2>\n<table id=\"layers\"><thead><tr><th></th>"
                         "<th>Digest</th><th>Size</th><th>Media type</th><th>Made by</th>"
                         "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < doc_count(layers) && i < PAGE_ROWS_MAX; i++) {
        CLEANUP(descriptor_release) struct descriptor d = {0};
        const struct view step = next_step(history, &at);
        if (!read_descriptor(doc_at(layers, i), &d))
            continue;
        buf_printf(out, "<tr><td class=\"number\">%zu</td>", i + 1);
        put_layer(s, repository, &d, step, out);
    }
    buf_append_text(out, "</tbody></table>\n<p>In all ");
    html_size(out, image_size(manifest));
    buf_append_text(out, ".</p>\n");
    page_more(out, PAGE_ROWS_MAX, doc_count(layers));
}

/* The config of an image, if the repository shows it. */
static struct doc *read_config(struct serve *s,
                               const char *repository,
                               const struct descriptor *d)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    bool found = false;

    if (!is_image_config(d->media_type) ||
        serve_blob_find(s, repository, &d->digest, &found, NULL, &ignored) < 0 || !found)
        return NULL;
    return read_doc(s, d, LIMIT_CONFIG_SIZE);
}

static void put_manifest(struct serve_exchange *x,
                         const char *repository,
                         const struct doc *manifest,
                         struct buf *out)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};
    CLEANUP(doc_unrefp)
    struct doc *config = read_descriptor(doc_get(manifest, "config"), &d)
                             ? read_config(x->serve, repository, &d)
                             : NULL;

    put_layers(x->serve, repository, manifest, doc_get(config, "history"), out);
    if (config)
        put_config(config, out);
}

/* --- Referrers --- */

static void put_referrers(struct serve_exchange *x,
                          const char *repository,
                          const struct digest *subject,
                          struct buf *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(cas_repository_manifests_release) struct cas_repository_manifests list = {0};
    const struct digest none = {.alg = DIGEST_NONE};

    if (cas_repository_referrers(x->serve->store, repository, subject, NULL, &none,
                                 PAGE_ROWS_MAX, &list, &ignored) < 0 ||
        list.count == 0)
        return;
    buf_append_text(out, "<h2>Referrers</h2>\n<table id=\"referrers\"><thead><tr>"
                         "<th>Type</th><th>Digest</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < list.count; i++) {
        const struct descriptor *d = &list.items[i].target;
        html_put(out, "<tr><td>%s</td><td>", d->artifact_type ? d->artifact_type : "-");
        html_link(out, repository, NULL, digest_format(&d->digest).text);
        html_digest(out, &d->digest);
        buf_append_text(out, "</a></td></tr>\n");
    }
    buf_append_text(out, "</tbody></table>\n");
}

void page_content(struct serve_exchange *x,
                  const char *repository,
                  const struct descriptor *target,
                  struct buf *out)
{
    CLEANUP(doc_unrefp) struct doc *doc = read_doc(x->serve, target, LIMIT_MANIFEST_SIZE);

    if (!doc)
        buf_append_text(out, "<p>It cannot be read.</p>\n");
    else if (registry_media_is_index(target->media_type))
        put_index(x, repository, doc, out);
    else
        put_manifest(x, repository, doc, out);
    put_pairs("Annotations", "annotations", doc_get(doc, "annotations"), out);
    put_referrers(x, repository, &target->digest, out);
}
