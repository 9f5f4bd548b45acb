#include "cli/usage_text.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "registry/reference.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Of a directory's name; enough to tell apart what cooper names. */
#define SHORT_NAME 12

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

struct cli_text cli_usage_id(const struct cas_usage_item *item)
{
    struct cli_text out;

    if (digest_is_set(&item->id))
        return cli_format_short_id(&item->id);
    snprintf(out.text, sizeof out.text, "%.*s", SHORT_NAME, last_part(item->names[0]));
    return out;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

bool cli_usage_has_id(const struct cas_usage_item *item, const char *text)
{
    if (begins(text, "sha256:"))
        text += strlen("sha256:");
    if (digest_is_set(&item->id) && begins(digest_hex(&item->id).text, text))
        return true;
    for (size_t i = 0; i < item->key_count; i++) {
        if (begins(digest_hex(&item->keys[i]).text, text))
            return true;
    }
    for (size_t i = 0; i < item->name_count; i++) {
        if (strcmp(item->names[i], text) == 0 || begins(last_part(item->names[i]), text))
            return true;
    }
    return false;
}

static char *image_names(const struct cas_usage_item *item)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    for (size_t i = 0; i < item->name_count; i++) {
        CLEANUP(registry_reference_release) struct registry_reference reference = {0};
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;
        CLEANUP(base_freep) char *familiar = NULL;

        if (registry_reference_parse(view_of(item->names[i]), &reference, &ignored) == 0)
            familiar = registry_reference_familiar(&reference);
        buf_printf(&text, "%s%s", i > 0 ? ", " : "", familiar ? familiar : item->names[i]);
    }
    return buf_take(&text);
}

char *cli_usage_description(const struct cas_usage_item *item,
                            const struct build_step_names *names)
{
    const char *step = build_step_names_find(names, item->keys, item->key_count);
    char *out;

    if (item->kind == CAS_USAGE_IMAGE)
        return image_names(item);
    if (item->kind != CAS_USAGE_CACHE)
        return base_strdup(item->names[0]);
    out = base_strdup(step ? step : "");
    /* A RUN may have many lines, and what a terminal takes for orders. */
    for (char *at = out; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    }
    return out;
}

struct cli_text cli_usage_age(int64_t ns)
{
    struct cli_text out;

    snprintf(out.text, sizeof out.text, "%.50s ago",
             cli_format_duration(time(NULL) - ns / 1000000000).text);
    return out;
}

static void set_time(struct doc *d, const char *key, int64_t ns)
{
    doc_set_text(d, key,
                 cli_format_time(ns / 1000000000, (uint32_t)(ns % 1000000000)).text);
}

struct doc *cli_usage_item_doc(const struct cas_usage_item *item,
                               const struct build_step_names *names)
{
    CLEANUP(base_freep) char *description = cli_usage_description(item, names);
    struct doc *d = doc_new_object();

    if (digest_is_set(&item->id))
        doc_set_text(d, "id", digest_format(&item->id).text);
    else
        doc_set_text(d, "id", last_part(item->names[0]));
    doc_set_text(d, "type", cas_usage_type(item->kind));
    doc_set_int(d, "size", (int64_t)item->size);
    doc_set_int(d, "unique_size", (int64_t)item->unique);
    set_time(d, "created", item->created);
    set_time(d, "last_used", item->used);
    doc_set_bool(d, "shared", item->shared);
    doc_set_bool(d, "in_use", item->in_use);
    doc_set_text(d, "description", description);
    if (item->kind == CAS_USAGE_IMAGE) {
        struct doc *list = doc_new_array();
        for (size_t i = 0; i < item->name_count; i++)
            doc_append_text(list, item->names[i]);
        doc_set(d, "names", list);
    }
    return d;
}
