/* The values of build's -o, --push, --load, --compression, --squash and --split. */
#include "cli/build_output_priv.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void output_release(struct cli_output *o)
{
    free(o->dest);
    free(o->name);
    cli_annotations_release(&o->annotations);
    *o = (struct cli_output){0};
}

void cli_outputs_release(struct cli_outputs *o)
{
    for (size_t i = 0; i < o->count; i++)
        output_release(&o->owned[i]);
    free(o->owned);
    free(o->items);
    cli_annotations_release(&o->annotations);
    *o = (struct cli_outputs){0};
}

/* --- Checks ------------------------------------------------------------------------- */

static bool is_file(const struct output_draft *d)
{
    return d->out.type == BUILD_OUTPUT_TAR ||
           ((d->out.type == BUILD_OUTPUT_OCI || d->out.type == BUILD_OUTPUT_DOCKER) &&
            !d->out.directory);
}

/* dest: where it is needed, what it is by default. */
static int dest_check(struct output_draft *d, struct cli_outputs *o, struct error *err)
{
    if (d->out.dest == NULL && is_file(d))
        d->out.dest = "-";
    if (d->out.dest == NULL && (output_for(d) & FOR_DEST) != 0)
        return error_set(err, ERROR_USAGE, "dest is missing");
    if (d->out.dest == NULL || strcmp(d->out.dest, "-") != 0)
        return 0;
    if (!is_file(d))
        return error_set(err, ERROR_USAGE,
                         "a directory cannot be written to standard output");
    if (o->uses_stdout)
        return error_set(err, ERROR_USAGE, "only one output can go to standard output");
    if (isatty(STDOUT_FILENO))
        return error_set(err, ERROR_USAGE, "standard output is a terminal: give dest=FILE");
    o->uses_stdout = true;
    return 0;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static int twice_check(const struct output_draft *d,
                       const struct cli_outputs *o,
                       struct error *err)
{
    for (size_t i = 0; i < o->count; i++) {
        const struct build_output *const other = &o->items[i];

        if (d->out.dest != NULL && same_text(d->out.dest, other->dest))
            return error_set(err, ERROR_USAGE, "another output is written to %s",
                             other->dest);
        if (d->out.type == other->type && d->out.dest == NULL && other->dest == NULL &&
            d->out.into == other->into && same_text(d->out.name, other->name))
            return error_set(err, ERROR_USAGE, "the same output is given twice");
    }
    return 0;
}

static int compression_check(const struct build_output *out, struct error *err)
{
    const struct build_compression *const c = &out->compression;

    if (c->type == CAS_COMPRESSION_GZIP && c->level > 9)
        return error_set(err, ERROR_USAGE, "the levels of gzip end at 9");
    if (c->type == CAS_COMPRESSION_NONE && c->level != 0)
        return error_set(err, ERROR_USAGE, "what is not compressed has no level");
    if (c->type == CAS_COMPRESSION_ZSTD && out->docker_media_types)
        return error_set(err, ERROR_USAGE,
                         "compression=zstd conflicts with oci-mediatypes=false: docker's "
                         "types have no name for it");
    return 0;
}

/* What is not said of this output is as the flags have it. A level goes with its type. */
static void compression_inherit(struct output_draft *d,
                                const struct build_compression *flags)
{
    struct build_compression *const c = &d->out.compression;

    if (!d->has_level && (!d->has_type || c->type == flags->type))
        c->level = flags->level;
    if (!d->has_type)
        c->type = flags->type;
    c->force |= flags->force;
}

static int draft_check(struct output_draft *d,
                       struct cli_outputs *o,
                       const struct build_compression *flags,
                       struct error *err)
{
    if (d->is_image && d->push)
        d->out.type = BUILD_OUTPUT_REGISTRY;
    if (d->out.by_digest && d->out.type != BUILD_OUTPUT_REGISTRY)
        return error_set(err, ERROR_USAGE, "push-by-digest needs push=true");
    if (d->out.type == BUILD_OUTPUT_DOCKER && d->out.dest == NULL && !d->out.directory)
        d->out.type = BUILD_OUTPUT_LOAD;
    if (d->out.into != BUILD_LOAD_ANY && d->out.type != BUILD_OUTPUT_LOAD)
        return error_set(err, ERROR_USAGE, "load=NAME has no dest");
    compression_inherit(d, flags);
    return compression_check(&d->out, err) < 0 || dest_check(d, o, err) < 0
               ? -1
               : twice_check(d, o, err);
}

/* --- The whole ---------------------------------------------------------------------- */

/* The draft's own things become the list's. */
static void output_add(struct cli_outputs *o, struct output_draft *d)
{
    struct build_output *item;
    struct cli_output *owned;

    o->items = base_grow(o->items, o->count, &o->capacity, sizeof o->items[0]);
    o->owned = base_grow(o->owned, o->count, &o->owned_capacity, sizeof o->owned[0]);
    item = &o->items[o->count];
    owned = &o->owned[o->count++];
    *item = d->out;
    *owned = d->owned;
    d->owned = (struct cli_output){0};
    item->dest = owned->dest = base_strdup(d->out.dest);
    item->name = owned->name = base_strdup(d->out.name);
    item->annotations = owned->annotations.items;
    item->annotation_count = owned->annotations.count;
}

static int output_read(const char *text,
                       const struct build_compression *flags,
                       struct cli_outputs *o,
                       struct error *err)
{
    CLEANUP(cli_csv_release) struct cli_csv csv = {0};
    struct output_draft draft = {.out = {.type = BUILD_OUTPUT_LOCAL, .dest = text}};
    int status = 0;

    if (text[0] == '\0')
        return error_set(err, ERROR_USAGE, "dest is missing");
    if (strcmp(text, "-") == 0)
        draft.out.type = BUILD_OUTPUT_TAR;
    if (strchr(text, '=') != NULL) {
        draft.out.dest = NULL;
        if (cli_csv_parse(text, &csv, err) < 0)
            return -1;
        if (cli_csv_get(&csv, "type") == NULL)
            return error_set(err, ERROR_USAGE, "type is missing");
        if (output_type_read(cli_csv_get(&csv, "type"), &draft, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < csv.count && status == 0; i++)
        status = output_key_read(&csv.fields[i], &draft, err);
    if (status == 0)
        status = draft_check(&draft, o, flags, err);
    if (status == 0)
        output_add(o, &draft);
    output_release(&draft.owned);
    return status;
}

/* --push means type=registry, --load type=load; beside an output of that kind they say
 * nothing new. */
static int short_add(enum build_output_type type,
                     enum build_load_into into,
                     struct cli_outputs *o,
                     struct error *err)
{
    struct output_draft draft = {.out = {.type = type, .into = into}};

    for (size_t i = 0; i < o->count; i++) {
        if (o->items[i].type == type)
            return 0;
    }
    if (draft_check(&draft, o, &o->compression, err) < 0)
        return -1;
    output_add(o, &draft);
    return 0;
}

static int load_add(const char *text, struct cli_outputs *o, struct error *err)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    enum build_load_into into = BUILD_LOAD_ANY;
    bool yes = true;

    if (text == NULL)
        return 0;
    if (cli_switch_parse(text, &yes, &ignored) < 0 &&
        output_into_read(text, &into, err) < 0)
        return error_wrap(err, "--load=%s", text);
    return yes ? short_add(BUILD_OUTPUT_LOAD, into, o, err) : 0;
}

static int flags_read(const struct cli_output_options *from,
                      struct cli_outputs *out,
                      struct error *err)
{
    struct build_compression *const c = &out->compression;

    c->force = from->force_compression;
    if (from->compression != NULL &&
        output_compression_read(from->compression, &c->type, err) < 0)
        return error_wrap(err, "--compression");
    if (from->compression_level != NULL &&
        output_level_read(from->compression_level, &c->level, err) < 0)
        return error_wrap(err, "--compression-level");
    if (compression_check(&(struct build_output){.compression = *c}, err) < 0)
        return error_wrap(err, "--compression-level");
    for (size_t i = 0; i < from->annotations.count; i++) {
        if (cli_annotation_read(from->annotations.items[i], &out->annotations, err) < 0)
            return -1;
    }
    out->reshape = (struct build_reshape){
        .squash = from->squash, .squash_all = from->squash_all, .split_size = from->split};
    return 0;
}

int cli_build_outputs(const struct cli_output_options *from,
                      struct cli_outputs *out,
                      struct error *err)
{
    if (flags_read(from, out, err) < 0)
        return -1;
    for (size_t i = 0; i < from->outputs.count; i++) {
        if (output_read(from->outputs.items[i], &out->compression, out, err) < 0)
            return error_wrap(err, "--output %s", from->outputs.items[i]);
    }
    if (from->push && short_add(BUILD_OUTPUT_REGISTRY, BUILD_LOAD_ANY, out, err) < 0)
        return error_wrap(err, "--push");
    return load_add(from->load, out, err);
}

void cli_outputs_request(const struct cli_outputs *o, struct build_request *request)
{
    const struct build_compression *main = &o->compression;

    for (size_t i = o->count; i-- > 0;) {
        if (build_output_is_image(o->items[i].type))
            main = &o->items[i].compression;
        request->keeps_refs |= o->owned[i].keeps_refs;
    }
    request->outputs = o->items;
    request->output_count = o->count;
    request->annotations = o->annotations.items;
    request->annotation_count = o->annotations.count;
    request->compression = main->type;
    request->compression_level = main->level;
    request->force_compression = main->force;
    request->reshape = o->reshape;
}
