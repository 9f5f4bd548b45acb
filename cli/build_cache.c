#include "cli/build_cache.h"

#include "base/alloc.h"
#include "cli/build_output_priv.h"
#include "cli/csv.h"

#include <stdlib.h>
#include <string.h>

void cli_caches_release(struct cli_caches *c)
{
    for (size_t i = 0; i < c->field_count; i++)
        cli_csv_release(&c->fields[i]);
    free(c->fields);
    free(c->from);
    free(c->to);
    *c = (struct cli_caches){0};
}

/* --- Keys --- */

/* One cache of either flag while it is read. */
struct draft {
    struct build_cache_from from;
    struct build_cache_to to;
    const char *place;
    const char *place_key;
};

enum draft_for {
    FROM_REGISTRY = 1,
    FROM_LOCAL = 2,
    TO_REGISTRY = 4,
    TO_LOCAL = 8,
    TO_INLINE = 16,
    TO_FILES = TO_REGISTRY | TO_LOCAL,
};

static int text_read(const struct cli_csv_field *f, const char **out, struct error *err)
{
    if (f->value == NULL || f->value[0] == '\0')
        return error_set(err, ERROR_USAGE, "%s is empty", f->key);
    *out = f->value;
    return 0;
}

static int switch_read(const struct cli_csv_field *f, bool *out, struct error *err)
{
    *out = true;
    if (f->value == NULL || f->value[0] == '\0')
        return 0;
    return cli_switch_parse(f->value, out, err) < 0 ? error_wrap(err, "%s", f->key) : 0;
}

static int place_read(const struct cli_csv_field *f, struct draft *d, struct error *err)
{
    return text_read(f, &d->place, err);
}

static int tag_read(const struct cli_csv_field *f, struct draft *d, struct error *err)
{
    if (text_read(f, &d->from.tag, err) < 0)
        return -1;
    d->to.tag = d->from.tag;
    return 0;
}

static int digest_read(const struct cli_csv_field *f, struct draft *d, struct error *err)
{
    const char *text;

    if (text_read(f, &text, err) < 0 ||
        digest_parse(view_of(text), &d->from.digest, err) < 0)
        return error_set(err, ERROR_USAGE, "digest is ALGORITHM:HEX, not '%s'",
                         f->value ? f->value : "");
    return 0;
}

static int mode_read(const struct cli_csv_field *f, struct draft *d, struct error *err)
{
    d->to.is_max = f->value != NULL && strcmp(f->value, "max") == 0;
    if (d->to.is_max || (f->value != NULL && strcmp(f->value, "min") == 0))
        return 0;
    return error_set(err, ERROR_USAGE, "mode is min or max, not '%s'",
                     f->value ? f->value : "");
}

static int compression_read(const struct cli_csv_field *f,
                            struct draft *d,
                            struct error *err)
{
    d->to.has_compression = true;
    return output_compression_read(f->value, &d->to.compression.type, err);
}

static int level_read(const struct cli_csv_field *f, struct draft *d, struct error *err)
{
    d->to.has_compression = true;
    return output_level_read(f->value, &d->to.compression.level, err);
}

static int force_read(const struct cli_csv_field *f, struct draft *d, struct error *err)
{
    d->to.has_compression = true;
    return switch_read(f, &d->to.compression.force, err);
}

static int manifest_read(const struct cli_csv_field *f, struct draft *d, struct error *err)
{
    bool is_image = true;

    if (switch_read(f, &is_image, err) < 0)
        return -1;
    d->to.is_index = !is_image;
    return 0;
}

static int types_read(const struct cli_csv_field *f, struct draft *d, struct error *err)
{
    bool is_oci = true;

    (void)d;
    if (switch_read(f, &is_oci, err) < 0)
        return -1;
    return is_oci ? 0
                  : error_set(err, ERROR_USAGE,
                              "oci-mediatypes=false cannot be had: docker's types have no "
                              "name for a cache");
}

static int ignore_read(const struct cli_csv_field *f, struct draft *d, struct error *err)
{
    return switch_read(f, &d->to.ignores_errors, err);
}

static const struct {
    const char *key;
    int (*read)(const struct cli_csv_field *f, struct draft *d, struct error *err);
    unsigned where;
} keys[] = {
    {"ref", place_read, FROM_REGISTRY | TO_REGISTRY},
    {"src", place_read, FROM_LOCAL},
    {"dest", place_read, TO_LOCAL},
    {"tag", tag_read, FROM_LOCAL | TO_LOCAL},
    {"digest", digest_read, FROM_LOCAL},
    {"mode", mode_read, TO_FILES},
    {"compression", compression_read, TO_FILES},
    {"compression-level", level_read, TO_FILES},
    {"force-compression", force_read, TO_FILES},
    {"image-manifest", manifest_read, TO_FILES},
    {"oci-mediatypes", types_read, TO_FILES},
    {"ignore-error", ignore_read, TO_FILES},
};

