/*
 * The embedded registry's parts, for registry/serve/ and its tests.
 *
 *     server.c       life: start, maintain, stop
 *     exchange.c     one request: authentication, dispatch, access log
 *     reply.c        answers and the specification's errors
 *     names.c        repositories and tags <-> refs of the store
 *     fixed.c        what immutable tags keep from being removed
 *     visible.c      which blobs and manifests a repository shows
 *     manifests.c, blobs.c, pushes.c, lists.c, status.c    what routes do
 *     page*.c, html.c    for people with a browser
 *     uploads.c      upload sessions;  check.c  manifests that are pushed
 *     upstream*.c    a registry behind this one;  behind.c  answers that come from it
 */
#pragma once

#include "base/buf.h"
#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/digest_set.h"
#include "cas/repository.h"
#include "cas/store.h"
#include "registry/serve/auth.h"
#include "registry/serve/http_module.h"
#include "registry/serve/lists.h"
#include "registry/serve/server.h"
#include "registry/serve/target.h"
#include "registry/serve/uploads.h"
#include "registry/serve/upstream.h"

#include <pthread.h>
#include <stdatomic.h>

struct serve_stats {
    atomic_uint_fast64_t requests[6]; /* by the status' first digit; 0: broken off */
    atomic_uint_fast64_t bytes_in;
    atomic_uint_fast64_t bytes_out;
    atomic_uint_fast64_t manifests; /* pushed */
    atomic_uint_fast64_t blobs;     /* pushed; mounts not counted */
    atomic_uint active;             /* requests under way */
};

/* Shared by all threads; only `store` changes, under its lock. */
struct serve {
    struct registry_server_options options; /* texts borrowed from registry_server */
    char *name;                             /* "localhost:5000" */
    pthread_rwlock_t store_lock;            /* read: uses `store`; write: replaces it */
    struct cas_store *store;
    struct serve_uploads *uploads;
    struct serve_auth *auth;         /* NULL: everybody may do all */
    struct serve_upstream *upstream; /* NULL: what is not here is not there */
    struct serve_stats stats;
};

enum serve_method {
    SERVE_METHOD_OTHER = 0,
    SERVE_METHOD_GET,
    SERVE_METHOD_HEAD,
    SERVE_METHOD_POST,
    SERVE_METHOD_PUT,
    SERVE_METHOD_PATCH,
    SERVE_METHOD_DELETE,
};

struct serve_exchange {
    struct serve *serve;
    struct serve_http_request request;
    enum serve_method method;
    struct serve_target target;
    const struct serve_action *action;
    char *user; /* NULL: nobody in particular */
    int64_t began_us;
    uint64_t body_bytes;
    struct serve_http_response response; /* status 0: not decided */
    struct buf body;                     /* of a manifest */
    struct serve_upload *upload;         /* acquired */
    bool is_single;                      /* the upload ends with this request */
};

/* A route's part for one method. `begin` may decide the answer before a body comes. */
struct serve_action {
    enum serve_route route;
    enum serve_method method;
    bool is_write;
    void (*begin)(struct serve_exchange *x);                               /* or NULL */
    void (*body)(struct serve_exchange *x, const char *data, size_t size); /* or NULL */
    void (*finish)(struct serve_exchange *x);                              /* or NULL */
};

/* The callbacks of the module. */
void serve_handler_init(struct serve *s, struct serve_http_handler *out);

/* NULL if the request has none. */
const char *serve_header(const struct serve_exchange *x, const char *name);

/* --- Answers (reply.c): the first one counts --- */

