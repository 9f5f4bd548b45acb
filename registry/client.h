/*
 * The distribution protocol, one call a verb. One client a process or build; shared between
 * threads, so that they share connections and tokens.
 *
 * Every call retries what may go better a second time (408, 429 with its Retry-After, 5xx,
 * broken connections) with exponential backoff and jitter, and nothing else. Whatever is
 * received is verified before it is handed on as complete. What is read is asked of the
 * mirrors that are configured first, and of the registry itself where none has it
 * (registry/hosts.h). Repositories are given as
 * references whose tag and digest are ignored where the call does not speak of them.
 *
 * Spec: OCI distribution-spec 1.1.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/event.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "registry/config.h"
#include "registry/hosts.h"
#include "registry/http.h"
#include "registry/reference.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct registry_client;

struct registry_client_options {
    struct registry_http_options http;     /* insecure hosts, CA, time-outs, cancellation */
    struct registry_config_options config; /* where credentials are */
    struct registry_hosts_options hosts;   /* where registries are configured */
    unsigned parallel;   /* transfers at once of one pull or push; 0: 6. With 1 no blob is
                            fetched in parts */
    uint64_t part_size;  /* of large blobs, which come in parts; 0: 8 MiB. Large is what has
                            eight of them */
    unsigned attempts;   /* tries of one request; 0: 5 */
    uint32_t backoff_ms; /* before the first retry, doubling; 0: 250 */
};

/* `options` may be NULL. Opens no connection and loads nothing yet. */
struct registry_client *registry_client_new(const struct registry_client_options *options);
void registry_client_free(struct registry_client *c); /* NULL is fine */
void registry_client_freep(struct registry_client **c);
unsigned registry_client_parallel(const struct registry_client *c);
struct registry_config *registry_client_config(struct registry_client *c); /* borrowed */
struct registry_http *registry_client_http(struct registry_client *c);     /* borrowed */

/* Where progress of transfers is told: EVENT_PROGRESS with `name` "pull sha256:..." or
 * "push sha256:...". NULL in its place is silence. */
struct registry_progress {
    const struct event_sink *sink;
    uint32_t step; /* of the build, or 0 */
};

/* GET /v2/ with this credential (NULL: what the configuration has): does the registry
 * accept it? ERROR_DENIED if not. For `cooper login`. */
MUST_CHECK int registry_client_ping(struct registry_client *c,
                                    const char *host,
                                    const struct registry_credential *credential,
                                    struct error *err);

/* The same for a login: *keep (the caller's) is what is to be kept, the credential or,
 * where the token server gives one for it, an identity token, which can be taken back
 * without changing the password. */
MUST_CHECK int registry_client_login(struct registry_client *c,
                                     const char *host,
                                     const struct registry_credential *credential,
                                     struct registry_credential *keep,
                                     struct error *err);

/* --- Manifests. The reference's digest counts, else its tag ("latest" where it has
 * neither). --- */

/* The raw bytes, appended to `out`; *desc gets media type, digest, size. The digest is that
 * of the bytes; it must be the reference's and what the registry claims. At most
 * LIMIT_MANIFEST_SIZE. ERROR_NOT_FOUND; ERROR_CORRUPT. */
MUST_CHECK int registry_manifest_get(struct registry_client *c,
                                     const struct registry_reference *ref,
                                     struct buf *out,
                                     struct descriptor *desc,
                                     struct error *err);
/* Is it there, and what is it? A registry that tells no digest is asked for the whole. */
MUST_CHECK int registry_manifest_head(struct registry_client *c,
                                      const struct registry_reference *ref,
                                      bool *found,
                                      struct descriptor *desc,
                                      struct error *err);
/* Stores `manifest` under the reference's tag, or under its digest. The registry must
 * answer with the digest that the bytes have. */
MUST_CHECK int registry_manifest_put(struct registry_client *c,
                                     const struct registry_reference *ref,
                                     const char *media_type,
                                     struct view manifest,
                                     struct digest *out,
                                     struct error *err);

/* Removes what the reference names: with a digest the manifest, with every tag that points
 * to it; with a tag the tag alone. One of the two must be there. Errors: ERROR_NOT_FOUND;
 * ERROR_UNSUPPORTED the registry deletes nothing, or no tags. */
MUST_CHECK int registry_manifest_delete(struct registry_client *c,
                                        const struct registry_reference *ref,
                                        struct error *err);

