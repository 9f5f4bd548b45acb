#include "builder/rebuild.h"

#include "base/alloc.h"
#include "builder/git_url.h"
#include "builder/provenance.h"
#include "builder/remote.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMAGE "docker-image://"

void build_rebuild_release(struct build_rebuild *r)
{
    free(r->args);
    free(r->contexts);
    free(r->labels);
    free(r->hosts);
    free(r->annotations);
    for (size_t i = 0; i < r->request.pin_count; i++)
        base_free_text(r->pins[i].name);
    free(r->pins);
    free(r->platforms);
    *r = (struct build_rebuild){0};
}

static int corrupt(const char *what, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "the record of how it was built: %s", what);
}

/* --- Lists --- */

static const char *text_of(const struct doc *d, const char *key)
{
    return doc_text(doc_get(d, key));
}

static int64_t number_of(const struct doc *d, const char *key, int64_t otherwise)
{
    int64_t value;

    return doc_int(doc_get(d, key), &value) ? value : otherwise;
}

/* {"NAME":"VALUE"} */
static int read_arguments(const struct doc *object, struct build_rebuild *r)
{
    const struct doc *value;

    r->args = base_alloc_array(doc_count(object) + 1, sizeof *r->args);
    for (const char *key = NULL; doc_next(object, &key, &value);)
        if (doc_text(value))
            r->args[r->request.arg_count++] = (struct build_pair){key, doc_text(value)};
    r->request.args = r->args;
    return 0;
}

/* [{"name":..,"value":..}]; malloc'ed. */
static struct build_pair *read_pairs(const struct doc *list, size_t *count)
{
    struct build_pair *pairs = base_alloc_array(doc_count(list) + 1, sizeof *pairs);

    *count = 0;
    for (size_t i = 0; i < doc_count(list); i++) {
        const char *name = text_of(doc_at(list, i), "name");
        const char *value = text_of(doc_at(list, i), "value");

        if (name && value)
            pairs[(*count)++] = (struct build_pair){name, value};
    }
    return pairs;
}

static void read_annotations(const struct doc *list, struct build_rebuild *r)
{
    r->annotations = base_alloc_array(doc_count(list) + 1, sizeof *r->annotations);
    for (size_t i = 0; i < doc_count(list); i++) {
        const struct doc *d = doc_at(list, i);
        const int64_t on = number_of(d, "on", 0);

        if (!text_of(d, "name") || !text_of(d, "value") || on < 0 ||
            on > BUILD_ANNOTATED_INDEX_DESCRIPTOR)
            continue;
        r->annotations[r->request.annotation_count++] =
            (struct build_annotation){.name = text_of(d, "name"),
                                      .value = text_of(d, "value"),
                                      .platform = text_of(d, "platform"),
                                      .on = (enum build_annotated)on};
    }
    r->request.annotations = r->annotations;
}

static int read_pins(const struct doc *list, struct build_rebuild *r, struct error *err)
{
    r->pins = base_alloc_array(doc_count(list) + 1, sizeof *r->pins);
    r->request.pins = r->pins;
    for (size_t i = 0; i < doc_count(list); i++) {
        const char *uri = text_of(doc_at(list, i), "uri");
        const struct doc *digests = doc_get(doc_at(list, i), "digest"), *hex;
        struct build_pin *pin = &r->pins[r->request.pin_count];

        if (!uri || strncmp(uri, IMAGE, strlen(IMAGE)) != 0)
            continue;
        for (const char *alg = NULL; doc_next(digests, &alg, &hex);) {
            CLEANUP(base_freep)
            char *text = base_format("%s:%s", alg, doc_text(hex) ? doc_text(hex) : "");

            if (digest_parse(view_of(text), &pin->root, err) < 0)
                return error_wrap(err, "%s", uri);
        }
        if (!digest_is_set(&pin->root))
            return corrupt("a base image has no digest", err);
        pin->name = base_strdup(uri + strlen(IMAGE));
        r->request.pin_count++;
    }
    return 0;
}

/* --- Single values --- */

