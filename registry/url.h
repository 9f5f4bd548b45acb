/*
 * URLs (RFC 3986) as far as registries need them: http and https, no user information (a
 * place where secrets leak), relative references of Location headers, percent-encoding.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>

/* Views into the text that was parsed. */
struct registry_url {
    bool is_https;
    struct view authority; /* "host:5000", "[::1]:5000" */
    struct view host;      /* "host", "::1" */
    struct view port;      /* "" where there is none */
    struct view path;      /* "/v2/x?query", "" possible; without a fragment */
};

/* ERROR_INVALID for anything but http(s)://HOST[:PORT][/...] without blanks and control
 * characters. The text is not repeated in the message, as signatures may stand in its
 * query. */
MUST_CHECK int registry_url_parse(struct view text,
                                  struct registry_url *out,
                                  struct error *err);

/* Same scheme, host (any case) and port, the scheme's default filled in. */
bool registry_url_same_origin(const struct registry_url *a, const struct registry_url *b);

/* Is this the machine itself: "localhost", *.localhost, 127.0.0.0/8, ::1? `host` without a
 * port. */
bool registry_url_is_loopback(struct view host);

/* The absolute URL (malloc'ed) that `location` means, coming from `base`; NULL on error. */
MUST_CHECK char *registry_url_resolve(const char *base,
                                      struct view location,
                                      struct error *err);

/* `url` with NAME=VALUE added to its query; the value is percent-encoded. malloc'ed. */
char *registry_url_add_query(const char *url, const char *name, struct view value);

/* Everything but letters, digits and "-._~" as %XX. malloc'ed. */
char *registry_url_encode(struct view text);
