#include "release/log.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "registry/referrers.h"

#include <stdlib.h>
#include <string.h>

/* Digits of the artifact's digest in its tag. */
#define TAG_DIGITS 32

void release_log_release(struct release_log *l)
{
    for (size_t i = 0; i < l->count; i++)
        release_record_release(&l->items[i]);
    free(l->items);
    *l = (struct release_log){0};
}

/* --- Reading --- */

static int log_add(struct release_log *l,
                   const struct digest *id,
                   const struct doc *annotations,
                   struct error *err)
{
    const struct doc *const text = doc_get(annotations, RELEASE_RECORD_KEY);
    struct release_record record;

    if (release_record_parse(doc_view(text), &record, err) < 0)
        return error_wrap(err, "%s", digest_format(id).text);
    record.id = *id;
    l->items = base_grow(l->items, l->count, &l->capacity, sizeof *l->items);
    l->items[l->count++] = record;
    return 0;
}

/* The entry's manifest, where a list does not tell its annotations. */
static int log_fetch(struct release_place *p,
                     const struct digest *id,
                     struct release_log *out,
                     struct error *err)
{
    CLEANUP(release_manifest_release) struct release_manifest m = {0};
    CLEANUP(doc_unrefp) struct doc *d = NULL;

    if (release_place_get(p, id, &m, err) < 0)
        return -1;
    d = doc_parse(buf_view(&m.bytes), err);
    return d ? log_add(out, id, doc_get(d, "annotations"), err) : -1;
}

static char *log_tag(const struct digest *id)
{
    return base_format(RELEASE_TAG_LOG "%.*s", TAG_DIGITS, digest_hex(id).text);
}

static bool log_has_tag(const struct release_log *l, const char *tag)
{
    bool found = false;

    for (size_t i = 0; i < l->count && !found; i++) {
        CLEANUP(base_freep) char *own = log_tag(&l->items[i].id);
        found = strcmp(own, tag) == 0;
    }
    return found;
}

static int read_listed(struct release_place *p, struct release_log *out, struct error *err)
{
    CLEANUP(registry_referrers_release) struct registry_referrers list = {0};
    const struct digest *const anchor = &release_place_anchor(p)->digest;

    if (registry_referrers_list(p->client, &p->repository, anchor, RELEASE_LOG_TYPE, &list,
                                err) < 0)
        return -1;
    for (size_t i = 0; i < list.count; i++) {
        const struct descriptor *const d = &list.items[i];
        const bool is_told = doc_get(d->annotations, RELEASE_RECORD_KEY) != NULL;

        if ((is_told ? log_add(out, &d->digest, d->annotations, err)
                     : log_fetch(p, &d->digest, out, err)) < 0)
            return -1;
    }
    return 0;
}

static int read_tagged(struct release_place *p,
                       const struct release_names *tags,
                       struct release_log *out,
                       struct error *err)
{
    for (size_t i = 0; i < tags->count; i++) {
        struct digest id;

        if (strncmp(tags->items[i], RELEASE_TAG_LOG, strlen(RELEASE_TAG_LOG)) != 0 ||
            log_has_tag(out, tags->items[i]))
            continue;
        if (release_place_digest(p, tags->items[i], &id, err) < 0 ||
            (digest_is_set(&id) && log_fetch(p, &id, out, err) < 0))
            return -1;
    }
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    return release_record_compare(b, a);
}

int release_log_read(struct release_place *p,
                     const struct release_names *tags,
                     struct release_log *out,
                     struct error *err)
{
    if (!release_names_has(tags, RELEASE_TAG_ANCHOR)) /* nothing was ever released */
        return 0;
    if (read_listed(p, out, err) < 0 || read_tagged(p, tags, out, err) < 0)
        return error_wrap(err, "history of %s", p->repository.path);
    if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, newest_first);
    return 0;
}

int64_t release_log_next(const struct release_log *l)
{
    int64_t next = 1;

    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].sequence >= next && l->items[i].sequence < INT64_MAX)
            next = l->items[i].sequence + 1;
    }
    return next;
}

/* --- Writing --- */

