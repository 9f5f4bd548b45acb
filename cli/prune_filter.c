#include "cli/prune_filter.h"

#include "base/alloc.h"
#include "cli/format.h"
#include "cli/image.h"
#include "cli/usage_text.h"

#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000000)

/* --- until --- */

static int64_t unit_ns(char unit)
{
    switch (unit) {
    case 's':
        return SECOND;
    case 'm':
        return 60 * SECOND;
    case 'h':
        return 3600 * SECOND;
    default:
        return 0;
    }
}

/* Go's durations, as far as people write them: whole numbers with a unit each. */
static bool duration_parse(struct view text, int64_t *out)
{
    *out = 0;
    if (text.size == 0)
        return false;
    while (text.size > 0) {
        size_t digits = 0;
        uint64_t value = 0;
        while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9')
            digits++;
        const int64_t unit = digits < text.size ? unit_ns(text.data[digits]) : 0;
        if (unit == 0 || !view_to_u64(view_sub(text, 0, digits), &value) ||
            value > (uint64_t)(INT64_MAX / 2 / unit) ||
            *out > INT64_MAX / 2 - (int64_t)value * unit)
            return false;
        *out += (int64_t)value * unit;
        text = view_sub(text, digits + 1, text.size);
    }
    return true;
}

/* A time without a zone is local, as with docker. */
static bool local_parse(const char *text, const char *format, int64_t *out)
{
    struct tm tm = {.tm_isdst = -1};
    const char *end = strptime(text, format, &tm);

    if (!end || *end)
        return false;
    *out = (int64_t)mktime(&tm);
    return true;
}

int cli_until_parse(const char *text, int64_t now_ns, int64_t *out_ns, struct error *err)
{
    int64_t seconds = 0;
    uint64_t number = 0;

    if (view_to_u64(view_of(text), &number) && number <= INT64_MAX / SECOND) {
        *out_ns = (int64_t)number * SECOND;
        return 0;
    }
    if (duration_parse(view_of(text), out_ns)) {
        *out_ns = now_ns - *out_ns;
        return 0;
    }
    if (!cli_time_parse(text, &seconds) &&
        !local_parse(text, "%Y-%m-%dT%H:%M:%S", &seconds) &&
        !local_parse(text, "%Y-%m-%dT%H:%M", &seconds) &&
        !local_parse(text, "%Y-%m-%d", &seconds))
        return error_set(err, ERROR_USAGE,
                         "until=%s is no duration (24h, 1h30m) and no time "
                         "(2026-11-01T12:00:00Z, seconds since 1970)",
                         text);
    *out_ns = seconds * SECOND;
    return 0;
}

static int add_until(struct cli_prune_filter *f, const char *value, struct error *err)
{
    struct timespec now;
    int64_t before = 0;

    clock_gettime(CLOCK_REALTIME, &now);
    if (cli_until_parse(value, now.tv_sec * SECOND + now.tv_nsec, &before, err) < 0)
        return -1;
    /* 0 would be none; nothing is that old. */
    f->before = before > 0 ? before : 1;
    return 0;
}

/* --- The others --- */

static int add_type(struct cli_prune_filter *f, const char *value, struct error *err)
{
    static const enum cas_usage_kind kinds[] = {
        CAS_USAGE_IMAGE, CAS_USAGE_CACHE,  CAS_USAGE_DANGLING, CAS_USAGE_LAYER,
        CAS_USAGE_MOUNT, CAS_USAGE_SOURCE, CAS_USAGE_BUILD,    CAS_USAGE_STAT,
    };

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (strcmp(value, cas_usage_type(kinds[i])) != 0)
            continue;
        f->kinds |= CAS_PRUNE_KIND(kinds[i]);
        return 0;
    }
    return error_set(err, ERROR_USAGE,
                     "type=%s is none of image, regular, internal, exec.cachemount, "
                     "source.local, source.git.checkout, log, dangling",
                     value);
}

static int add_value(struct cli_prune_filter *f,
                     struct view key,
                     const char *value,
                     struct error *err)
{
    if (view_eq_text(key, "until"))
        return add_until(f, value, err);
    if (view_eq_text(key, "type"))
        return add_type(f, value, err);
    if (view_eq_text(key, "shared")) {
        f->has_shared = true;
        return cli_switch_parse(value, &f->shared, err);
    }
    if (view_eq_text(key, "id"))
        cli_texts_add(&f->ids, value);
    else if (view_eq_text(key, "label"))
        cli_texts_add(&f->labels, value);
    else if (view_eq_text(key, "label!"))
        cli_texts_add(&f->not_labels, value);
    else
        return error_set(err, ERROR_USAGE,
                         "no filter '%.*s': there are until, id, type, label, label!, "
                         "shared",
                         VIEW_ARG(key));
    return 0;
}

int cli_prune_filter_add(struct cli_prune_filter *f, const char *text, struct error *err)
{
    struct view key;
    struct view value;

    if (!view_cut(view_of(text), '=', &key, &value) || value.size == 0)
        return error_set(err, ERROR_USAGE, "--filter is KEY=VALUE, not '%s'", text);
    return add_value(f, key, value.data, err) < 0 ? error_wrap(err, "--filter") : 0;
}

void cli_prune_filter_release(struct cli_prune_filter *f)
{
    cli_texts_release(&f->ids);
    cli_texts_release(&f->labels);
    cli_texts_release(&f->not_labels);
}

/* --- Asking --- */

/* KEY, or KEY=VALUE. */
static bool has_label(const struct doc *labels, const char *text)
{
    struct view key;
    struct view value;
    const bool with_value = view_cut(view_of(text), '=', &key, &value);
    CLEANUP(base_freep) char *name = view_dup(key);
    const struct doc *found = doc_get(labels, name);

    return found && (!with_value || view_eq(doc_view(found), value));
}

static bool fits_labels(const struct cli_prune_filter *f, const struct cas_usage_item *item)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(cli_image_release) struct cli_image image = {0};

    if (f->labels.count == 0 && f->not_labels.count == 0)
        return true;
    /* Only images have labels; one that cannot be read is left alone. */
    if (item->kind != CAS_USAGE_IMAGE ||
        cli_image_find(f->store, item->names[0], &image, &ignored) < 0)
        return false;
    const struct doc *labels = doc_get(doc_get(image.config, "config"), "Labels");
    for (size_t i = 0; i < f->labels.count; i++) {
        if (!has_label(labels, f->labels.items[i]))
            return false;
    }
    for (size_t i = 0; i < f->not_labels.count; i++) {
        if (has_label(labels, f->not_labels.items[i]))
            return false;
    }
    return true;
}

bool cli_prune_filter_wants(void *filter, const struct cas_usage_item *item)
{
    const struct cli_prune_filter *f = filter;
    bool has_id = f->ids.count == 0;

    for (size_t i = 0; i < f->ids.count && !has_id; i++)
        has_id = cli_usage_has_id(item, f->ids.items[i]);
    return has_id && (!f->has_shared || f->shared == item->shared) && fits_labels(f, item);
}