/* The repository's tags, as the registry orders them, told one by one while they come;
 * `each` returns 0, or -1 with err set. ERROR_NOT_FOUND: no such repository. */
MUST_CHECK int registry_tags_list(struct registry_client *c,
                                  const struct registry_reference *repository,
                                  int (*each)(void *context,
                                              const char *tag,
                                              struct error *err),
                                  void *context,
                                  struct error *err);

/* --- Blobs --- */

MUST_CHECK int registry_blob_head(struct registry_client *c,
                                  const struct registry_reference *repository,
                                  const struct digest *digest,
                                  bool *found,
                                  uint64_t *size,
                                  struct error *err);

/* The same for those who will not push: asks for no right to. */
MUST_CHECK int registry_blob_find(struct registry_client *c,
                                  const struct registry_reference *repository,
                                  const struct digest *digest,
                                  bool *found,
                                  uint64_t *size,
                                  struct error *err);

/* Receives a blob's bytes in order. `restart` is called before the first byte and whenever
 * a broken transfer begins anew: forget what came before. Both return 0, or -1 with err
 * set. */
struct registry_blob_sink {
    int (*restart)(void *context, struct error *err);
    int (*write)(void *context, const void *data, size_t size, struct error *err);
    void *context;
    bool is_verifying; /* the receiver checks the digest (a store's writer does): not done
                          twice */
    /*
     * Both or none: a receiver who keeps the bytes in a file takes a large blob in several
     * parts at once. `reserve` is asked before a part, of so many bytes, is fetched; it
     * returns the file (borrowed), where the blob's first byte is at 0 since the last
     * restart and bytes are written and read at any place, or -1. `took` is told, in place
     * of `write`, which bytes, in their order, are there. Neither is called by two threads
     * at a time.
     */
    int (*reserve)(void *context, uint64_t size, struct error *err);
    int (*took)(void *context, const void *data, size_t size, struct error *err);
};
/* At most desc->size bytes are passed on; fewer is ERROR_CORRUPT, as is a wrong digest;
 * neither is known before the end, so the receiver keeps everything hidden until this
 * returned 0. A transfer that breaks off continues by a Range request. A large blob comes
 * in parts, several at once, where receiver and registry can do that. */
MUST_CHECK int registry_blob_get(struct registry_client *c,
                                 const struct registry_reference *repository,
                                 const struct descriptor *desc,
                                 const struct registry_blob_sink *sink,
                                 const struct registry_progress *progress,
                                 struct error *err);

/* Where the session of an upload is kept for a process that comes after this one. */
struct registry_upload_memory {
    char *(*find)(void *context); /* its location; malloc'ed; NULL: there is none */
    void (*keep)(void *context, const char *location); /* NULL: no more */
    void *context;
};

struct registry_upload_options {
    const char
        *mount_from;      /* repository path on the same host that has the blob, or NULL */
    uint64_t chunk_size;  /* 0: one request, chunks of 8 MiB only after a 413 */
    bool is_known_absent; /* skip asking whether it is there */
    const struct registry_upload_memory *memory; /* or NULL: none */
};

/*
 * A blob that is sent while it is still being made, so that nothing is known of it yet:
 * `body` gives its bytes as they come (size UINT64_MAX). At their end `finish` tells what
 * it became; -1 with err set: nothing is to be stored. One try: whoever has the whole blob
 * then can send it again.
 */
struct registry_stream {
    const struct registry_http_body *body;
    int (*finish)(void *context, struct descriptor *out, struct error *err);
    void *context;
};
MUST_CHECK int registry_blob_stream(struct registry_client *c,
                                    const struct registry_reference *repository,
                                    const struct registry_stream *stream,
                                    struct error *err);

enum registry_upload_result {
    REGISTRY_UPLOAD_PRESENT,
    REGISTRY_UPLOAD_MOUNTED,
    REGISTRY_UPLOAD_SENT
};

/*
 * Brings a blob into the repository: HEAD; mount; upload. `body` must have desc->size
 * bytes. It may be NULL if the blob is not at hand: then only HEAD and mount are tried, and
 * failing both is ERROR_NOT_FOUND.
 */
MUST_CHECK int registry_blob_upload(struct registry_client *c,
                                    const struct registry_reference *repository,
                                    const struct descriptor *desc,
                                    const struct registry_http_body *body,
                                    const struct registry_upload_options *options,
                                    const struct registry_progress *progress,
                                    enum registry_upload_result *result,
                                    struct error *err);
