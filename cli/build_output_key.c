/* The keys of build's -o, as buildx and BuildKit's exporters have them. */
#include "cli/build_output_priv.h"

#include <string.h>

/* --- Values ------------------------------------------------------------------------- */

/* A key alone means true. */
static int bool_read(const char *key, const char *value, bool *out, struct error *err)
{
    *out = true;
    if (value == NULL || value[0] == '\0')
        return 0;
    return cli_switch_parse(value, out, err) < 0 ? error_wrap(err, "%s", key) : 0;
}

/* Attributes that only say what cooper does anyhow: any other value cannot be had. */
static int fixed_check(
    const char *key, const char *value, bool want, const char *why, struct error *err)
{
    bool is = false;

    if (bool_read(key, value, &is, err) < 0)
        return -1;
    if (is != want)
        return error_set(err, ERROR_USAGE, "%s=%s cannot be had: %s", key,
                         is ? "true" : "false", why);
    return 0;
}

int output_compression_read(const char *value, enum cas_compression *out, struct error *err)
{
    static const struct {
        const char *name;
        enum cas_compression type;
    } types[] = {{"gzip", CAS_COMPRESSION_GZIP},
                 {"zstd", CAS_COMPRESSION_ZSTD},
                 {"uncompressed", CAS_COMPRESSION_NONE}};

    for (size_t i = 0; value != NULL && i < ARRAY_COUNT(types); i++) {
        if (strcmp(value, types[i].name) == 0) {
            *out = types[i].type;
            return 0;
        }
    }
    return error_set(err, ERROR_USAGE,
                     "compression is gzip, zstd or uncompressed, not '%s'",
                     value != NULL ? value : "");
}

int output_level_read(const char *value, int *out, struct error *err)
{
    uint64_t level = 0;

    if (value == NULL || !view_to_u64(view_of(value), &level) || level > 22)
        return error_set(err, ERROR_USAGE,
                         "compression-level is a number up to 9 for gzip, up to 22 for "
                         "zstd, not '%s'",
                         value != NULL ? value : "");
    *out = (int)level;
    return 0;
}

int output_type_read(const char *value, struct output_draft *d, struct error *err)
{
    static const struct {
        const char *name;
        enum build_output_type type;
    } types[] = {
        {"image", BUILD_OUTPUT_STORE}, {"registry", BUILD_OUTPUT_REGISTRY},
        {"oci", BUILD_OUTPUT_OCI},     {"docker", BUILD_OUTPUT_DOCKER},
        {"local", BUILD_OUTPUT_LOCAL}, {"tar", BUILD_OUTPUT_TAR},
        {"load", BUILD_OUTPUT_LOAD},   {"cacheonly", BUILD_OUTPUT_CACHE},
    };

    for (size_t i = 0; value != NULL && i < ARRAY_COUNT(types); i++) {
        if (strcmp(value, types[i].name) != 0)
            continue;
        d->out.type = types[i].type;
        d->is_image = d->out.type == BUILD_OUTPUT_STORE;
        return 0;
    }
    return error_set(err, ERROR_USAGE,
                     "type is image, registry, oci, docker, load, local, tar or cacheonly, "
                     "not '%s'",
                     value != NULL ? value : "");
}

int output_into_read(const char *value, enum build_load_into *out, struct error *err)
{
    static const char *const names[] = {"any", "docker", "podman", "containerd"};

    for (size_t i = 0; value != NULL && i < ARRAY_COUNT(names); i++) {
        if (strcmp(value, names[i]) == 0) {
            *out = (enum build_load_into)i;
            return 0;
        }
    }
    return error_set(err, ERROR_USAGE,
                     "an image is loaded into docker, podman or containerd, not '%s'",
                     value != NULL ? value : "");
}

static int text_read(const struct cli_csv_field *f, const char **out, struct error *err)
{
    if (f->value == NULL || f->value[0] == '\0')
        return error_set(err, ERROR_USAGE, "%s is empty", f->key);
    *out = f->value;
    return 0;
}