/* --- One value --- */

/* "type=gha" and others belong to services that cooper does not speak to. */
static int type_read(const char *name,
                     bool is_to,
                     enum build_cache_type *out,
                     struct error *err)
{
    static const char *const names[] = {
        [BUILD_CACHE_REGISTRY] = "registry",
        [BUILD_CACHE_LOCAL] = "local",
        [BUILD_CACHE_INLINE] = "inline",
    };

    for (size_t i = 0; i < (is_to ? ARRAY_COUNT(names) : BUILD_CACHE_INLINE); i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        *out = (enum build_cache_type)i;
        return 0;
    }
    return error_set(err, ERROR_USAGE, "type is registry%s, not '%s'",
                     is_to ? ", local or inline"
                           : " (also for the inline cache of an image) or local",
                     name);
}

static unsigned where_of(enum build_cache_type type, bool is_to)
{
    static const unsigned to[] = {[BUILD_CACHE_REGISTRY] = TO_REGISTRY,
                                  [BUILD_CACHE_LOCAL] = TO_LOCAL,
                                  [BUILD_CACHE_INLINE] = TO_INLINE};

    if (is_to)
        return to[type];
    return type == BUILD_CACHE_LOCAL ? FROM_LOCAL : FROM_REGISTRY;
}

static int field_read(const struct cli_csv_field *f,
                      unsigned where,
                      const char *type,
                      struct draft *d,
                      struct error *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        if (strcmp(f->key, keys[i].key) == 0 && (keys[i].where & where) != 0)
            return keys[i].read(f, d, err);
    return error_set(err, ERROR_USAGE, "type=%s has no key '%s'", type, f->key);
}

static int fields_read(const struct cli_csv *csv,
                       bool is_to,
                       struct draft *d,
                       struct error *err)
{
    const char *type = cli_csv_get(csv, "type");
    unsigned where;

    if (!type)
        return error_set(err, ERROR_USAGE, "type is missing");
    if (type_read(type, is_to, &d->to.type, err) < 0)
        return -1;
    d->from.type = d->to.type;
    where = where_of(d->to.type, is_to);
    for (size_t i = 0; i < csv->count; i++)
        if (strcmp(csv->fields[i].key, "type") != 0 &&
            field_read(&csv->fields[i], where, type, d, err) < 0)
            return -1;
    if (!d->place && where != TO_INLINE)
        return error_set(err, ERROR_USAGE, "%s is missing",
                         where & (FROM_REGISTRY | TO_REGISTRY) ? "ref"
                         : is_to                               ? "dest"
                                                               : "src");
    return 0;
}

/* A value without "=" is a reference, as with buildx. */
static int value_read(
    const char *text, bool is_to, struct cli_csv *csv, struct draft *d, struct error *err)
{
    *d = (struct draft){0};
    if (!strchr(text, '='))
        d->place = text;
    else if (cli_csv_parse(text, csv, err) < 0 || fields_read(csv, is_to, d, err) < 0)
        return -1;
    d->from.place = d->to.place = d->place;
    return 0;
}

int cli_caches_read(const struct cli_texts *from,
                    const struct cli_texts *to,
                    struct cli_caches *out,
                    struct error *err)
{
    struct draft d;

    *out = (struct cli_caches){0};
    out->fields = base_alloc_array(from->count + to->count + 1, sizeof *out->fields);
    out->from = base_alloc_array(from->count + 1, sizeof *out->from);
    out->to = base_alloc_array(to->count + 1, sizeof *out->to);
    for (size_t i = 0; i < from->count; i++) {
        if (value_read(from->items[i], false, &out->fields[out->field_count++], &d, err) <
            0)
            return error_wrap(err, "--cache-from %s", from->items[i]);
        out->from[out->from_count++] = d.from;
    }
    for (size_t i = 0; i < to->count; i++) {
        if (value_read(to->items[i], true, &out->fields[out->field_count++], &d, err) < 0)
            return error_wrap(err, "--cache-to %s", to->items[i]);
        out->to[out->to_count++] = d.to;
    }
    return 0;
}

int cli_caches_write(struct cli_session *session,
                     const struct build_request *request,
                     struct build_result *result,
                     enum cli_progress_mode mode,
                     struct error *err)
{
    CLEANUP(cli_progress_freep) struct cli_progress *progress = NULL;
    struct build_environment env;
    int code;

    if (!result->cache)
        return 0;
    progress = cli_progress_new(mode, "Writing the cache");
    code = cli_session_environment(session, cli_progress_sink(progress), &env, err);
    if (code == 0)
        code = build_cache_write(&env, request, result, err);
    cli_progress_finish(progress);
    return code;
}
