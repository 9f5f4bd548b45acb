/* cooper index create|inspect */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/reach.h"
#include "cas/ref.h"
#include "cli/build_value.h"
#include "cli/image.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "registry/index.h"
#include "registry/pull.h"
#include "registry/push.h"

#include <stddef.h>
#include <stdlib.h>

struct index_options {
    struct cli_texts tags;
    struct cli_texts annotations;
    const char *progress;
    bool push;
    bool dry_run;
    bool mixed;
    bool raw;
};

static const struct cli_option options[] = {
    {0, "annotation", CLI_OPTION_TEXTS, "KEY=VALUE", "create: an annotation of the index",
     offsetof(struct index_options, annotations)},
    {0, "dry-run", CLI_OPTION_SWITCH, NULL,
     "create: print the index and change nothing else",
     offsetof(struct index_options, dry_run)},
    {0, "mixed", CLI_OPTION_SWITCH, NULL,
     "create: join images also where their version, revision, source or title differ",
     offsetof(struct index_options, mixed)},
    {0, "progress", CLI_OPTION_TEXT, "MODE", "auto, plain, tty, quiet or rawjson",
     offsetof(struct index_options, progress)},
    {0, "push", CLI_OPTION_SWITCH, NULL, "create: push the index under each tag",
     offsetof(struct index_options, push)},
    {0, "raw", CLI_OPTION_SWITCH, NULL, "inspect: print the document as it is",
     offsetof(struct index_options, raw)},
    {'t', "tag", CLI_OPTION_TEXTS, "NAME[:TAG]", "create: a name of the index",
     offsetof(struct index_options, tags)},
};

/* An image that is joined: where it was found. */
struct source {
    struct descriptor root;
    struct registry_reference reference; /* host NULL: the store has it */
};

struct creation {
    struct cli_session *session;
    const struct index_options *o;
    struct source *sources;
    size_t source_count;
    struct registry_join join;
    struct registry_origin *origins; /* of layers that stay where they are */
    size_t origin_count;
    size_t origin_capacity;
    struct descriptor root;
};

static void creation_release(struct creation *c)
{
    for (size_t i = 0; i < c->source_count; i++) {
        descriptor_release(&c->sources[i].root);
        registry_reference_release(&c->sources[i].reference);
    }
    free(c->sources);
    free(c->origins);
    registry_join_release(&c->join);
    descriptor_release(&c->root);
}

/* --- Sources ------------------------------------------------------------------------ */

/* Layers are only needed here if the store is to name the index. */
static int source_pull(struct cli_session *session,
                       const char *text,
                       bool lazy,
                       const struct event_sink *sink,
                       struct source *out,
                       struct error *err)
{
    CLEANUP(registry_image_release) struct registry_image image = {0};
    const struct registry_pull_options pull = {
        .lazy = lazy, .all_platforms = true, .progress = {.sink = sink}};

    if (registry_reference_parse(view_of(text), &out->reference, err) < 0)
        return -1;
    registry_reference_add_default_tag(&out->reference);
    if (registry_pull(cli_session_registry(session), session->store, &out->reference,
                      &registry_platform_any, &pull, &image, err) < 0)
        return -1;
    descriptor_copy(&out->root, &image.root);
    return 0;
}

/* The store's image of that name, or else the registry's. */
static int source_find(struct cli_session *session,
                       const char *text,
                       bool lazy,
                       const struct event_sink *sink,
                       struct source *out,
                       struct error *err)
{
    CLEANUP(error_clear) struct error missing = ERROR_INIT;
    CLEANUP(base_freep) char *name = NULL;

    if (cli_image_resolve(session->store, text, &name, &out->root, &missing) == 0)
        return 0;
    if (missing.code != ERROR_NOT_FOUND || strncmp(text, "sha256:", 7) == 0)
        return error_move(err, &missing);
    return source_pull(session, text, lazy, sink, out, err);
}

struct origins {
    struct creation *creation;
    const struct registry_reference *repository;
};

static int origin_add(void *context,
                      const struct descriptor *d,
                      bool *descend,
                      struct error *err)
{
    const struct origins *const o = context;
    struct creation *const c = o->creation;

    (void)err;
    (void)descend;
    c->origins =
        base_grow(c->origins, c->origin_count, &c->origin_capacity, sizeof c->origins[0]);
    c->origins[c->origin_count++] = (struct registry_origin){d->digest, o->repository};
    return 0;
}

static int sources_read(struct creation *c,
                        const struct cli_texts *arguments,
                        const struct event_sink *sink,
                        struct error *err)
{
    const bool lazy = c->o->push || c->o->dry_run;

    c->sources = base_alloc_array(arguments->count, sizeof c->sources[0]);
    for (size_t i = 1; i < arguments->count; i++) {
        struct source *const source = &c->sources[c->source_count++];
        struct origins origins = {c, &source->reference};

        if (source_find(c->session, arguments->items[i], lazy, sink, source, err) < 0 ||
            registry_join_add(&c->join, c->session->store, arguments->items[i],
                              &source->root, err) < 0)
            return -1;
        if (source->reference.host != NULL &&
            cas_reach_walk(c->session->store, &source->root, CAS_REACH_HOLD, origin_add,
                           &origins, err) < 0)
            return -1;
    }
    return c->o->mixed ? 0 : registry_join_check(&c->join, err);
}