unsigned output_for(const struct output_draft *d)
{
    switch (d->out.type) {
    case BUILD_OUTPUT_STORE:
    case BUILD_OUTPUT_REGISTRY:
        return FOR_IMAGE;
    case BUILD_OUTPUT_OCI:
        return FOR_ARCHIVE;
    case BUILD_OUTPUT_DOCKER:
        return FOR_ARCHIVE | FOR_LOAD;
    case BUILD_OUTPUT_LOAD:
        return FOR_LOAD;
    case BUILD_OUTPUT_LOCAL:
    case BUILD_OUTPUT_TAR:
        return FOR_FILES;
    case BUILD_OUTPUT_CACHE:
        break;
    }
    return 0;
}

/* --- Keys: where the image goes, and under which name -------------------------------- */

typedef int key_fn(const struct cli_csv_field *f,
                   struct output_draft *d,
                   struct error *err);

static int dest_read(const struct cli_csv_field *f,
                     struct output_draft *d,
                     struct error *err)
{
    return text_read(f, &d->out.dest, err);
}

static int name_read(const struct cli_csv_field *f,
                     struct output_draft *d,
                     struct error *err)
{
    return text_read(f, &d->out.name, err);
}

static int push_read(const struct cli_csv_field *f,
                     struct output_draft *d,
                     struct error *err)
{
    return bool_read(f->key, f->value, &d->push, err);
}

static int by_digest_read(const struct cli_csv_field *f,
                          struct output_draft *d,
                          struct error *err)
{
    return bool_read(f->key, f->value, &d->out.by_digest, err);
}

static int store_read(const struct cli_csv_field *f,
                      struct output_draft *d,
                      struct error *err)
{
    bool yes;

    if (bool_read(f->key, f->value, &yes, err) < 0)
        return -1;
    d->owned.keeps_refs = !yes;
    return 0;
}

static int tar_read(const struct cli_csv_field *f,
                    struct output_draft *d,
                    struct error *err)
{
    bool yes;

    if (bool_read(f->key, f->value, &yes, err) < 0)
        return -1;
    d->out.directory = !yes;
    return 0;
}

static int split_read(const struct cli_csv_field *f,
                      struct output_draft *d,
                      struct error *err)
{
    bool yes;

    if (bool_read(f->key, f->value, &yes, err) < 0)
        return -1;
    d->out.splits_platforms = yes ? BUILD_YES : BUILD_NO;
    return 0;
}

static int load_read(const struct cli_csv_field *f,
                     struct output_draft *d,
                     struct error *err)
{
    return output_into_read(f->value, &d->out.into, err);
}

/* --- Keys: how the image looks ------------------------------------------------------- */

static int compression_read(const struct cli_csv_field *f,
                            struct output_draft *d,
                            struct error *err)
{
    d->has_type = true;
    return output_compression_read(f->value, &d->out.compression.type, err);
}

static int level_read(const struct cli_csv_field *f,
                      struct output_draft *d,
                      struct error *err)
{
    d->has_level = true;
    return output_level_read(f->value, &d->out.compression.level, err);
}

static int force_read(const struct cli_csv_field *f,
                      struct output_draft *d,
                      struct error *err)
{
    return bool_read(f->key, f->value, &d->out.compression.force, err);
}

static int nondist_read(const struct cli_csv_field *f,
                        struct output_draft *d,
                        struct error *err)
{
    return bool_read(f->key, f->value, &d->out.keeps_nondistributable, err);
}

static int mediatypes_read(const struct cli_csv_field *f,
                           struct output_draft *d,
                           struct error *err)
{
    bool yes;

    if (bool_read(f->key, f->value, &yes, err) < 0)
        return -1;
    d->out.docker_media_types = !yes;
    return 0;
}

static int clamp_read(const struct cli_csv_field *f,
                      struct output_draft *d,
                      struct error *err)
{
    bool yes;

    if (bool_read(f->key, f->value, &yes, err) < 0)
        return -1;
    d->out.clamps = yes ? BUILD_YES : BUILD_NO;
    return 0;
}

/* --- Keys of buildx that cooper has one answer to, and what to do instead ------------- */

static int canonical_read(const struct cli_csv_field *f,
                          struct output_draft *d,
                          struct error *err)
{
    (void)d;
    return fixed_check(f->key, f->value, true,
                       "the store always finds an image by NAME@DIGEST", err);
}

