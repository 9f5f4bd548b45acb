/*
 * Any file by its URL: what ADD and contexts name with http:// or https://. It becomes a
 * blob of the store; what the server calls it (ETag, Last-Modified) is told, so that the
 * next request can ask whether it changed.
 *
 * The client's rules for certificates, proxies and time-outs hold, its credentials do not:
 * only what is given here is sent, and only to the host that was named. Plain http is as
 * good as https: the user wrote it.
 * Spec: RFC 9110 sections 8.8, 13 (validators, conditional requests).
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/digest.h"
#include "cas/store.h"
#include "registry/client.h"

#include <stdbool.h>
#include <stdint.h>

struct registry_fetch_request {
    const char *url;           /* may hold user information: sent as Basic credentials */
    const char *authorization; /* value of that header, or NULL */
    const char *etag;          /* of the copy at hand, or NULL */
    const char *last_modified; /* of the copy at hand, or NULL */
    const struct digest *want; /* what it must be, or NULL */
    uint64_t size_max;         /* bytes */
    const struct event_sink *sink;
};

struct registry_fetch_result {
    bool not_modified; /* the copy at hand is still right; nothing below is set */
    struct digest digest;
    uint64_t size;
    char *etag;          /* as sent, or NULL */
    char *last_modified; /* as sent, or NULL */
};

void registry_fetch_result_release(struct registry_fetch_result *r); /* idempotent */

/*
 * GET, redirects followed, what may go better a second time tried again.
 * Errors: ERROR_NOT_FOUND for 404 and 410; ERROR_DENIED; ERROR_CORRUPT with both digests;
 *         ERROR_LIMIT past size_max, before more than that is stored; ERROR_NETWORK;
 *         ERROR_INVALID for other answers. Nothing is in the store then.
 */
MUST_CHECK int registry_fetch(struct registry_client *c,
                              struct cas_store *store,
                              const struct registry_fetch_request *request,
                              struct registry_fetch_result *out,
                              struct error *err);

/* The URL without user information, for messages and records. malloc'ed. */
char *registry_fetch_shown(const char *url);

/* Seconds since 1970 of an HTTP date (IMF-fixdate); false if it is none. */
bool registry_fetch_date(const char *text, int64_t *seconds);
