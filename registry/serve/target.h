/*
 * What a request's target means: path and query as they came, hostile until read here.
 *
 *     /v2/  /v2/_catalog  /v2/NAME/manifests/REF  /v2/NAME/blobs/DIGEST
 *     /v2/NAME/blobs/uploads/[ID]  /v2/NAME/tags/list  /v2/NAME/referrers/DIGEST
 *     /  /style.css  /metrics
 *
 * Escapes are decoded once, before anything is looked for; what decodes to a control
 * character is refused. Names and tags keep the specification's grammar, so none holds
 * "..", a blank or a byte that means something to a terminal or a file system. Spec: OCI
 * distribution-spec 1.1 "Endpoints"; RFC 3986.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum serve_route {
    SERVE_ROUTE_UNKNOWN = 0,
    SERVE_ROUTE_PAGE,
    SERVE_ROUTE_STYLE,
    SERVE_ROUTE_METRICS,
    SERVE_ROUTE_BASE,
    SERVE_ROUTE_CATALOG,
    SERVE_ROUTE_TAGS,
    SERVE_ROUTE_MANIFEST,
    SERVE_ROUTE_BLOB,
    SERVE_ROUTE_UPLOADS, /* no ID: to begin one */
    SERVE_ROUTE_UPLOAD,
    SERVE_ROUTE_REFERRERS,
};

struct serve_target {
    enum serve_route route;
    char *path;       /* decoded */
    char *repository; /* valid; NULL where the route has none */
    char *reference;  /* tag, digest or ID, not checked; NULL where the route has none */
    char *query;      /* as it came, without "?"; escapes are well-formed */
};

/* ERROR_INVALID for broken escapes, control characters and names against the grammar. */
MUST_CHECK int serve_target_parse(struct view text,
                                  struct serve_target *out,
                                  struct error *err);
void serve_target_release(struct serve_target *t); /* idempotent; usable with CLEANUP */

/* The index'th value of a parameter, decoded (a "+" stays one: media types have it).
 * malloc'ed; NULL if there is none. */
char *serve_target_param(const struct serve_target *t, const char *name, size_t index);

bool serve_is_repository(struct view name);
bool serve_is_tag(struct view tag);
