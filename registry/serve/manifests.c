#include "registry/serve/serve_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/ref.h"
#include "registry/serve/header.h"

#include <stdlib.h>
#include <string.h>

/* Tags that one request may set by "?tag=". */
#define TAGS_MAX 64

static bool is_digest(const char *reference)
{
    return strchr(reference, ':') != NULL;
}

/* --- Reading --- */

/* Answers itself unless *found: 404 or 400. */
static void resolve(struct serve_exchange *x,
                    bool *found,
                    bool *own,
                    struct descriptor *out)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct serve_target *t = &x->target;
    const bool by_digest = is_digest(t->reference);
    struct digest d;
    int result = 0;

    *found = *own = false;
    if (by_digest && !serve_digest_read(x, t->reference, &d))
        return;
    if (by_digest)
        result = serve_manifest_find(x->serve, t->repository, &d, found, own, out, &err);
    else if (serve_is_tag(view_of(t->reference)))
        result =
            serve_tag_find(x->serve, t->repository, t->reference, found, own, out, &err);
    if (result < 0) {
        serve_fail(x, &err);
        return;
    }
    if (serve_behind_is_asked(x) && (!*found || (*own && !by_digest)))
        serve_behind_manifest(x, by_digest ? &d : NULL, found, own, out);
    if (!*found)
        serve_refuse(x, 404, "MANIFEST_UNKNOWN", "%s has no manifest '%s'", t->repository,
                     t->reference);
}

static void name_manifest(struct serve_exchange *x, const struct digest *d)
{
    serve_reply_header(x, "Docker-Content-Digest", "%s", digest_format(d).text);
    serve_reply_header(x, "ETag", "\"%s\"", digest_format(d).text);
}

static void get_manifest(struct serve_exchange *x)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const char *const known = serve_header(x, "If-None-Match");
    bool found;
    bool own;

    resolve(x, &found, &own, &d);
    if (!found)
        return;
    if (known && (serve_etags_any(known) || serve_etags_match(known, &d.digest))) {
        serve_reply(x, 304);
        name_manifest(x, &d.digest);
        return;
    }
    CLEANUP(fd_closep) int fd = cas_blob_open(x->serve->store, &d.digest, &err);
    if (fd < 0) {
        serve_fail(x, &err);
        return;
    }
    serve_reply(x, 200);
    serve_reply_header(x, "Content-Type", "%s", d.media_type);
    name_manifest(x, &d.digest);
    serve_reply_fd(x, &fd, 0, d.size);
}

/* --- Writing --- */

struct put {
    struct serve_manifest manifest;
    char *tags[TAGS_MAX];
    char *names[TAGS_MAX];
    char *stand_ins[TAGS_MAX];
    struct cas_ref_guard guards[TAGS_MAX];
    size_t tag_count;
    bool has_param; /* the tags came by "?tag=" */
};

static void put_release(struct put *p)
{
    serve_manifest_release(&p->manifest);
    for (size_t i = 0; i < p->tag_count; i++) {
        free(p->tags[i]);
        free(p->names[i]);
        free(p->stand_ins[i]);
    }
}

static void begin_put(struct serve_exchange *x)
{
    const uint64_t size = x->request.body_size;

    buf_init(&x->body, LIMIT_MANIFEST_SIZE);
    if (size != SERVE_HTTP_SIZE_UNKNOWN && size > LIMIT_MANIFEST_SIZE)
        serve_refuse(x, 413, "MANIFEST_INVALID", "manifests may have %zu bytes at most",
                     LIMIT_MANIFEST_SIZE);
}

static void take_body(struct serve_exchange *x, const char *data, size_t size)
{
    buf_append(&x->body, data, size);
    if (x->body.failed)
        serve_refuse(x, 413, "MANIFEST_INVALID", "manifests may have %zu bytes at most",
                     LIMIT_MANIFEST_SIZE);
}

/* RFC 9110 section 13.1: what the writer believes the tag to be. */
static void read_conditions(const struct serve_exchange *x, struct cas_ref_guard *g)
{
    const char *const if_match = serve_header(x, "If-Match");
    const char *const if_none = serve_header(x, "If-None-Match");

    if (if_none && serve_etags_any(if_none))
        g->is_absent = true;
    else if (if_none)
        (void)serve_etags_single(if_none, &g->is_not);
    if (if_match && serve_etags_any(if_match))
        g->is_present = true;
    /* What is no digest is no state that a tag was ever in. */
    else if (if_match && !serve_etags_single(if_match, &g->is))
        g->is = digest_of(DIGEST_SHA512, view_of(""));
}