void serve_reply(struct serve_exchange *x, int status);
void serve_reply_header(struct serve_exchange *x, const char *name, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Takes the text's bytes. */
void serve_reply_text(struct serve_exchange *x, const char *media_type, struct buf *text);
void serve_reply_doc(struct serve_exchange *x, const char *media_type, const struct doc *d);
/* Takes the descriptor. */
void serve_reply_fd(struct serve_exchange *x, int *fd, uint64_t offset, uint64_t size);

/* A body that is on its way to us: see struct serve_http_response. */
struct serve_stream {
    ssize_t (*read)(void *source, uint64_t offset, char *out, size_t size);
    void (*close)(void *source);
    void *source; /* never NULL */
};
/* Takes the stream's source. */
void serve_reply_stream(struct serve_exchange *x,
                        const struct serve_stream *stream,
                        uint64_t offset,
                        uint64_t size);

/* Of an answer to HEAD whose body is not here. */
void serve_reply_size(struct serve_exchange *x, uint64_t size);

/* The specification's errors. `code`: "BLOB_UNKNOWN". */
void serve_refuse(struct serve_exchange *x,
                  int status,
                  const char *code,
                  const char *format,
                  ...) PRINTF_LIKE(4, 5);
/* The same with a detail, which is consumed. */
void serve_refuse_detail(struct serve_exchange *x,
                         int status,
                         const char *code,
                         const char *message,
                         struct doc *detail);
/* Something failed in here: 507 for a full disk, else 500. The owner is told what, the
 * client only that. */
void serve_fail(struct serve_exchange *x, struct error *err);
/* The store may not grow: 403, which no client tries again, or takes for a reason to send
 * the same in pieces as 413 is. The owner is told what. */
void serve_refuse_limit(struct serve_exchange *x, struct error *err);

/* --- Names (names.c) --- */

/* "localhost:5000/app:" and the own one "docker.io/library/app:", or NULL where own images
 * are not shown or cannot have that name. malloc'ed. */
char *serve_names_prefix(const struct serve *s, const char *repository);
char *serve_names_own_prefix(const struct serve *s, const char *repository);
/* The repository of a ref, malloc'ed; NULL if it is not shown. */
char *serve_names_repository(const struct serve *s, const char *ref);
/* May the tag be made, but never be moved? */
bool serve_names_fixed(const struct serve *s, const char *repository, const char *tag);

/* Where a tag points. *own (may be NULL): it is the store's own image. */
MUST_CHECK int serve_tag_find(struct serve *s,
                              const char *repository,
                              const char *tag,
                              bool *found,
                              bool *own,
                              struct descriptor *out,
                              struct error *err);

/* --- Immutable tags (fixed.c) --- */

/* Answers 409 with where the tag points unless it may be removed. */
MUST_CHECK bool serve_may_remove_tag(struct serve_exchange *x,
                                     const char *tag,
                                     const struct digest *now);
/* The same for a manifest or blob that an immutable tag of the repository may need. */
MUST_CHECK bool serve_may_remove(struct serve_exchange *x, const struct digest *d);

/* --- What is seen (visible.c) --- */

MUST_CHECK int serve_blob_find(struct serve *s,
                               const char *repository,
                               const struct digest *d,
                               bool *found,
                               uint64_t *size,
                               struct error *err);
/* May it be mounted from anywhere? */
MUST_CHECK int serve_blob_find_anywhere(struct serve *s,
                                        const struct digest *d,
                                        bool *found,
                                        struct error *err);
/* *own (may be NULL): seen only through an image of the store's. */
MUST_CHECK int serve_manifest_find(struct serve *s,
                                   const char *repository,
                                   const struct digest *d,
                                   bool *found,
                                   bool *own,
                                   struct descriptor *out,
                                   struct error *err);

/* Does it lead to `d`, as far as the repository shows? */
bool serve_target_needs(struct serve *s,
                        const char *repository,
                        const struct descriptor *target,
                        const struct digest *d);
/* Adds the indexes that `target` leads to, itself among them, and that name the manifest.
 */
void serve_manifest_parents(struct serve *s,
                            const struct descriptor *target,
                            const struct digest *d,
                            struct digest_set *out);

/* --- What comes from the upstream (behind.c) --- */

/* Is there one, and does the request only read? */
bool serve_behind_is_asked(const struct serve_exchange *x);
/* The upstream's manifest of the digest, or, for NULL, of the tag that was asked for, in
 * the place of what was found here, if anything. Answers if it fails and nothing was found.
 */
void serve_behind_manifest(struct serve_exchange *x,
                           const struct digest *d,
                           bool *found,
                           bool *own,
                           struct descriptor *out);
/* Has the upstream send what a pushed manifest names and the repository has only there: a
 * client that was told by HEAD that it is there does not push it. *found: all of it is in
 * the store now. *is_sure: the upstream said so, or that it does not have it. */
MUST_CHECK int serve_behind_bring(struct serve_exchange *x,
                                  const struct descriptor *d,
                                  bool *found,
                                  bool *is_sure,
                                  struct error *err);
/* Adds to *list what the upstream has after `last`. False if the request was answered. */
MUST_CHECK bool serve_behind_tags(struct serve_exchange *x,
                                  const char *last,
                                  bool *known,
                                  struct serve_list *list);
/* Adds the upstream's referrers after `after` to those that are here, which come by digest;
 * so do all then. An upstream that fails adds nothing. */
void serve_behind_referrers(struct serve_exchange *x,
                            const struct digest *subject,
                            const char *artifact_type,
                            const struct digest *after,
                            struct cas_repository_manifests *list);
/* Answers a GET or HEAD of a blob that is not here. */
void serve_behind_blob(struct serve_exchange *x, const struct digest *d);

/* Answers with a blob of the store (blobs.c). */
void serve_blob_answer(struct serve_exchange *x, const struct digest *d, uint64_t size);
/* The answer's head for a blob of that size, and which part was asked for: false if it was
 * answered with 416. */
MUST_CHECK bool serve_blob_head(struct serve_exchange *x,
                                const struct digest *d,
                                uint64_t size,
                                uint64_t *offset,
                                uint64_t *length);

/* --- Manifests that are pushed (check.c) --- */

struct serve_manifest {
    struct cas_repository_manifest record;
    struct digest *blobs; /* that it names */
    size_t blob_count;
    struct digest *absent; /* that it names, and the repository does not have */
    size_t absent_count;
};
void serve_manifest_release(struct serve_manifest *m); /* idempotent */

/* Reads the bytes at x->body and answers with an error if they are no manifest that the
 * repository can have. *out is to be released in both cases. */
MUST_CHECK bool serve_check_manifest(struct serve_exchange *x,
                                     enum digest_alg alg,
                                     struct serve_manifest *out);

/* --- Routes; each table ends with route SERVE_ROUTE_UNKNOWN --- */

extern const struct serve_action serve_actions_manifests[];
extern const struct serve_action serve_actions_blobs[];
extern const struct serve_action serve_actions_pushes[];
extern const struct serve_action serve_actions_lists[];
extern const struct serve_action serve_actions_status[];
extern const struct serve_action serve_actions_page[];

/* Reads a digest out of the URL; answers 400 if it is none. */
MUST_CHECK bool serve_digest_read(struct serve_exchange *x,
                                  const char *text,
                                  struct digest *out);