/* Copied from `annotations`, so that lists of referrers show them. */
static struct doc *annotations_doc(const struct release_record *record, const char *json)
{
    struct doc *const d =
        record->annotations ? doc_copy(record->annotations) : doc_new_object();

    doc_set_view(d, RELEASE_RECORD_KEY, view_of(json));
    return d;
}

/* Does the registry list referrers by itself, or is there the fallback's index? */
static int is_fallback(struct release_place *p, bool *fallback, struct error *err)
{
    CLEANUP(base_freep)
    char *tag = registry_referrers_tag(&release_place_anchor(p)->digest);
    struct digest now;

    if (release_place_digest(p, tag, &now, err) < 0)
        return -1;
    *fallback = digest_is_set(&now);
    return 0;
}

static int put_tagged(struct release_place *p, const struct digest *id, struct error *err)
{
    CLEANUP(release_manifest_release) struct release_manifest m = {0};
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    struct digest confirmed;

    if (release_place_get(p, id, &m, err) < 0)
        return -1;
    registry_reference_copy(&ref, &p->repository);
    ref.tag = log_tag(id);
    return registry_manifest_put(p->client, &ref, m.descriptor.media_type,
                                 buf_view(&m.bytes), &confirmed, err);
}

int release_log_write(struct release_place *p,
                      struct release_record *record,
                      struct error *err)
{
    CLEANUP(buf_release) struct buf json = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(doc_unrefp) struct doc *d = release_record_doc(record);
    CLEANUP(descriptor_release) struct descriptor out = {0};
    bool fallback;

    doc_write(d, DOC_WRITE_COMPACT, &json);
    if (buf_ok(&json, "an entry of the history", err) < 0)
        return -1;
    CLEANUP(doc_unrefp) struct doc *annotations = annotations_doc(record, buf_text(&json));
    const struct registry_artifact_layer file = {.media_type = RELEASE_LOG_TYPE,
                                                 .bytes = buf_view(&json)};
    const struct registry_artifact artifact = {
        .artifact_type = RELEASE_LOG_TYPE,
        .subject = release_place_anchor(p),
        .layers = &file,
        .layer_count = 1,
        .annotations = annotations,
    };
    if (registry_artifact_push(p->client, &p->repository, &artifact, &out, err) < 0)
        return error_wrap(err, "history of %s", p->repository.path);
    record->id = out.digest;
    if (is_fallback(p, &fallback, err) < 0 ||
        (fallback && put_tagged(p, &record->id, err) < 0))
        return error_wrap(err, "history of %s", p->repository.path);
    return 0;
}

/* --- Asking --- */

const char *release_log_version(const struct release_log *l, const struct digest *digest)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct release_record *const r = &l->items[i];
        const struct release_move *const m =
            r->version ? release_record_find(r, r->version) : NULL;

        if (m && digest_eq(&m->to, digest))
            return r->version;
    }
    return NULL;
}

bool release_log_is_version(const struct release_log *l, const char *tag)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].version && strcmp(l->items[i].version, tag) == 0)
            return true;
    }
    return false;
}

void release_states_release(struct release_states *s)
{
    free(s->items);
    *s = (struct release_states){0};
}

/* Unless it is where the list ends already. */
static void states_add(struct release_states *s,
                       const struct digest *digest,
                       const struct release_record *record)
{
    struct release_state *const last = s->count ? &s->items[s->count - 1] : NULL;

    if (!digest_is_set(digest))
        return;
    if (last && digest_eq(&last->digest, digest)) {
        if (!last->record)
            last->record = record;
        return;
    }
    s->items = base_grow(s->items, s->count, &s->capacity, sizeof *s->items);
    s->items[s->count++] = (struct release_state){.digest = *digest, .record = record};
}

void release_log_states(const struct release_log *l,
                        const char *tag,
                        const struct digest *now,
                        struct release_states *out)
{
    states_add(out, now, NULL);
    for (size_t i = 0; i < l->count; i++) {
        const struct release_move *const m = release_record_find(&l->items[i], tag);

        if (!m)
            continue;
        states_add(out, &m->to, &l->items[i]);
        states_add(out, &m->from, NULL);
    }
}