/* --- The index ---------------------------------------------------------------------- */

static int annotations_make(const struct cli_texts *from,
                            struct doc **out,
                            struct error *err)
{
    for (size_t i = 0; i < from->count; i++) {
        const char *const text = from->items[i];
        struct view key, value;

        if (strncmp(text, "index:", 6) == 0)
            (void)view_cut(view_of(text + 6), '=', &key, &value);
        else
            (void)view_cut(view_of(text), '=', &key, &value);
        if (key.size == 0 || strchr(text, '=') == NULL)
            return error_set(err, ERROR_USAGE, "--annotation is KEY=VALUE, not '%s'", text);
        CLEANUP(base_freep) char *name = view_dup(key);
        if (*out == NULL)
            *out = doc_new_object();
        doc_set_text(*out, name, value.data);
    }
    return 0;
}

static int index_make(struct creation *c, struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *annotations = NULL;
    CLEANUP(base_freep)
    struct descriptor *entries = base_alloc_array(c->join.count + 1, sizeof entries[0]);
    bool is_docker = true;

    if (annotations_make(&c->o->annotations, &annotations, err) < 0)
        return -1;
    for (size_t i = 0; i < c->join.count; i++) {
        entries[i] = c->join.parts[i].entry; /* borrowed */
        is_docker = is_docker && strcmp(entries[i].media_type, MEDIA_DOCKER_MANIFEST) == 0;
    }
    return registry_index_put(c->session->store, entries, c->join.count, annotations,
                              is_docker && annotations == NULL, &c->root, err);
}

static int document_print(struct cas_store *store,
                          const struct descriptor *root,
                          struct error *err)
{
    CLEANUP(doc_unrefp)
    struct doc *d = cas_blob_read_doc(store, root, LIMIT_MANIFEST_SIZE, err);

    if (d == NULL)
        return -1;
    cli_output_doc(d, DOC_WRITE_INDENT);
    return 0;
}

static int index_push(const struct creation *c,
                      const struct registry_reference *target,
                      const struct event_sink *sink,
                      struct error *err)
{
    const struct registry_push_options push = {
        .origins = c->origins, .origin_count = c->origin_count, .progress = {.sink = sink}};
    struct digest confirmed;

    return registry_push(cli_session_registry(c->session), c->session->store, &c->root,
                         target, &push, &confirmed, err);
}

/* Of an index whose layers stayed in registries the store has no name. */
static int index_name(const struct creation *c, const char *name, struct error *err)
{
    CLEANUP(error_clear) struct error missing = ERROR_INIT;

    if (c->o->push && cas_reach_check(c->session->store, &c->root, &missing) < 0)
        return missing.code == ERROR_NOT_FOUND ? 0 : error_move(err, &missing);
    return cas_ref_set(c->session->store, name, &c->root, "index", err);
}

static int index_publish(const struct creation *c,
                         const struct event_sink *sink,
                         struct error *err)
{
    for (size_t i = 0; i < c->o->tags.count; i++) {
        CLEANUP(registry_reference_release) struct registry_reference target = {0};
        CLEANUP(base_freep) char *name = NULL;

        if (registry_reference_parse(view_of(c->o->tags.items[i]), &target, err) < 0)
            return -1;
        registry_reference_add_default_tag(&target);
        name = registry_reference_text(&target);
        if (c->o->push && index_push(c, &target, sink, err) < 0)
            return -1;
        if (index_name(c, name, err) < 0)
            return -1;
    }
    return 0;
}

static int index_create(struct creation *c,
                        const struct cli_texts *arguments,
                        enum cli_progress_mode mode,
                        struct error *err)
{
    CLEANUP(cli_progress_freep)
    struct cli_progress *progress = cli_progress_new(mode, "Joining");
    const struct event_sink sink = cli_progress_sink(progress);
    int result = sources_read(c, arguments, &sink, err);

    if (result == 0)
        result = index_make(c, err);
    if (result == 0 && !c->o->dry_run)
        result = index_publish(c, &sink, err);
    cli_progress_finish(progress);
    return result;
}

static int create_run(struct cli_session *session,
                      const struct index_options *o,
                      const struct cli_texts *arguments,
                      struct error *err)
{
    CLEANUP(creation_release) struct creation c = {.session = session, .o = o};
    enum cli_progress_mode mode;

    if (o->raw)
        return error_set(err, ERROR_USAGE, "--raw is an option of 'index inspect'");
    if (arguments->count < 2)
        return error_set(err, ERROR_USAGE, "index create needs at least one image");
    if (o->tags.count == 0 && !o->dry_run)
        return error_set(err, ERROR_USAGE,
                         "index create needs a name: -t NAME (or --dry-run)");
    if (cli_progress_mode_parse(o->progress, &mode, err) < 0 ||
        cli_session_store(session, err) == NULL ||
        index_create(&c, arguments, mode, err) < 0)
        return -1;
    if (o->dry_run)
        return document_print(session->store, &c.root, err);
    puts(digest_format(&c.root.digest).text);
    return 0;
}

