/*
 * Within the client: one request to a registry, with its scheme, its credentials and its
 * retries.
 */
#pragma once

#include "base/doc.h"
#include "registry/client.h"
#include "registry/retry.h"

/* The tail of every answer that is kept for an error message, and headers. */
#define REGISTRY_ERROR_TEXT_MAX ((size_t)65536)

enum registry_access { REGISTRY_ACCESS_PULL, REGISTRY_ACCESS_PUSH, REGISTRY_ACCESS_DELETE };

struct registry_call {
    const struct registry_reference *repository;
    enum registry_access access;
    const char *mount_from; /* a second repository to be read, or NULL */
    enum registry_http_method method;
    const char *path; /* below /v2/PATH/: "blobs/sha256:..."; or NULL: `url` */
    const char *url;  /* absolute: where an upload goes on */
    const char *const *headers;
    size_t header_count;
    const struct registry_http_body *body;
    uint64_t size_expected; /* of the answer; see struct registry_http_request */
    struct registry_http_sink sink;
    const atomic_bool *stop; /* or NULL; see struct registry_http_request */
    void (*progress)(void *context, uint64_t sent, uint64_t received);
    void *progress_context;
};

const struct registry_retry_policy *registry_client_retry(const struct registry_client *c);

/*
 * Connections for blobs that are fetched. One is had for the asking; further ones, for
 * parts of a large blob, as long as all of them are fewer than registry_client_parallel.
 */
void registry_client_lane_begin(struct registry_client *c);
bool registry_client_lane_try(struct registry_client *c);
void registry_client_lane_end(struct registry_client *c);
uint64_t registry_client_part_size(const struct registry_client *c);

struct registry_hosts *registry_client_hosts(struct registry_client *c);

/* One try at the very place that call->repository names, credentials included: a 401 is
 * answered, and asked again, once. */
MUST_CHECK int registry_call_there(struct registry_client *c,
                                   const struct registry_call *call,
                                   struct registry_http_response *response,
                                   struct error *err);
/* Is the call's URL one of that place? An upload may be sent to a storage back end of
 * another origin: that gets no credentials. */
bool registry_call_is_there(struct registry_client *c, const struct registry_call *call);

/* One try, at mirrors first where there are some; the repository is as the user knows it.
 */
MUST_CHECK int registry_call_once(struct registry_client *c,
                                  const struct registry_call *call,
                                  struct registry_http_response *response,
                                  struct error *err);
/* Tries until there is an answer that a further try would not better. */
MUST_CHECK int registry_call_perform(struct registry_client *c,
                                     const struct registry_call *call,
                                     struct registry_http_response *response,
                                     struct error *err);

/* Turns an answer that is not what was hoped for into an error: the registry's own words
 * (errors[].code and message), cleaned of control characters. Returns -1. */
int registry_call_failed(const struct registry_call *call,
                         const struct registry_http_response *response,
                         struct error *err);

/* The digest in Docker-Content-Digest; *found false if there is none. ERROR_CORRUPT if it
 * is malformed. */
MUST_CHECK int registry_response_digest(const struct registry_http_response *response,
                                        bool *found,
                                        struct digest *out,
                                        struct error *err);

/* Stores a manifest as registry_manifest_put does. *knows_subject: the registry said that
 * it will list the manifest among its subject's referrers (OCI-Subject). */
MUST_CHECK int registry_manifest_put_subject(struct registry_client *c,
                                             const struct registry_reference *ref,
                                             const char *media_type,
                                             struct view manifest,
                                             struct digest *out,
                                             bool *knows_subject,
                                             struct error *err);

/* One page of a list; 0, or -1 with err set to end it. */
typedef int registry_page_fn(void *context,
                             const struct registry_http_response *response,
                             const struct doc *page,
                             struct error *err);
/*
 * Asks for `path` below /v2/PATH/ and for what its Link headers name next, until there is
 * no more. *status is that of the first answer: the pages were given to `each` if it is
 * 200, and nothing was if it is one of those that `quiet` (ended by 0; may be NULL) lists;
 * others are errors. A list is only ever continued at the place that began it.
 *
 * Spec: OCI distribution-spec "Listing Tags", "Listing Referrers"; RFC 8288.
 */
MUST_CHECK int registry_pages_get(struct registry_client *c,
                                  const struct registry_reference *repository,
                                  const char *path,
                                  const int *quiet,
                                  registry_page_fn *each,
                                  void *context,
                                  int *status,
                                  struct error *err);