static int read_form(const struct doc *d, struct build_rebuild *r, struct error *err)
{
    struct build_request *q = &r->request;
    const int64_t type = number_of(d, "compression", 0);
    const int64_t level = number_of(d, "compressionLevel", 0);
    const int64_t split = number_of(d, "split", 0);

    if (type < 0 || type > CAS_COMPRESSION_NONE || level < 0 || level > 22 || split < 0)
        return corrupt("there is no such compression", err);
    q->compression = (enum cas_compression)type;
    q->compression_level = (int)level;
    q->force_compression = doc_bool(doc_get(d, "forceCompression"));
    q->reshape = (struct build_reshape){.squash = doc_bool(doc_get(d, "squash")),
                                        .squash_all = doc_bool(doc_get(d, "squashAll")),
                                        .split_size = (uint64_t)split};
    r->output = (struct build_output){
        .type = BUILD_OUTPUT_STORE,
        .docker_media_types = doc_bool(doc_get(d, "dockerMediaTypes")),
        .keeps_nondistributable = doc_bool(doc_get(d, "keepsNondistributable")),
        .compression = {q->compression, q->compression_level, q->force_compression}};
    q->outputs = &r->output;
    q->output_count = 1;
    r->cache_to = (struct build_cache_to){.type = BUILD_CACHE_INLINE};
    q->cache_to = &r->cache_to;
    q->cache_to_count = doc_bool(doc_get(d, "inlineCache")) ? 1 : 0;
    read_annotations(doc_get(d, "annotations"), r);
    return 0;
}

/* What is a path must still be there. */
static int read_context(const char *given, struct build_rebuild *r, struct error *err)
{
    const char *context = given ? given : r->context;
    enum build_remote_kind kind;

    r->request.context = context;
    if (!context)
        return 0;
    if (strcmp(context, "-") == 0)
        return error_set(err, ERROR_NOT_FOUND,
                         "its context was read from standard input: give it with "
                         "--context");
    if (build_remote_kind(context, true, &kind, err) < 0)
        return -1;
    if (kind == BUILD_REMOTE_NONE && access(context, F_OK) < 0)
        return error_sys(err, "the context %s: --context names another", context);
    return 0;
}

static int read_parameters(const struct doc *d, struct build_rebuild *r, struct error *err)
{
    struct build_request *q = &r->request;
    const struct doc *platforms = doc_get(d, "platforms");
    const int64_t shm = number_of(d, "shmSize", 0);

    r->context = text_of(d, "context");
    q->dockerfile = text_of(d, "dockerfile");
    q->dockerfile_text = doc_view(doc_get(d, "dockerfileText"));
    if (!q->dockerfile_text.data)
        return corrupt("it has no Dockerfile", err);
    q->target = text_of(d, "target");
    q->network = text_of(d, "network");
    q->shm_size = shm > 0 ? (uint64_t)shm : 0;
    q->allow_insecure = doc_bool(doc_get(d, "allowInsecure"));
    q->allow_host_network = doc_bool(doc_get(d, "allowHostNetwork"));
    q->epoch = number_of(d, "sourceDateEpoch", -1);
    r->platforms = base_alloc_array(doc_count(platforms) + 1, sizeof *r->platforms);
    for (size_t i = 0; i < doc_count(platforms); i++)
        if (doc_text(doc_at(platforms, i)))
            r->platforms[q->platform_count++] = doc_text(doc_at(platforms, i));
    q->platforms = r->platforms;
    q->contexts = r->contexts = read_pairs(doc_get(d, "contexts"), &q->context_count);
    q->labels = r->labels = read_pairs(doc_get(d, "labels"), &q->label_count);
    q->add_hosts = r->hosts = read_pairs(doc_get(d, "addHosts"), &q->add_host_count);
    return read_arguments(doc_get(d, "args"), r);
}

static int read_all(const struct doc *record,
                    const char *context,
                    struct build_rebuild *r,
                    struct error *err)
{
    const struct doc *definition = doc_get(doc_get(record, "predicate"), "buildDefinition");
    const struct doc *parameters = doc_get(definition, "externalParameters");
    const char *type = text_of(definition, "buildType");

    if (!type || doc_type(parameters) != DOC_OBJECT)
        return corrupt("it is none", err);
    if (strcmp(type, BUILD_PROVENANCE_TYPE) != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "it was built by something else (%s): cooper repeats only its own "
                         "builds",
                         type);
    if (read_parameters(parameters, r, err) < 0 || read_form(parameters, r, err) < 0 ||
        read_pins(doc_get(definition, "resolvedDependencies"), r, err) < 0)
        return -1;
    r->request.no_cache = true;
    return read_context(context, r, err);
}

int build_rebuild_open(const struct doc *record,
                       const char *context,
                       struct build_rebuild *out,
                       struct error *err)
{
    *out = (struct build_rebuild){0};
    if (read_all(record, context, out, err) == 0)
        return 0;
    build_rebuild_release(out);
    return -1;
}
