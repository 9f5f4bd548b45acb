/* Tags and manifests of the upstream, and what is remembered of them. */
#include "registry/serve/upstream_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/record.h"
#include "registry/image.h"
#include "registry/store_blob.h"
#include "registry/url.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HUB_HOST     "docker.io"
#define HUB_ENDPOINT "registry-1.docker.io"
/* Somebody waits for each answer. */
#define ATTEMPTS           2u
#define CONNECT_TIMEOUT_MS 5000u
#define STALL_TIMEOUT_MS   30000u
/* So long nobody waits for an upstream that failed, unless there is no other way. */
#define DOWN_S 10
/* A record counts as used again after so long. */
#define USED_EVERY_S 3600

int64_t upstream_now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* --- Life --- */

/* HOST[:PORT] of the URL, which may go without "https://". malloc'ed; NULL on error. */
static char *read_url(const char *text, bool *is_plain, struct error *err)
{
    CLEANUP(base_freep)
    char *whole = strstr(text, "://") ? base_strdup(text) : base_format("https://%s", text);
    CLEANUP(base_freep) char *reference = NULL;
    CLEANUP(registry_reference_release) struct registry_reference r = {0};
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct registry_url url;

    if (registry_url_parse(view_of(whole), &url, &ignored) == 0 &&
        (url.path.size == 0 || view_eq_text(url.path, "/"))) {
        *is_plain = !url.is_https;
        char *host = view_dup(url.authority);
        reference = base_format("%s/x", host);
        if (registry_reference_parse(view_of(reference), &r, &ignored) == 0)
            return host;
        free(host);
    }
    error_set(err, ERROR_INVALID,
              "'%s' is no registry's URL; it is https://HOST[:PORT] or http://HOST[:PORT]",
              text);
    return NULL;
}

static struct registry_client *make_client(const struct serve_upstream_options *o,
                                           const struct serve_upstream *u,
                                           bool is_plain)
{
    CLEANUP(base_freep)
    const char **insecure = base_alloc_array(o->insecure_host_count + 1, sizeof *insecure);
    size_t count = o->insecure_host_count;

    if (count > 0)
        memcpy(insecure, o->insecure_hosts, count * sizeof *insecure);
    if (is_plain)
        insecure[count++] = u->host;
    const struct registry_client_options options = {
        .http =
            {
                .insecure_hosts = insecure,
                .insecure_host_count = count,
                .ca_file = o->ca_file,
                .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                .stall_timeout_ms = STALL_TIMEOUT_MS,
                .cancelled = &u->cancelled,
            },
        .attempts = ATTEMPTS,
    };
    return registry_client_new(&options);
}

struct serve_upstream *serve_upstream_new(const struct serve_upstream_options *options,
                                          struct error *err)
{
    bool is_plain = false;
    char *host = read_url(options->url, &is_plain, err);

    if (!host)
        return NULL;
    struct serve_upstream *u = base_alloc(sizeof *u);
    /* Credentials are kept under the name that people use. */
    u->is_hub = strcmp(host, HUB_ENDPOINT) == 0 || strcmp(host, HUB_HOST) == 0 ||
                strcmp(host, "index." HUB_HOST) == 0;
    u->host = u->is_hub ? base_strdup(HUB_HOST) : base_strdup(host);
    free(host);
    u->ttl_s = options->ttl_s;
    u->complain = options->complain;
    u->complain_context = options->complain_context;
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->changed, NULL);
    u->client = make_client(options, u, is_plain);
    return u;
}

void serve_upstream_cancel(struct serve_upstream *u)
{
    if (u)
        atomic_store(&u->cancelled, true);
}

void serve_upstream_free(struct serve_upstream *u)
{
    if (!u)
        return;
    serve_upstream_cancel(u);
    pthread_mutex_lock(&u->lock);
    while (u->download_count > 0)
        pthread_cond_wait(&u->changed, &u->lock);
    pthread_mutex_unlock(&u->lock);
    registry_client_free(u->client);
    pthread_cond_destroy(&u->changed);
    pthread_mutex_destroy(&u->lock);
    free(u->host);
    free(u);
}

struct serve_upstream_stats serve_upstream_stats(struct serve_upstream *u)
{
    return (struct serve_upstream_stats){
        .manifests = atomic_load(&u->manifests),
        .blobs = atomic_load(&u->blobs),
        .bytes = atomic_load(&u->bytes),
        .failures = atomic_load(&u->failures),
    };
}

void upstream_reference(const struct serve_upstream *u,
                        const char *repository,
                        struct registry_reference *out)
{
    *out = (struct registry_reference){
        .host = base_strdup(u->host),
        .path = u->is_hub && !strchr(repository, '/')
                    ? base_format("library/%s", repository)
                    : base_strdup(repository),
    };
}

/* --- One asks, the others wait --- */

