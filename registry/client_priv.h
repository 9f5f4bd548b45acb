/*
 * Within the client: one request to a registry, with its scheme, its credentials and its
 * retries.
 */
#pragma once

#include "registry/client.h"
#include "registry/retry.h"

/* The tail of every answer that is kept for an error message, and headers. */
#define REGISTRY_ERROR_TEXT_MAX ((size_t)65536)

enum registry_access { REGISTRY_ACCESS_PULL, REGISTRY_ACCESS_PUSH };

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
    struct registry_http_sink sink;
    void (*progress)(void *context, uint64_t sent, uint64_t received);
    void *progress_context;
};

const struct registry_retry_policy *registry_client_retry(const struct registry_client *c);

/* One try, credentials included: a 401 is answered, and asked again, once. */
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
