#include "builder/image.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "cas/blob.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NS = 1000000000 };

/* RFC 3339 with as many digits of the second as needed; malloc'ed. */
static char *time_text(int64_t ns)
{
    const time_t seconds = (time_t)(ns / NS);
    struct tm t;
    char text[40];

    gmtime_r(&seconds, &t);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &t);
    if (ns % NS == 0)
        return base_format("%sZ", text);
    char *fraction = base_format("%09lld", (long long)(ns % NS));
    size_t size = 9;
    while (size > 1 && fraction[size - 1] == '0')
        size--;
    char *whole = base_format("%s.%.*sZ", text, (int)size, fraction);
    free(fraction);
    return whole;
}

static int64_t clamp(const struct build_plan *plan, int64_t ns)
{
    return plan->epoch >= 0 && (ns < 0 || ns > plan->epoch * NS) ? plan->epoch * NS : ns;
}

/* --- History --- */

static struct doc *history_entry(const struct doc *from, const char *created)
{
    struct doc *entry = doc_new_object();
    const char *key;

    /* As the specification's own order has it: created first. */
    if (created)
        doc_set_text(entry, "created", created);
    for (size_t i = 0; i < doc_count(from); i++) {
        const struct doc *value = doc_member_at(from, i, &key);

        if (strcmp(key, "created") != 0)
            doc_set(entry, key, doc_copy(value));
        else if (!created)
            doc_set(entry, key, doc_copy(value));
    }
    return entry;
}

static size_t layer_entries(const struct doc *history)
{
    size_t count = 0;

    for (size_t i = 0; i < doc_count(history); i++)
        count += !doc_bool(doc_get(doc_at(history, i), "empty_layer"));
    return count;
}

/* When the first layer of this build was made: for instructions before it that made none.
 */
static int64_t first_created(const struct build_solution *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->created[i] >= 0)
            return s->created[i];
    return -1;
}

/* An instruction that made no layer carries the time of the layer before it. */
static struct doc *make_history(const struct build_plan *plan,
                                const struct build_solution *s,
                                const char **last)
{
    const struct doc *planned = doc_get(plan->config.root, "history");
    struct doc *history = doc_new_array();
    CLEANUP(base_freep) char *created = NULL;
    const char *inherited = NULL;
    size_t layer = 0;

    if (first_created(s) >= 0)
        created = time_text(clamp(plan, first_created(s)));
    for (size_t i = 0; i < doc_count(planned); i++) {
        const struct doc *from = doc_at(planned, i);
        const bool is_base = i < plan->config.base_history_count;
        const bool has_layer = !doc_bool(doc_get(from, "empty_layer"));

        if (!is_base && has_layer && layer < s->count && s->created[layer] >= 0) {
            free(created);
            created = time_text(clamp(plan, s->created[layer]));
        }
        if (is_base && doc_text(doc_get(from, "created")))
            inherited = doc_text(doc_get(from, "created"));
        doc_append(history, history_entry(from, is_base   ? NULL
                                                : created ? created
                                                          : inherited));
        layer += has_layer;
    }
    /* Layers that no instruction speaks of: a directory taken as a base. */
    for (size_t known = layer_entries(history); known < s->count; known++) {
        CLEANUP(base_freep)
        char *when =
            s->created[known] >= 0 ? time_text(clamp(plan, s->created[known])) : NULL;
        struct doc *entry = doc_new_object();

        if (when)
            doc_set_text(entry, "created", when);
        doc_set_text(entry, "created_by", "build context");
        doc_set_text(entry, "comment", "cooper");
        doc_append(history, entry);
    }
    for (size_t i = 0; i < doc_count(history); i++)
        if (doc_text(doc_get(doc_at(history, i), "created")))
            *last = doc_text(doc_get(doc_at(history, i), "created"));
    return history;
}

/* --- Config --- */

