#include "builder/provenance.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/version.h"
#include "cas/note.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define PREDICATE_TYPE "https://slsa.dev/provenance/v1"

/* --- Parameters --- */

static void set_given(struct doc *d, const char *key, const char *text)
{
    if (text && *text)
        doc_set(d, key, doc_new_text(view_of(text)));
}

static void set_true(struct doc *d, const char *key, bool value)
{
    if (value)
        doc_set_bool(d, key, true);
}

static void set_number(struct doc *d, const char *key, int64_t value)
{
    if (value != 0)
        doc_set_int(d, key, value);
}

/* Consumes `list`. */
static void set_some(struct doc *d, const char *key, struct doc *list)
{
    if (doc_count(list) > 0)
        doc_set(d, key, list);
    else
        doc_unref(list);
}

/* They may hold passwords, and no result depends on them. */
static bool is_proxy(const char *name)
{
    const size_t size = strlen(name);

    return size > 6 && strcasecmp(name + size - 6, "_proxy") == 0;
}

/* An argument without a value has that of the environment now. */
static struct doc *arguments_doc(const struct build_request *r)
{
    struct doc *args = doc_new_object();

    for (size_t i = 0; i < r->arg_count; i++) {
        const char *value = r->args[i].value ? r->args[i].value : getenv(r->args[i].name);

        if (value && !is_proxy(r->args[i].name))
            doc_set(args, r->args[i].name, doc_new_text(view_of(value)));
    }
    return args;
}

/* In their order, which counts: [{"name":..,"value":..}]. Directories become absolute. */
static struct doc *pairs_doc(const struct build_pair *pairs, size_t count, bool are_places)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < count; i++) {
        CLEANUP(base_freep)
        char *path = are_places && pairs[i].value ? realpath(pairs[i].value, NULL) : NULL;
        const char *value = path ? path : pairs[i].value;
        struct doc *d = doc_new_object();

        doc_set(d, "name", doc_new_text(view_of(pairs[i].name)));
        doc_set(d, "value", doc_new_text(view_of(value ? value : "")));
        doc_append(list, d);
    }
    return list;
}

static struct doc *texts_doc(const char *const *items, size_t count)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < count; i++)
        doc_append(list, doc_new_text(view_of(items[i])));
    return list;
}

/* Needed, and not told. */
static struct doc *secrets_doc(const struct build_request *r)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < r->secret_count; i++)
        doc_append(list, doc_new_text(view_of(r->secrets[i].id)));
    return list;
}

static void add_annotations(struct doc *list,
                            const struct build_annotation *annotations,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct doc *d = doc_new_object();

        doc_set(d, "name", doc_new_text(view_of(annotations[i].name)));
        doc_set(d, "value", doc_new_text(view_of(annotations[i].value)));
        set_given(d, "platform", annotations[i].platform);
        set_number(d, "on", annotations[i].on);
        doc_append(list, d);
    }
}

/* That of the store's image: of the first output that is one. */
static void add_form(struct doc *d, const struct build_request *r)
{
    struct doc *annotations = doc_new_array();
    const struct build_output *o = NULL;

    for (size_t i = 0; i < r->output_count && !o; i++)
        if (build_output_is_image(r->outputs[i].type))
            o = &r->outputs[i];
    add_annotations(annotations, r->annotations, r->annotation_count);
    if (o) {
        add_annotations(annotations, o->annotations, o->annotation_count);
        set_true(d, "dockerMediaTypes", o->docker_media_types);
        set_true(d, "keepsNondistributable", o->keeps_nondistributable);
    }
    set_some(d, "annotations", annotations);
    set_number(d, "compression", r->compression);
    set_number(d, "compressionLevel", r->compression_level);
    set_true(d, "forceCompression", r->force_compression);
    set_true(d, "squash", r->reshape.squash);
    set_true(d, "squashAll", r->reshape.squash_all);
    set_number(d, "split", (int64_t)r->reshape.split_size);
    for (size_t i = 0; i < r->cache_to_count; i++)
        set_true(d, "inlineCache", r->cache_to[i].type == BUILD_CACHE_INLINE);
}

