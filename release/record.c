#include "release/record.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Tags that one entry may speak of: a release has as many as there are templates. */
#define MOVES_MAX 256

void release_record_release(struct release_record *r)
{
    for (size_t i = 0; i < r->move_count; i++)
        free(r->moves[i].tag);
    free(r->moves);
    free(r->who);
    free(r->command);
    free(r->version);
    free(r->message);
    free(r->source);
    doc_unref(r->annotations);
    *r = (struct release_record){0};
}

void release_record_stamp(struct release_record *r)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    r->seconds = now.tv_sec;
    r->nanoseconds = (uint32_t)now.tv_nsec;
}

void release_record_add(struct release_record *r,
                        const char *tag,
                        const struct digest *from,
                        const struct digest *to)
{
    r->moves = base_grow(r->moves, r->move_count, &r->move_capacity, sizeof *r->moves);
    r->moves[r->move_count++] =
        (struct release_move){.tag = base_strdup(tag), .from = *from, .to = *to};
}

const struct release_move *release_record_find(const struct release_record *r,
                                               const char *tag)
{
    for (size_t i = 0; i < r->move_count; i++) {
        if (strcmp(r->moves[i].tag, tag) == 0)
            return &r->moves[i];
    }
    return NULL;
}

/* --- Writing --- */

char *release_record_time(const struct release_record *r)
{
    const time_t seconds = (time_t)r->seconds;
    char text[64] = "";
    struct tm tm;

    if (gmtime_r(&seconds, &tm))
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    return base_format("%s.%09uZ", text, (unsigned)r->nanoseconds);
}

static struct doc *digest_doc(const struct digest *d)
{
    return digest_is_set(d) ? doc_new_text(view_of(digest_format(d).text)) : doc_new_null();
}

static void set_optional(struct doc *d, const char *key, const char *text)
{
    if (text)
        doc_set_view(d, key, view_of(text));
}

struct doc *release_record_doc(const struct release_record *r)
{
    CLEANUP(base_freep) char *time = release_record_time(r);
    struct doc *const d = doc_new_object();
    struct doc *const tags = doc_new_array();

    doc_set_int(d, "sequence", r->sequence);
    doc_set_text(d, "time", time);
    set_optional(d, "who", r->who);
    set_optional(d, "command", r->command);
    set_optional(d, "version", r->version);
    set_optional(d, "message", r->message);
    set_optional(d, "source", r->source);
    if (r->annotations)
        doc_set(d, "annotations", doc_copy(r->annotations));
    for (size_t i = 0; i < r->move_count; i++) {
        struct doc *const one = doc_new_object();

        doc_set_text(one, "tag", r->moves[i].tag);
        doc_set(one, "from", digest_doc(&r->moves[i].from));
        doc_set(one, "to", digest_doc(&r->moves[i].to));
        doc_append(tags, one);
    }
    doc_set(d, "tags", tags);
    return d;
}

/* --- Reading --- */

/* "2026-11-23T13:00:00[.FRACTION]Z" */
static int time_parse(const char *text, struct release_record *out, struct error *err)
{
    struct tm tm = {0};
    const char *const rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    uint32_t scale = 1000000000;
    const char *c = rest;

    out->nanoseconds = 0;
    if (c && *c == '.') {
        for (c++; *c >= '0' && *c <= '9'; c++) {
            scale /= 10;
            out->nanoseconds += scale * (uint32_t)(*c - '0');
        }
    }
    if (!c || strcmp(c, "Z") != 0)
        return error_set(err, ERROR_INVALID, "it has no time");
    out->seconds = timegm(&tm);
    return 0;
}

static int digest_read(const struct doc *d, struct digest *out, struct error *err)
{
    *out = (struct digest){0};
    if (!d || doc_type(d) == DOC_NULL)
        return 0;
    return digest_parse(doc_view(d), out, err);
}

static int moves_parse(const struct doc *tags,
                       struct release_record *out,
                       struct error *err)
{
    const size_t count = doc_count(tags);

    if (doc_type(tags) != DOC_ARRAY || count > MOVES_MAX)
        return error_set(err, ERROR_INVALID, "it has no list of tags, or too long a one");
    for (size_t i = 0; i < count; i++) {
        const struct doc *const one = doc_at(tags, i);
        const char *const tag = doc_text(doc_get(one, "tag"));
        struct digest from, to;

        if (!tag || digest_read(doc_get(one, "from"), &from, err) < 0 ||
            digest_read(doc_get(one, "to"), &to, err) < 0)
            return error_set(err, ERROR_INVALID, "tag %zu is malformed", i + 1);
        release_record_add(out, tag, &from, &to);
    }
    return 0;
}

static int record_read(const struct doc *d, struct release_record *out, struct error *err)
{
    const struct doc *const annotations = doc_get(d, "annotations");

    if (!doc_int(doc_get(d, "sequence"), &out->sequence) || out->sequence < 0)
        return error_set(err, ERROR_INVALID, "it has no sequence number");
    out->who = base_strdup(doc_text(doc_get(d, "who")));
    out->command = base_strdup(doc_text(doc_get(d, "command")));
    out->version = base_strdup(doc_text(doc_get(d, "version")));
    out->message = base_strdup(doc_text(doc_get(d, "message")));
    out->source = base_strdup(doc_text(doc_get(d, "source")));
    if (doc_type(annotations) == DOC_OBJECT)
        out->annotations = doc_copy(annotations);
    return time_parse(doc_text(doc_get(d, "time")), out, err) < 0
               ? -1
               : moves_parse(doc_get(d, "tags"), out, err);
}

int release_record_parse(struct view json, struct release_record *out, struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *d = doc_parse(json, err);

    *out = (struct release_record){0};
    if (d && record_read(d, out, err) == 0)
        return 0;
    release_record_release(out);
    return error_wrap(err, "an entry of the history");
}

int release_record_compare(const struct release_record *a, const struct release_record *b)
{
    if (a->sequence != b->sequence)
        return a->sequence < b->sequence ? -1 : 1;
    if (a->seconds != b->seconds)
        return a->seconds < b->seconds ? -1 : 1;
    if (a->nanoseconds != b->nanoseconds)
        return a->nanoseconds < b->nanoseconds ? -1 : 1;
    return digest_compare(&a->id, &b->id);
}
