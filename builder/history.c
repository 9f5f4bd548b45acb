#include "builder/history.h"

#include "base/alloc.h"

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

/* As the instructions have it. One that made no layer carries the time of the layer before
 * it. */
static struct doc *of_steps(const struct build_plan *plan, const struct build_solution *s)
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
    return history;
}

/* --- Layers that were joined or split --- */

static bool has_layer(const struct doc *entry)
{
    return !doc_bool(doc_get(entry, "empty_layer"));
}

/* What was done is still told; the layer is that of one entry at the end, as docker build
 * --squash has it. */
static struct doc *join(const struct doc *history, size_t from, const char *flag)
{
    struct doc *out = doc_new_array();
    struct doc *last = doc_new_object();
    const char *created = NULL;
    size_t layer = 0;

    for (size_t i = 0; i < doc_count(history); i++) {
        struct doc *entry = doc_copy(doc_at(history, i));

        created = doc_text(doc_get(doc_at(history, i), "created"));
        if (has_layer(entry) && layer++ >= from)
            doc_set_bool(entry, "empty_layer", true);
        doc_append(out, entry);
    }
    CLEANUP(base_freep) char *comment = base_format("%zu layers in one", layer - from);
    if (created)
        doc_set_text(last, "created", created);
    doc_set_text(last, "created_by", flag);
    doc_set_text(last, "comment", comment);
    doc_append(out, last);
    return out;
}

static struct doc *split(const struct doc *history, const size_t *pieces)
{
    struct doc *out = doc_new_array();
    size_t layer = 0;

    for (size_t i = 0; i < doc_count(history); i++) {
        const struct doc *from = doc_at(history, i);
        const size_t count = has_layer(from) ? pieces[layer++] : 1;

        for (size_t k = 0; k < count; k++) {
            struct doc *entry = doc_copy(from);

            if (count > 1) {
                CLEANUP(base_freep)
                char *comment = base_format("part %zu of %zu", k + 1, count);

                doc_set_text(entry, "comment", comment);
            }
            doc_append(out, entry);
        }
    }
    return out;
}

struct doc *build_history_make(const struct build_plan *plan,
                               const struct build_solution *solution,
                               const struct build_shape *shape)
{
    struct doc *history = of_steps(plan, solution);

    if (shape->joined_count > 0) {
        struct doc *joined = join(history, shape->joined_from,
                                  shape->joined_from == 0 ? "cooper build --squash-all"
                                                          : "cooper build --squash");

        doc_unref(history);
        history = joined;
    }
    if (shape->pieces) {
        struct doc *pieces = split(history, shape->pieces);

        doc_unref(history);
        history = pieces;
    }
    return history;
}