static int unpack_read(const struct cli_csv_field *f,
                       struct output_draft *d,
                       struct error *err)
{
    (void)d;
    return fixed_check(f->key, f->value, false,
                       "the store needs no unpacked images; type=load gives one to "
                       "containerd",
                       err);
}

static int insecure_read(const struct cli_csv_field *f,
                         struct output_draft *d,
                         struct error *err)
{
    (void)d;
    return fixed_check(f->key, f->value, false,
                       "give 'cooper --insecure-registry HOST build ...'", err);
}

static int epoch_read(const struct cli_csv_field *f,
                      struct output_draft *d,
                      struct error *err)
{
    (void)d;
    return error_set(err, ERROR_USAGE,
                     "%s is one for all outputs: give --source-date-epoch", f->key);
}

static int dangling_read(const struct cli_csv_field *f,
                         struct output_draft *d,
                         struct error *err)
{
    (void)d;
    return error_set(err, ERROR_USAGE,
                     "%s cannot be had: an image without a name is found by its digest",
                     f->key);
}

static int mode_read(const struct cli_csv_field *f,
                     struct output_draft *d,
                     struct error *err)
{
    (void)d;
    if (f->value != NULL && strcmp(f->value, "copy") == 0)
        return 0;
    return error_set(err, ERROR_USAGE,
                     "mode is copy: what the image lacks is left in the directory");
}

static int attestation_read(const struct cli_csv_field *f,
                            struct output_draft *d,
                            struct error *err)
{
    (void)d;
    return fixed_check(f->key, f->value, false, "attestations are not made", err);
}

/* --- All of them --------------------------------------------------------------------- */

static const struct {
    const char *name;
    key_fn *read;
    unsigned types; /* of enum output_for */
} keys[] = {
    {"dest", dest_read, FOR_DEST},
    {"name", name_read, FOR_IMAGES},
    {"push", push_read, FOR_IMAGE},
    {"push-by-digest", by_digest_read, FOR_IMAGE},
    {"name-canonical", canonical_read, FOR_IMAGE},
    {"store", store_read, FOR_IMAGE},
    {"unpack", unpack_read, FOR_IMAGE},
    {"registry.insecure", insecure_read, FOR_IMAGE},
    {"dangling-name-prefix", dangling_read, FOR_IMAGE},
    {"danging-name-empty-only", dangling_read, FOR_IMAGE}, /* BuildKit's spelling */
    {"tar", tar_read, FOR_ARCHIVE},
    {"compression", compression_read, FOR_IMAGES},
    {"compression-level", level_read, FOR_IMAGES},
    {"force-compression", force_read, FOR_IMAGES},
    {"oci-mediatypes", mediatypes_read, FOR_IMAGES},
    {"prefer-nondist-layers", nondist_read, FOR_IMAGES},
    {"rewrite-timestamp", clamp_read, FOR_IMAGES},
    {"source-date-epoch", epoch_read, FOR_IMAGES | FOR_FILES},
    {"platform-split", split_read, FOR_FILES},
    {"mode", mode_read, FOR_FILES},
    {"load", load_read, FOR_LOAD},
    {"attestation-inline", attestation_read, FOR_IMAGES},
    {"oci-artifact", attestation_read, FOR_IMAGES},
    {"attestation-prefix", attestation_read, FOR_FILES},
};

static int annotation_read(const struct cli_csv_field *f,
                           struct output_draft *d,
                           struct error *err)
{
    bool found;

    if (cli_annotation_key_read(f->key, f->value, &d->owned.annotations, &found, err) < 0)
        return -1;
    if (!found)
        return error_set(err, ERROR_USAGE, "unknown attribute '%s'", f->key);
    if ((output_for(d) & FOR_IMAGES) == 0)
        return error_set(err, ERROR_USAGE, "%s makes no sense for this type", f->key);
    return 0;
}

int output_key_read(const struct cli_csv_field *f,
                    struct output_draft *d,
                    struct error *err)
{
    if (strcmp(f->key, "type") == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        if (strcmp(f->key, keys[i].name) != 0)
            continue;
        if ((keys[i].types & output_for(d)) == 0)
            return error_set(err, ERROR_USAGE, "%s makes no sense for this type", f->key);
        return keys[i].read(f, d, err);
    }
    return annotation_read(f, d, err);
}