static struct doc *parameters_doc(const struct build_provenance *p)
{
    const struct build_request *r = p->request;
    CLEANUP(base_freep) char *origin = build_inputs_origin(p->inputs);
    CLEANUP(base_freep) char *path = build_inputs_dockerfile_path(p->inputs);
    struct doc *d = doc_new_object();

    set_given(d, "context", origin);
    set_given(d, "dockerfile", path);
    doc_set(d, "dockerfileText", doc_new_text(p->dockerfile));
    set_given(d, "target", r->target);
    set_some(d, "platforms", texts_doc(r->platforms, r->platform_count));
    set_some(d, "args", arguments_doc(r));
    set_some(d, "contexts", pairs_doc(r->contexts, r->context_count, true));
    set_some(d, "labels", pairs_doc(r->labels, r->label_count, false));
    set_some(d, "addHosts", pairs_doc(r->add_hosts, r->add_host_count, false));
    set_some(d, "secrets", secrets_doc(r));
    set_given(d, "network", r->network);
    set_number(d, "shmSize", (int64_t)r->shm_size);
    set_true(d, "allowInsecure", r->allow_insecure);
    set_true(d, "allowHostNetwork", r->allow_host_network);
    if (p->plans->items[0].epoch >= 0)
        doc_set_int(d, "sourceDateEpoch", p->plans->items[0].epoch);
    add_form(d, r);
    return d;
}

/* --- What it was made of, what came of it --- */

static struct doc *digest_doc(const struct digest *digest)
{
    struct doc *d = doc_new_object();

    doc_set_text(d, digest_alg_name(digest->alg), digest_hex(digest).text);
    return d;
}

static bool has_uri(const struct doc *list, const char *uri)
{
    for (size_t i = 0; i < doc_count(list); i++)
        if (strcmp(doc_text(doc_get(doc_at(list, i), "uri")), uri) == 0)
            return true;
    return false;
}

static struct doc *dependencies_doc(const struct build_provenance *p)
{
    CLEANUP(base_freep) char *revision = build_inputs_revision(p->inputs);
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < p->plans->graph.image_count; i++) {
        const struct build_image *image = p->plans->graph.images[i];
        CLEANUP(base_freep) char *uri = base_format("docker-image://%s", image->name);
        struct doc *d;

        if (!image->ref.host || has_uri(list, uri))
            continue;
        d = doc_new_object();
        doc_set_text(d, "uri", uri);
        doc_set(d, "digest", digest_doc(&image->image.root.digest));
        doc_append(list, d);
    }
    if (revision) {
        CLEANUP(base_freep) char *origin = build_inputs_origin(p->inputs);
        struct doc *d = doc_new_object(), *digest = doc_new_object();

        doc_set_text(digest, "gitCommit", revision);
        doc_set(d, "uri", doc_new_text(view_of(origin)));
        doc_set(d, "digest", digest);
        doc_append(list, d);
    }
    return list;
}

static struct doc *byproducts_doc(const struct build_solution *s)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < s->solved_count; i++) {
        struct doc *d = doc_new_object();

        doc_set(d, "name", doc_new_text(view_of(s->solved[i].node->title)));
        doc_set(d, "digest", digest_doc(&s->solved[i].record.outcome));
        doc_append(list, d);
    }
    return list;
}

/* --- The statement --- */

static struct doc *subjects_doc(const struct build_provenance *p)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i == 0 || i < p->name_count; i++) {
        struct doc *d = doc_new_object();

        doc_set_text(d, "name", p->name_count > 0 ? p->names[i] : "");
        doc_set(d, "digest", digest_doc(&p->result->manifest.digest));
        doc_append(list, d);
    }
    return list;
}

static struct doc *run_doc(const struct build_provenance *p)
{
    const time_t now = time(NULL);
    struct doc *run = doc_new_object(), *builder = doc_new_object(),
               *version = doc_new_object(), *metadata = doc_new_object();
    struct tm t;
    char text[40];