/* In the specification's order of members; what cooper does not know comes after. */
static struct doc *make_config(const struct build_plan *plan,
                               const struct build_solution *s)
{
    static const char *const own[] = {"created", "rootfs", "history"};
    struct doc *out = doc_new_object();
    struct doc *rootfs = doc_new_object();
    struct doc *diff_ids = doc_new_array();
    const char *last = NULL;
    struct doc *history = make_history(plan, s, &last);
    const char *key;

    if (last)
        doc_set_text(out, "created", last);
    for (size_t i = 0; i < doc_count(plan->config.root); i++) {
        const struct doc *value = doc_member_at(plan->config.root, i, &key);
        bool is_own = false;

        for (size_t k = 0; k < ARRAY_COUNT(own); k++)
            is_own = is_own || strcmp(key, own[k]) == 0;
        if (!is_own)
            doc_set(out, key, doc_copy(value));
    }
    for (size_t i = 0; i < s->count; i++)
        doc_append_text(diff_ids, digest_format(cas_layer_diff_id(s->layers[i])).text);
    doc_set_text(rootfs, "type", "layers");
    doc_set(rootfs, "diff_ids", diff_ids);
    doc_set(out, "rootfs", rootfs);
    doc_set(out, "history", history);
    return out;
}

static int store_doc(struct cas_store *store,
                     struct doc *d,
                     size_t max,
                     const char *what,
                     struct digest *digest,
                     uint64_t *size,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(max);
    int status;

    doc_write(d, DOC_WRITE_COMPACT, &text);
    doc_unref(d);
    status = buf_ok(&text, what, err);
    if (status == 0)
        status = cas_blob_put(store, buf_view(&text), digest, err);
    *size = text.size;
    return status;
}

/* --- Manifest --- */

/* Docker's names of layer types become those of the specification; the bytes are the same.
 */
static const char *oci_type(const char *media_type)
{
    return strcmp(media_type, MEDIA_DOCKER_LAYER_GZIP) == 0 ? MEDIA_OCI_LAYER_GZIP
                                                            : media_type;
}

static int add_layers(const struct build_solution *s, struct doc *list, struct error *err)
{
    for (size_t i = 0; i < s->count; i++) {
        struct descriptor d = {0};

        if (cas_layer_require_blob(s->layers[i], err) < 0)
            return -1;
        const struct descriptor *blob = cas_layer_blob(s->layers[i]);
        descriptor_init(&d, oci_type(blob->media_type), &blob->digest, blob->size);
        doc_append(list, descriptor_doc(&d));
        descriptor_release(&d);
    }
    return 0;
}

static void add_annotations(const struct build_request *request, struct doc *manifest)
{
    struct doc *annotations;

    if (request->annotation_count == 0)
        return;
    annotations = doc_new_object();
    for (size_t i = 0; i < request->annotation_count; i++)
        doc_set_text(annotations, request->annotations[i].name,
                     request->annotations[i].value ? request->annotations[i].value : "");
    doc_set(manifest, "annotations", annotations);
}

int build_image_make(const struct build_environment *env,
                     const struct build_request *request,
                     const struct build_plan *plan,
                     const struct build_solution *solution,
                     struct descriptor *manifest,
                     struct digest *config,
                     struct error *err)
{
    struct doc *m = doc_new_object();
    struct doc *layers = doc_new_array();
    struct descriptor d = {0};
    struct digest digest;
    uint64_t size;

    if (add_layers(solution, layers, err) < 0 ||
        store_doc(env->store, make_config(plan, solution), LIMIT_CONFIG_SIZE,
                  "image config", config, &size, err) < 0) {
        doc_unref(layers);
        doc_unref(m);
        return -1;
    }
    descriptor_init(&d, MEDIA_OCI_CONFIG, config, size);
    doc_set_int(m, "schemaVersion", 2);
    doc_set_text(m, "mediaType", MEDIA_OCI_MANIFEST);
    doc_set(m, "config", descriptor_doc(&d));
    doc_set(m, "layers", layers);
    add_annotations(request, m);
    descriptor_release(&d);
    if (store_doc(env->store, m, LIMIT_MANIFEST_SIZE, "manifest", &digest, &size, err) < 0)
        return -1;
    descriptor_init(manifest, MEDIA_OCI_MANIFEST, &digest, size);
    manifest->platform = registry_platform_doc(&plan->platform);
    return 0;
}