static bool add_tag(struct serve_exchange *x, struct put *p, char *tag)
{
    const char *const repository = x->target.repository;
    const size_t i = p->tag_count;

    if (i == TAGS_MAX || !serve_is_tag(view_of(tag))) {
        if (i == TAGS_MAX)
            serve_refuse(x, 414, "UNSUPPORTED", "more than %d tags at once", TAGS_MAX);
        else
            serve_refuse(x, 400, "MANIFEST_INVALID", "'%s' is no tag", tag);
        free(tag);
        return false;
    }
    CLEANUP(base_freep) char *prefix = serve_names_prefix(x->serve, repository);
    CLEANUP(base_freep) char *own = serve_names_own_prefix(x->serve, repository);
    p->tags[i] = tag;
    p->names[i] = base_format("%s%s", prefix, tag);
    p->stand_ins[i] = own ? base_format("%s%s", own, tag) : NULL;
    p->guards[i] =
        (struct cas_ref_guard){.stand_in = p->stand_ins[i],
                               .is_fixed = serve_names_fixed(x->serve, repository, tag)};
    read_conditions(x, &p->guards[i]);
    p->tag_count++;
    return true;
}

/* By digest, with any number of tags beside it; or by tag. */
static bool read_names(struct serve_exchange *x, struct put *p, struct digest *want)
{
    char *tag;

    want->alg = DIGEST_NONE;
    if (!is_digest(x->target.reference))
        return add_tag(x, p, base_strdup(x->target.reference));
    if (!serve_digest_read(x, x->target.reference, want))
        return false;
    while ((tag = serve_target_param(&x->target, "tag", p->tag_count))) {
        if (!add_tag(x, p, tag))
            return false;
        p->has_param = true;
    }
    return true;
}

static void refuse_move(struct serve_exchange *x,
                        const struct put *p,
                        const struct cas_ref_verdict *v)
{
    struct doc *detail = doc_new_object();
    const char *const now =
        digest_is_set(&v->now) ? digest_format(&v->now).text : "nothing";
    CLEANUP(base_freep)
    char *text = v->refusal == CAS_REF_FIXED
                     ? base_format("the tag '%s' is immutable and points to %s",
                                   p->tags[v->index], now)
                     : base_format("the tag '%s' points to %s", p->tags[v->index], now);

    doc_set_text(detail, "tag", p->tags[v->index]);
    doc_set_text(detail, "digest", now);
    serve_refuse_detail(x, v->refusal == CAS_REF_FIXED ? 409 : 412, "DENIED", text, detail);
    if (digest_is_set(&v->now))
        serve_reply_header(x, "ETag", "\"%s\"", now);
}

static void acknowledge(struct serve_exchange *x, const struct put *p)
{
    const struct cas_repository_manifest *record = &p->manifest.record;
    const struct digest *d = &record->target.digest;

    serve_reply(x, 201);
    serve_reply_header(x, "Location", "/v2/%s/manifests/%s", x->target.repository,
                       digest_format(d).text);
    name_manifest(x, d);
    if (digest_is_set(&record->subject))
        serve_reply_header(x, "OCI-Subject", "%s", digest_format(&record->subject).text);
    if (p->has_param) {
        CLEANUP(buf_release) struct buf tags = BUF_INIT(LIMIT_TEXT_SIZE);
        for (size_t i = 0; i < p->tag_count; i++)
            buf_printf(&tags, "%s%s", i ? ", " : "", p->tags[i]);
        serve_reply_header(x, "OCI-Tag", "%s", buf_text(&tags));
    }
    atomic_fetch_add(&x->serve->stats.manifests, 1);
}

static int write_bytes(struct serve_exchange *x, const struct digest *d, struct error *err)
{
    CLEANUP(cas_blob_writer_abortp)
    struct cas_blob_writer *w = cas_blob_writer_new(x->serve->store, d->alg, err);

    if (!w || cas_blob_writer_write(w, x->body.data, x->body.size, err) < 0)
        return -1;
    struct cas_blob_writer *whole = w;
    w = NULL;
    return cas_blob_writer_commit(whole, d, x->body.size, NULL, NULL, err);
}

/* *is_new: the store did not have these bytes. Answers itself unless it returns true. */
static bool store_bytes(struct serve_exchange *x, const struct digest *d, bool *is_new)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    bool found;

    if (cas_blob_find(x->serve->store, d, &found, NULL, &err) == 0 &&
        (found || write_bytes(x, d, &err) == 0)) {
        *is_new = !found;
        return true;
    }
    if (error_is(&err, ERROR_LIMIT))
        serve_refuse_limit(x, &err);
    else
        serve_fail(x, &err);
    return false;
}