    gmtime_r(&now, &t);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &t);
    doc_set_text(version, "cooper", COOPER_VERSION);
    doc_set_text(builder, "id", "cooper");
    doc_set(builder, "version", version);
    if (p->result->build[0])
        doc_set_text(metadata, "invocationId", p->result->build);
    doc_set_text(metadata, "finishedOn", text);
    doc_set(run, "builder", builder);
    doc_set(run, "metadata", metadata);
    doc_set(run, "byproducts", byproducts_doc(&p->solutions[0]));
    return run;
}

static struct doc *statement_doc(const struct build_provenance *p)
{
    struct doc *statement = doc_new_object(), *predicate = doc_new_object(),
               *definition = doc_new_object();

    doc_set_text(definition, "buildType", BUILD_PROVENANCE_TYPE);
    doc_set(definition, "externalParameters", parameters_doc(p));
    doc_set(definition, "resolvedDependencies", dependencies_doc(p));
    doc_set(predicate, "buildDefinition", definition);
    doc_set(predicate, "runDetails", run_doc(p));
    doc_set_text(statement, "_type", STATEMENT_TYPE);
    doc_set(statement, "subject", subjects_doc(p));
    doc_set_text(statement, "predicateType", PREDICATE_TYPE);
    doc_set(statement, "predicate", predicate);
    return statement;
}

static char *note_path(const struct digest *image)
{
    return base_format("provenance/%s", digest_hex(image).text);
}

/* A build that was made from a record has nothing to add where it came out the same. */
static bool is_known(const struct build_provenance *p, const char *path)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(2 * LIMIT_TEXT_SIZE);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    bool found = false;

    return p->request->dockerfile_text.data &&
           cas_note_read(p->env->store, path, &text, &found, &ignored) == 0 && found;
}

void build_provenance_keep(const struct build_provenance *p)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(2 * LIMIT_TEXT_SIZE);
    CLEANUP(doc_unrefp) struct doc *statement = NULL;
    CLEANUP(base_freep) char *path = note_path(&p->result->manifest.digest);
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (is_known(p, path))
        return;
    statement = statement_doc(p);
    doc_write(statement, DOC_WRITE_COMPACT, &text);
    if (buf_ok(&text, "provenance", &err) < 0 ||
        cas_note_write(p->env->store, path, buf_view(&text), &err) < 0)
        log_debug("%s: %s", path, error_text(&err));
}

/* --- Reading --- */

struct doc *build_provenance_find(struct cas_store *store,
                                  const struct digest *image,
                                  struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(2 * LIMIT_TEXT_SIZE);
    CLEANUP(base_freep) char *path = note_path(image);
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    bool found = false;

    if (cas_note_read(store, path, &text, &found, err) < 0)
        return NULL;
    if (found)
        d = doc_parse(buf_view(&text), err);
    if (found && !d) {
        err->code = ERROR_CORRUPT;
        error_wrap(err, "the record of how %s was built", digest_format(image).text);
        return NULL;
    }
    if (!found) {
        error_set(err, ERROR_NOT_FOUND,
                  "there is no record of how %s was built: it was not built in this store",
                  digest_format(image).text);
        return NULL;
    }
    return doc_ref(d);
}

static const struct doc *byproducts(const struct doc *statement)
{
    return doc_get(doc_get(doc_get(statement, "predicate"), "runDetails"), "byproducts");
}

const char *build_provenance_first_change(const struct doc *before, const struct doc *after)
{
    const struct doc *a = byproducts(before), *b = byproducts(after);

    for (size_t i = 0; i < doc_count(a); i++) {
        const char *name = doc_text(doc_get(doc_at(a, i), "name"));

        for (size_t k = 0; name && k < doc_count(b); k++) {
            const char *other = doc_text(doc_get(doc_at(b, k), "name"));

            if (other && strcmp(name, other) == 0 &&
                !doc_equal(doc_get(doc_at(a, i), "digest"),
                           doc_get(doc_at(b, k), "digest")))
                return name;
        }
    }
    return NULL;
}
