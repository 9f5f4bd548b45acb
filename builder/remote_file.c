/*
 * A file behind a URL: asked for, kept as a blob, shown as a tree of one file.
 *
 * The record of a URL is {"blob": digest, "size": n, "etag": text, "last_modified": text}.
 */
#include "builder/remote_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "builder/single_tree.h"
#include "cas/blob.h"
#include "cas/record.h"
#include "registry/credential.h"
#include "registry/fetch.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_VERSION "cooper-url-1"
#define KEY_VERSION    "cooper-url-key-1"

/* --- The record of a URL --- */

struct known {
    struct doc *doc; /* NULL: nothing is known */
    struct digest blob;
    uint64_t size;
};

static void known_release(struct known *k)
{
    doc_unref(k->doc);
    *k = (struct known){0};
}

/* A password is part of what is asked for, but stands nowhere: only its hash does. */
static struct digest record_key(const struct build_remote *r)
{
    CLEANUP(registry_secret_freep)
    char *text = base_format(RECORD_VERSION "\n%s", r->source);

    return digest_of(DIGEST_SHA256, view_of(text));
}

/* What is damaged, or names a blob that is gone, is nothing. */
static int find_known(const struct build_remote *r, struct known *out, struct error *err)
{
    CLEANUP(error_clear) struct error damage = ERROR_INIT;
    const struct digest key = record_key(r);
    bool found = false;

    *out = (struct known){0};
    if (cas_cache_find(r->env->store, &key, &found, &out->doc, err) < 0)
        return -1;
    if (found && digest_parse(doc_view(doc_get(out->doc, "blob")), &out->blob, &damage) < 0)
        found = false;
    if (found && cas_blob_find(r->env->store, &out->blob, &found, &out->size, err) < 0) {
        known_release(out);
        return -1;
    }
    if (!found)
        known_release(out);
    return 0;
}

bool remote_file_is_known(const struct build_remote *r)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* told when it is fetched */
    CLEANUP(known_release) struct known known = {0};

    return find_known(r, &known, &ignored) == 0 && known.doc;
}

static int remember(const struct build_remote *r,
                    const struct registry_fetch_result *got,
                    struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *doc = doc_new_object();
    const struct digest key = record_key(r);

    doc_set_text(doc, "blob", digest_format(&got->digest).text);
    doc_set_int(doc, "size", (int64_t)got->size);
    if (got->etag)
        doc_set_text(doc, "etag", got->etag);
    if (got->last_modified)
        doc_set_text(doc, "last_modified", got->last_modified);
    return cas_cache_put(r->env->store, &key, &key, doc, err);
}

/* --- The tree --- */

static struct build_tree_entry file_entry(const struct build_remote *r)
{
    struct build_tree_entry e = {.entry = {.path = view_of(r->path),
                                           .type = CAS_ENTRY_FILE,
                                           .mode = 0600,
                                           .size = r->size,
                                           .mtime_s = r->mtime_s},
                                 .place = {.path = view_of(r->path), .size = r->size}};

    /* A checksum of another kind tells nothing of what layers know a file by. */
    if (r->blob.alg == DIGEST_SHA256)
        e.entry.content = r->blob;
    return e;
}

static int file_find(void *self,
                     struct view path,
                     bool *found,
                     struct build_tree_entry *out,
                     struct error *err)
{
    const struct build_tree_entry file = file_entry(self);

    (void)err;
    build_single_find(&file, path, found, out);
    return 0;
}

static int file_walk(void *self,
                     struct view path,
                     build_tree_visit_fn *visit,
                     void *context,
                     struct error *err)
{
    const struct build_tree_entry file = file_entry(self);

    return build_single_walk(&file, path, visit, context, err);
}

static int file_open(void *self,
                     const struct build_tree_place *place,
                     struct cas_content *out,
                     struct error *err)
{
    const struct build_remote *r = self;

    (void)place;
    *out = (struct cas_content){.fd = cas_blob_open(r->env->store, &r->blob, err)};
    return out->fd < 0 ? -1 : 0;
}

/* --- Asking --- */

/* Key = the content and what the layer has of the rest; no times. */
static void set_known(struct build_remote *r,
                      const struct digest *blob,
                      uint64_t size,
                      const char *last_modified)
{
    CLEANUP(base_freep)
    char *text = base_format(KEY_VERSION "\n%s\n%s", digest_format(blob).text, r->path);

    r->blob = *blob;
    r->size = size;
    r->key = digest_of(DIGEST_SHA256, view_of(text));
    if (!last_modified || !registry_fetch_date(last_modified, &r->mtime_s))
        r->mtime_s = 0;
    r->tree = (struct build_tree){
        .self = r, .find = file_find, .walk = file_walk, .open = file_open};
}

static int fetch(const struct build_remote *r,
                 const struct known *known,
                 struct registry_fetch_result *got,
                 struct error *err)
{
    const struct registry_fetch_request request = {
        .url = r->source,
        .etag = doc_text(doc_get(known->doc, "etag")),
        .last_modified = doc_text(doc_get(known->doc, "last_modified")),
        .want = digest_is_set(&r->want) ? &r->want : NULL,
        .size_max = LIMIT_FETCH_SIZE,
        .sink = &r->env->sink,
    };

    if (!r->env->registry)
        return error_set(err, ERROR_UNSUPPORTED, "%s: this build has no network", r->shown);
    return registry_fetch(r->env->registry, r->env->store, &request, got, err);
}

static int ask(struct build_remote *r, const struct known *known, struct error *err)
{
    CLEANUP(registry_fetch_result_release) struct registry_fetch_result got = {0};

    if (fetch(r, known, &got, err) < 0)
        return -1;
    if (got.not_modified) {
        set_known(r, &known->blob, known->size,
                  doc_text(doc_get(known->doc, "last_modified")));
        return 0;
    }
    set_known(r, &got.digest, got.size, got.last_modified);
    return remember(r, &got, err);
}

int remote_file_resolve(struct build_remote *r, struct error *err)
{
    CLEANUP(known_release) struct known known;

    if (find_known(r, &known, err) < 0)
        return -1;
    if (!digest_is_set(&r->want))
        return ask(r, &known, err);
    if (known.doc && digest_eq(&known.blob, &r->want)) {
        set_known(r, &known.blob, known.size,
                  doc_text(doc_get(known.doc, "last_modified")));
        return 0;
    }
    /* Another version is no help: this one is wanted as a whole. */
    known_release(&known);
    return ask(r, &known, err);
}
