/* The values of build's -o and --push. */
#include "cli/build_value.h"

#include "base/alloc.h"
#include "cli/csv.h"

#include <unistd.h>

static void text_free(const char *text)
{
    union {
        const char *in;
        char *out;
    } owned = {text};

    free(owned.out);
}

void cli_outputs_release(struct cli_outputs *o)
{
    for (size_t i = 0; i < o->count; i++) {
        text_free(o->items[i].dest);
        text_free(o->items[i].name);
    }
    free(o->items);
    cli_pairs_release(&o->annotations);
    *o = (struct cli_outputs){0};
}

/* One -o while it is read; texts are borrowed from the CSV. */
struct draft {
    enum build_output_type type;
    const char *dest;
    const char *name;
    bool push;
    bool is_image; /* type=image: the store, and the registry with push=true */
    bool directory;
};

static int bool_read(const char *key, const char *value, bool *out, struct error *err)
{
    if (value == NULL || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
        *out = true;
    else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
        *out = false;
    else
        return error_set(err, ERROR_USAGE, "%s is true or false, not '%s'", key, value);
    return 0;
}

/* Attributes that only say what cooper does anyhow: any other value cannot be had. */
static int fixed_check(const char *key, const char *value, bool want, struct error *err)
{
    bool is = false;

    if (bool_read(key, value, &is, err) < 0)
        return -1;
    if (is != want)
        return error_set(err, ERROR_USAGE, "%s=%s cannot be had", key,
                         is ? "true" : "false");
    return 0;
}

static int type_read(const char *value, struct draft *d, struct error *err)
{
    static const struct {
        const char *name;
        enum build_output_type type;
    } types[] = {
        {"image", BUILD_OUTPUT_STORE}, {"registry", BUILD_OUTPUT_REGISTRY},
        {"oci", BUILD_OUTPUT_OCI},     {"docker", BUILD_OUTPUT_DOCKER},
        {"local", BUILD_OUTPUT_LOCAL}, {"tar", BUILD_OUTPUT_TAR},
    };

    for (size_t i = 0; value != NULL && i < ARRAY_COUNT(types); i++) {
        if (strcmp(value, types[i].name) != 0)
            continue;
        d->type = types[i].type;
        d->is_image = d->type == BUILD_OUTPUT_STORE;
        return 0;
    }
    return error_set(err, ERROR_USAGE,
                     "type is image, registry, oci, docker, local or tar, not '%s'",
                     value != NULL ? value : "");
}

static int compression_set(struct cli_outputs *o, const char *value, struct error *err)
{
    enum cas_compression compression;

    if (value != NULL && strcmp(value, "gzip") == 0)
        compression = CAS_COMPRESSION_GZIP;
    else if (value != NULL && strcmp(value, "zstd") == 0)
        compression = CAS_COMPRESSION_ZSTD;
    else if (value != NULL && strcmp(value, "uncompressed") == 0)
        compression = CAS_COMPRESSION_NONE;
    else
        return error_set(err, ERROR_USAGE, "compression is gzip, zstd or uncompressed");
    if (o->has_compression && o->compression != compression)
        return error_set(err, ERROR_USAGE, "all outputs of a build have one compression");
    o->has_compression = true;
    o->compression = compression;
    return 0;
}

static int level_set(struct cli_outputs *o, const char *value, struct error *err)
{
    uint64_t level = 0;

    if (value == NULL || !view_to_u64(view_of(value), &level) || level > 22)
        return error_set(err, ERROR_USAGE, "compression-level is a number up to 22");
    if (o->compression_level != 0 && o->compression_level != (int)level)
        return error_set(err, ERROR_USAGE,
                         "all outputs of a build have one compression level");
    o->compression_level = (int)level;
    return 0;
}

static int annotation_set(struct cli_outputs *o, const char *key, const char *value)
{
    if (value != NULL)
        cli_pairs_add(&o->annotations, view_of(key), value);
    return 0;
}

static int tar_read(const char *value, struct draft *d, struct error *err)
{
    bool tar = true;

    if (bool_read("tar", value, &tar, err) < 0)
        return -1;
    d->directory = !tar;
    return 0;
}

static int text_read(const struct cli_csv_field *f, const char **out, struct error *err)
{
    if (f->value == NULL || f->value[0] == '\0')
        return error_set(err, ERROR_USAGE, "%s is empty", f->key);
    *out = f->value;
    return 0;
}

static int attribute_read(const struct cli_csv_field *f,
                          struct draft *d,
                          struct cli_outputs *o,
                          struct error *err)
{
    const char *const key = f->key;

    if (strcmp(key, "type") == 0)
        return type_read(f->value, d, err);
    if (strcmp(key, "dest") == 0)
        return text_read(f, &d->dest, err);
    if (strcmp(key, "name") == 0)
        return text_read(f, &d->name, err);
    if (strcmp(key, "push") == 0)
        return bool_read(key, f->value, &d->push, err);
    if (strcmp(key, "tar") == 0)
        return tar_read(f->value, d, err);
    if (strcmp(key, "compression") == 0)
        return compression_set(o, f->value, err);
    if (strcmp(key, "compression-level") == 0)
        return level_set(o, f->value, err);
    if (strcmp(key, "oci-mediatypes") == 0)
        return fixed_check(key, f->value, true, err);
    if (strcmp(key, "store") == 0)
        return fixed_check(key, f->value, true, err);
    if (strncmp(key, "annotation.", 11) == 0)
        return annotation_set(o, key + 11, f->value);
    if (strncmp(key, "annotation-manifest.", 20) == 0)
        return annotation_set(o, key + 20, f->value);
    return error_set(err, ERROR_USAGE, "unknown attribute '%s'", key);
}

/* dest: where it is needed, where it must not be, what it is by default. */
static int dest_check(struct draft *d, struct cli_outputs *o, struct error *err)
{
    const bool is_stream =
        d->type == BUILD_OUTPUT_TAR ||
        ((d->type == BUILD_OUTPUT_OCI || d->type == BUILD_OUTPUT_DOCKER) && !d->directory);
    const bool is_remote =
        d->type == BUILD_OUTPUT_STORE || d->type == BUILD_OUTPUT_REGISTRY;

    if (is_remote && d->dest != NULL)
        return error_set(err, ERROR_USAGE, "dest makes no sense for this type");
    if (!is_remote && !is_stream && d->dest == NULL)
        return error_set(err, ERROR_USAGE, "dest is missing");
    if (d->type == BUILD_OUTPUT_DOCKER && d->dest == NULL)
        return error_set(
            err, ERROR_USAGE,
            "there is no docker daemon to load into: give dest=FILE, or dest=- and "
            "pipe it to 'docker load'");
    if (is_stream && d->dest == NULL)
        d->dest = "-";
    if (d->dest == NULL || strcmp(d->dest, "-") != 0)
        return 0;
    if (!is_stream)
        return error_set(err, ERROR_USAGE,
                         "a directory cannot be written to standard output");
    if (o->uses_stdout)
        return error_set(err, ERROR_USAGE, "only one output can go to standard output");
    if (isatty(STDOUT_FILENO))
        return error_set(err, ERROR_USAGE, "standard output is a terminal: give dest=FILE");
    o->uses_stdout = true;
    return 0;
}

static void output_add(struct cli_outputs *o, const struct draft *d)
{
    o->items = base_grow(o->items, o->count, &o->capacity, sizeof o->items[0]);
    o->items[o->count++] = (struct build_output){
        .type = d->is_image && d->push ? BUILD_OUTPUT_REGISTRY : d->type,
        .dest = base_strdup(d->dest),
        .name = base_strdup(d->name),
        .directory = d->directory,
    };
}

static int output_read(const char *text, struct cli_outputs *o, struct error *err)
{
    CLEANUP(cli_csv_release) struct cli_csv csv = {0};
    struct draft draft = {.type = BUILD_OUTPUT_LOCAL, .dest = text};

    if (text[0] == '\0')
        return error_set(err, ERROR_USAGE, "dest is missing");
    if (strcmp(text, "-") == 0)
        draft.type = BUILD_OUTPUT_TAR;
    if (strchr(text, '=') != NULL) {
        draft.dest = NULL;
        if (cli_csv_parse(text, &csv, err) < 0)
            return -1;
        if (cli_csv_get(&csv, "type") == NULL)
            return error_set(err, ERROR_USAGE, "type is missing");
    }
    for (size_t i = 0; i < csv.count; i++) {
        if (attribute_read(&csv.fields[i], &draft, o, err) < 0)
            return -1;
    }
    if (draft.push && !draft.is_image && draft.type != BUILD_OUTPUT_REGISTRY)
        return error_set(err, ERROR_USAGE, "push is for type=image");
    if (dest_check(&draft, o, err) < 0)
        return -1;
    output_add(o, &draft);
    return 0;
}

int cli_build_outputs(const struct cli_texts *from,
                      bool push,
                      struct cli_outputs *out,
                      struct error *err)
{
    bool pushes = false;

    for (size_t i = 0; i < from->count; i++) {
        if (output_read(from->items[i], out, err) < 0)
            return error_wrap(err, "--output %s", from->items[i]);
        pushes |= out->items[out->count - 1].type == BUILD_OUTPUT_REGISTRY;
    }
    /* --push means type=registry; beside an output that pushes it says nothing new. */
    if (push && !pushes)
        output_add(out, &(struct draft){.type = BUILD_OUTPUT_REGISTRY});
    return 0;
}