static bool is_asked_locked(const struct serve_upstream *u, const char *text)
{
    for (const struct upstream_question *q = u->questions; q; q = q->next) {
        if (strcmp(q->text, text) == 0)
            return true;
    }
    return false;
}

static void begin_question(struct serve_upstream *u,
                           struct upstream_question *q,
                           const char *text)
{
    q->text = text;
    pthread_mutex_lock(&u->lock);
    while (is_asked_locked(u, text))
        pthread_cond_wait(&u->changed, &u->lock);
    q->next = u->questions;
    u->questions = q;
    pthread_mutex_unlock(&u->lock);
}

static void end_question(struct serve_upstream *u, struct upstream_question *q)
{
    pthread_mutex_lock(&u->lock);
    struct upstream_question **at = &u->questions;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    pthread_cond_broadcast(&u->changed);
    pthread_mutex_unlock(&u->lock);
}

/* --- Up or down --- */

static bool is_down(struct serve_upstream *u)
{
    pthread_mutex_lock(&u->lock);
    const bool down = u->is_down && upstream_now_s() < u->retry_s;
    pthread_mutex_unlock(&u->lock);
    return down;
}

/* `err` NULL: it answered. Told once each time that it changes. */
static void note_state(struct serve_upstream *u, const struct error *err)
{
    CLEANUP(base_freep) char *text = NULL;

    if (err)
        atomic_fetch_add(&u->failures, 1);
    pthread_mutex_lock(&u->lock);
    const bool changed = u->is_down != (err != NULL);
    u->is_down = err != NULL;
    u->retry_s = upstream_now_s() + DOWN_S;
    pthread_mutex_unlock(&u->lock);
    if (!changed || !u->complain)
        return;
    text = err ? base_format("upstream %s: %s", u->host, error_text(err))
               : base_format("upstream %s: answers again", u->host);
    u->complain(u->complain_context, text);
}

/* --- Records --- */

struct record {
    struct descriptor target;
    int64_t checked; /* seconds since 1970: when the upstream said so, or it was used */
    struct digest key;
};

static void record_release(struct record *r)
{
    descriptor_release(&r->target);
}

static struct digest record_key(const struct serve_upstream *u, const char *question)
{
    CLEANUP(base_freep) char *text = base_format("upstream 1\n%s\n%s", u->host, question);

    return digest_of(DIGEST_SHA256, view_of(text));
}

/* Malformed records are none: they are made anew. */
static bool parse_record(const struct doc *doc, struct record *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    return doc_int(doc_get(doc, "checked"), &out->checked) &&
           descriptor_parse(doc_get(doc, "target"), &out->target, &ignored) == 0;
}

/* *found only if the manifest itself is here. */
static int find_record(const struct serve_upstream *u,
                       struct cas_store *store,
                       const char *question,
                       bool *found,
                       struct record *out,
                       struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *doc = NULL;

    *out = (struct record){.key = record_key(u, question)};
    if (cas_cache_find(store, &out->key, found, &doc, err) < 0)
        return -1;
    *found = *found && parse_record(doc, out);
    if (!*found)
        return 0;
    return cas_blob_find(store, &out->target.digest, found, NULL, err);
}

static void add_name(struct doc *names, const struct doc *descriptor)
{
    const struct doc *digest = doc_get(descriptor, "digest");

    if (doc_type(digest) == DOC_TEXT)
        doc_append(names, doc_copy(digest));
}

/* What a manifest needs is named in its record, and so kept with it. The manifests of an
 * index have records of their own. */
static struct doc *names_of(struct cas_store *store, const struct descriptor *target)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(doc_unrefp)
    struct doc *manifest = cas_blob_read_doc(store, target, LIMIT_MANIFEST_SIZE, &ignored);
    struct doc *names = doc_new_array();
    const struct doc *layers = doc_get(manifest, "layers");

    if (registry_media_is_index(target->media_type))
        return names;
    add_name(names, doc_get(manifest, "config"));
    for (size_t i = 0; i < doc_count(layers); i++)
        add_name(names, doc_at(layers, i));
    return names;
}

static int put_record(const struct serve_upstream *u,
                      struct cas_store *store,
                      const char *question,
                      const struct descriptor *target,
                      struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *doc = doc_new_object();
    const struct digest key = record_key(u, question);
    CLEANUP(base_freep) char *group = base_format("upstream 1\n%s", u->host);
    const struct digest op = digest_of(DIGEST_SHA256, view_of(group));

    doc_set(doc, "target", descriptor_doc(target));
    doc_set_int(doc, "checked", (int64_t)time(NULL));
    doc_set(doc, "names", names_of(store, target));
    return cas_cache_put(store, &key, &op, doc, err);
}

/* A clock that was set back makes answers old, never young. */
static bool is_younger(const struct record *r, int64_t seconds)
{
    const int64_t now = (int64_t)time(NULL);

    return r->checked <= now && now - r->checked < seconds;
}