/* --- Inspecting --------------------------------------------------------------------- */

static void entry_print(const struct doc *entry, struct buf *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    const char *const of =
        doc_text(doc_get(doc_get(entry, "annotations"), "vnd.docker.reference.digest"));
    const char *const digest = doc_text(doc_get(entry, "digest"));
    struct registry_platform platform;

    buf_printf(out, "\n  Digest:    %s\n  MediaType: %s\n", digest != NULL ? digest : "",
               doc_text(doc_get(entry, "mediaType")));
    if (of != NULL)
        buf_printf(out, "  Attests:   %s\n", of);
    else if (registry_platform_from_doc(doc_get(entry, "platform"), &platform, &ignored) ==
             0)
        buf_printf(out, "  Platform:  %s\n", registry_platform_format(&platform).text);
}

static void index_print(const char *name,
                        const struct descriptor *root,
                        const struct doc *d,
                        struct buf *out)
{
    const struct doc *const entries = doc_get(d, "manifests");
    const struct doc *const annotations = doc_get(d, "annotations");
    const char *key;

    buf_printf(out, "Name:        %s\nMediaType:   %s\nDigest:      %s\n", name,
               root->media_type, digest_format(&root->digest).text);
    for (size_t i = 0; i < doc_count(annotations); i++) {
        const char *const value = doc_text(doc_member_at(annotations, i, &key));

        buf_printf(out, "%s%s=%s\n", i == 0 ? "Annotations: " : "             ", key,
                   value != NULL ? value : "");
    }
    if (doc_count(entries) > 0)
        buf_append_text(out, "\nManifests:");
    for (size_t i = 0; i < doc_count(entries); i++)
        entry_print(doc_at(entries, i), out);
}

/* The document itself: from the store, or else from the registry, which keeps the rest. */
static int document_find(struct cli_session *session,
                         const char *text,
                         struct buf *bytes,
                         struct descriptor *root,
                         struct error *err)
{
    CLEANUP(error_clear) struct error missing = ERROR_INIT;
    CLEANUP(registry_reference_release) struct registry_reference reference = {0};
    CLEANUP(base_freep) char *name = NULL;

    if (cli_image_resolve(session->store, text, &name, root, &missing) == 0)
        return cas_blob_read(session->store, &root->digest, bytes, err);
    if (missing.code != ERROR_NOT_FOUND || strncmp(text, "sha256:", 7) == 0)
        return error_move(err, &missing);
    if (registry_reference_parse(view_of(text), &reference, err) < 0)
        return -1;
    registry_reference_add_default_tag(&reference);
    return registry_manifest_get(cli_session_registry(session), &reference, bytes, root,
                                 err);
}

static int inspect_run(struct cli_session *session,
                       const struct index_options *o,
                       const struct cli_texts *arguments,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(doc_unrefp) struct doc *d = NULL;

    if (arguments->count != 2)
        return error_set(err, ERROR_USAGE, "index inspect needs exactly one image");
    if (o->tags.count > 0 || o->annotations.count > 0 || o->push || o->dry_run || o->mixed)
        return error_set(err, ERROR_USAGE, "index inspect has one option: --raw");
    if (cli_session_store(session, err) == NULL ||
        document_find(session, arguments->items[1], &bytes, &root, err) < 0)
        return -1;
    if (o->raw) {
        fwrite(buf_text(&bytes), 1, bytes.size, stdout);
        return 0;
    }
    d = doc_parse(buf_view(&bytes), err);
    if (d == NULL)
        return -1;
    index_print(arguments->items[1], &root, d, &text);
    if (buf_ok(&text, "index", err) < 0)
        return -1;
    cli_output_buf(&text);
    return 0;
}

static int index_run(struct cli_session *session,
                     const void *opaque,
                     const struct cli_texts *arguments,
                     struct error *err)
{
    const char *const verb = arguments->items[0];

    if (strcmp(verb, "create") == 0)
        return create_run(session, opaque, arguments, err);
    if (strcmp(verb, "inspect") == 0)
        return inspect_run(session, opaque, arguments, err);
    return error_set(err, ERROR_USAGE, "index create or index inspect, not '%s'", verb);
}

const struct cli_command cli_command_index = {
    .name = "index",
    .usage = "create [OPTIONS] -t NAME IMAGE... | inspect [--raw] IMAGE",
    .summary = "Join the images of several platforms under one name",
    .details = "Images are those of the store, or else of their registries. Of an index "
               "all images\nare taken. Two images for one platform, and images of "
               "different releases, are refused.\nWithout --push the store gets the index "
               "with all its layers; with it, layers that\nare in a registry stay there.",
    CLI_OPTIONS(options, struct index_options),
    .argument_min = 1,
    .argument_max = CLI_ARGUMENTS_ANY,
    .is_interruptible = true,
    .run = index_run,
};