static void store_manifest(struct serve_exchange *x, struct put *p)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(base_freep)
    char *why = x->user ? base_format("push by %s from %s", x->user, x->request.peer)
                        : base_format("push from %s", x->request.peer);
    struct cas_ref_verdict verdict = {.refusal = CAS_REF_GRANTED};
    struct cas_repository_put put = {
        .repository = x->target.repository,
        .manifest = &p->manifest.record,
        .blobs = p->manifest.blobs,
        .blob_count = p->manifest.blob_count,
        .absent = p->manifest.absent,
        .absent_count = p->manifest.absent_count,
        .names = (const char *const *)p->names,
        .guards = p->guards,
        .name_count = p->tag_count,
        .why = why,
    };

    if (!store_bytes(x, &p->manifest.record.target.digest, &put.is_private))
        return;
    if (cas_repository_put_manifest(x->serve->store, &put, &verdict, &err) == 0)
        acknowledge(x, p);
    else if (verdict.refusal != CAS_REF_GRANTED)
        refuse_move(x, p, &verdict);
    else if (error_is(&err, ERROR_NOT_FOUND))
        serve_refuse(x, 404, "MANIFEST_BLOB_UNKNOWN", "%s", error_text(&err));
    else if (error_is(&err, ERROR_INVALID) || error_is(&err, ERROR_CORRUPT) ||
             error_is(&err, ERROR_LIMIT))
        serve_refuse(x, 400, "MANIFEST_INVALID", "%s", error_text(&err));
    else
        serve_fail(x, &err);
}

static void put_manifest(struct serve_exchange *x)
{
    CLEANUP(put_release) struct put p = {0};
    struct digest want;

    if (!read_names(x, &p, &want) ||
        !serve_check_manifest(x, digest_is_set(&want) ? want.alg : DIGEST_SHA256,
                              &p.manifest))
        return;
    const struct digest *got = &p.manifest.record.target.digest;
    if (digest_is_set(&want) && !digest_eq(&want, got)) {
        serve_refuse(x, 400, "DIGEST_INVALID", "the manifest has digest %s, not %s",
                     digest_format(got).text, digest_format(&want).text);
        return;
    }
    store_manifest(x, &p);
}

/* --- Removing --- */

static void refuse_own(struct serve_exchange *x)
{
    serve_refuse(x, 405, "UNSUPPORTED",
                 "this is an image of the store that the registry shows; it is removed "
                 "with 'cooper rmi'");
}

static int remove_ref(struct serve_exchange *x, const char *name, struct error *err)
{
    CLEANUP(base_freep)
    char *why = x->user ? base_format("delete by %s from %s", x->user, x->request.peer)
                        : base_format("delete from %s", x->request.peer);

    if (cas_ref_delete(x->serve->store, name, why, err) == 0)
        return 0;
    if (!error_is(err, ERROR_NOT_FOUND)) /* somebody else was faster */
        return -1;
    error_clear(err);
    return 0;
}

static int remove_tag(struct serve_exchange *x, const struct digest *now, struct error *err)
{
    CLEANUP(base_freep) char *prefix = serve_names_prefix(x->serve, x->target.repository);
    CLEANUP(base_freep) char *name = base_format("%s%s", prefix, x->target.reference);

    return serve_may_remove_tag(x, x->target.reference, now) ? remove_ref(x, name, err) : 0;
}

/* The tags first: none is ever left that points to nothing. */
static int remove_digest(struct serve_exchange *x,
                         const struct digest *d,
                         struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};
    CLEANUP(digest_set_release) struct digest_set parents = {0};
    CLEANUP(base_freep) char *prefix = serve_names_prefix(x->serve, x->target.repository);

    if (cas_ref_page(x->serve->store, prefix, "", SIZE_MAX, &refs, err) < 0)
        return -1;
    if (!serve_may_remove(x, d))
        return 0;
    for (size_t i = 0; i < refs.count; i++) {
        serve_manifest_parents(x->serve, &refs.items[i].target, d, &parents);
        if (digest_eq(&refs.items[i].target.digest, d) &&
            remove_ref(x, refs.items[i].name, err) < 0)
            return -1;
    }
    return cas_repository_remove_manifest(x->serve->store, x->target.repository, d,
                                          &parents, err);
}

static void delete_manifest(struct serve_exchange *x)
{
    CLEANUP(descriptor_release) struct descriptor d = {0};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const char *const if_match = serve_header(x, "If-Match");
    bool found;
    bool own = false;

    resolve(x, &found, &own, &d);
    if (!found)
        return;
    if (own) {
        refuse_own(x);
        return;
    }
    if (if_match && !serve_etags_any(if_match) && !serve_etags_match(if_match, &d.digest)) {
        serve_refuse(x, 412, "DENIED", "'%s' points to %s", x->target.reference,
                     digest_format(&d.digest).text);
        return;
    }
    if ((is_digest(x->target.reference) ? remove_digest(x, &d.digest, &err)
                                        : remove_tag(x, &d.digest, &err)) < 0)
        serve_fail(x, &err);
    else
        serve_reply(x, 202);
}

const struct serve_action serve_actions_manifests[] = {
    {SERVE_ROUTE_MANIFEST, SERVE_METHOD_GET, .finish = get_manifest},
    {SERVE_ROUTE_MANIFEST, SERVE_METHOD_HEAD, .finish = get_manifest},
    {SERVE_ROUTE_MANIFEST, SERVE_METHOD_PUT, true, begin_put, take_body, put_manifest},
    {SERVE_ROUTE_MANIFEST, SERVE_METHOD_DELETE, true, .finish = delete_manifest},
    {.route = SERVE_ROUTE_UNKNOWN},
};