/* --- Manifests --- */

static char *manifest_question(const char *repository, const struct digest *d)
{
    return base_format("%s@%s", repository, digest_format(d).text);
}

static int fetch(struct serve_upstream *u,
                 struct cas_store *store,
                 const char *repository,
                 const struct digest *d,
                 struct descriptor *out,
                 struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(base_freep) char *question = manifest_question(repository, d);

    upstream_reference(u, repository, &ref);
    ref.digest = *d;
    if (registry_manifest_get(u->client, &ref, &bytes, out, err) < 0)
        return -1;
    if (registry_store_bytes(store, out, buf_view(&bytes), err) < 0 ||
        put_record(u, store, question, out, err) < 0) {
        descriptor_release(out);
        return -1;
    }
    atomic_fetch_add(&u->manifests, 1);
    atomic_fetch_add(&u->bytes, bytes.size);
    return 0;
}

static int find_manifest(struct serve_upstream *u,
                         struct cas_store *store,
                         const char *repository,
                         const char *question,
                         const struct digest *d,
                         bool *found,
                         struct descriptor *out,
                         struct error *err)
{
    CLEANUP(record_release) struct record r = {0};
    CLEANUP(error_clear) struct error failure = ERROR_INIT;

    if (find_record(u, store, question, found, &r, err) < 0)
        return -1;
    if (*found) {
        descriptor_copy(out, &r.target);
        return is_younger(&r, USED_EVERY_S) ? 0 : put_record(u, store, question, out, err);
    }
    if (fetch(u, store, repository, d, out, &failure) == 0) {
        note_state(u, NULL);
        *found = true;
        return 0;
    }
    if (error_is(&failure, ERROR_NOT_FOUND))
        return 0;
    if (error_is(&failure, ERROR_NETWORK))
        note_state(u, &failure);
    return error_move(err, &failure);
}

int serve_upstream_manifest(struct serve_upstream *u,
                            struct cas_store *store,
                            const char *repository,
                            const struct digest *d,
                            bool *found,
                            struct descriptor *out,
                            struct error *err)
{
    CLEANUP(base_freep) char *question = manifest_question(repository, d);
    struct upstream_question q;

    begin_question(u, &q, question);
    const int result = find_manifest(u, store, repository, question, d, found, out, err);
    end_question(u, &q);
    return result;
}

/* --- Tags --- */

/* Asks where the tag points, and has the manifest fetched if it is not here. */
static int ask(struct serve_upstream *u,
               struct cas_store *store,
               const char *repository,
               const char *tag,
               bool *found,
               struct descriptor *out,
               struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    CLEANUP(descriptor_release) struct descriptor remote = {0};

    upstream_reference(u, repository, &ref);
    ref.tag = base_strdup(tag);
    if (registry_manifest_head(u->client, &ref, found, &remote, err) < 0)
        return -1;
    return *found ? serve_upstream_manifest(u, store, repository, &remote.digest, found,
                                            out, err)
                  : 0;
}

/* The old answer, as there is no new one. */
static int make_do(struct serve_upstream *u,
                   const struct record *known,
                   const struct error *failure,
                   bool *found,
                   struct descriptor *out)
{
    note_state(u, failure);
    *found = true;
    descriptor_copy(out, &known->target);
    return 0;
}

static int find_tag(struct serve_upstream *u,
                    struct cas_store *store,
                    const char *repository,
                    const char *tag,
                    const char *question,
                    bool *found,
                    struct descriptor *out,
                    struct error *err)
{
    CLEANUP(record_release) struct record known = {0};
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    bool is_known;

    if (find_record(u, store, question, &is_known, &known, err) < 0)
        return -1;
    if (is_known && (is_younger(&known, u->ttl_s) || is_down(u))) {
        *found = true;
        descriptor_copy(out, &known.target);
        return 0;
    }
    if (ask(u, store, repository, tag, found, out, &failure) < 0) {
        if (is_known && !error_is(&failure, ERROR_DENIED))
            return make_do(u, &known, &failure, found, out);
        if (error_is(&failure, ERROR_NETWORK))
            note_state(u, &failure);
        return error_move(err, &failure);
    }
    note_state(u, NULL);
    return *found ? put_record(u, store, question, out, err)
                  : cas_cache_delete(store, &known.key, err);
}

int serve_upstream_tag(struct serve_upstream *u,
                       struct cas_store *store,
                       const char *repository,
                       const char *tag,
                       bool *found,
                       struct descriptor *out,
                       struct error *err)
{
    CLEANUP(base_freep) char *question = base_format("%s:%s", repository, tag);
    struct upstream_question q;

    begin_question(u, &q, question);
    const int result = find_tag(u, store, repository, tag, question, found, out, err);
    end_question(u, &q);
    return result;
}
