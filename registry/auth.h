/*
 * Authentication: challenges of a 401 answer, and tokens.
 *
 * A registry_auth belongs to one client and is shared by its threads: a token is fetched
 * once however many requests need it, kept for as long as the server said, and fetched anew
 * when a 401 comes although one was sent.
 *
 * Spec: RFC 9110 section 11 (challenges); RFC 6750; distribution "Token Authentication
 * Specification" and "OAuth2 Token Authentication".
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "registry/config.h"
#include "registry/http.h"
#include "registry/retry.h"

#include <stdbool.h>
#include <stddef.h>

enum registry_auth_scheme {
    REGISTRY_AUTH_OTHER,
    REGISTRY_AUTH_BASIC,
    REGISTRY_AUTH_BEARER
};

/* One challenge of a WWW-Authenticate header. Owns its texts; absent parameters are NULL.
 */
struct registry_challenge {
    enum registry_auth_scheme scheme;
    char *realm;
    char *service;
    char *scope;
    char *error; /* "insufficient_scope", "invalid_token" */
};

struct registry_challenge_list {
    struct registry_challenge *items;
    size_t count;
};

void registry_challenge_list_release(struct registry_challenge_list *l); /* idempotent */
/* Appends the challenges of one header's value. ERROR_INVALID leaves `out` as it was. */
MUST_CHECK int registry_challenge_parse(struct view header,
                                        struct registry_challenge_list *out,
                                        struct error *err);

struct registry_auth;

/* All are borrowed and must outlive it. */
struct registry_auth *registry_auth_new(struct registry_http *http,
                                        struct registry_config *config,
                                        const struct registry_retry_policy *retry);
void registry_auth_free(struct registry_auth *a); /* NULL is fine */
/* Uses this for `host` in place of what the configuration has (`cooper login` tries it so).
 */
void registry_auth_set_credential(struct registry_auth *a,
                                  const char *host,
                                  const struct registry_credential *credential);
/* The identity token that the host's token server gave for that credential; malloc'ed and
 * secret, NULL if it gave none. */
char *registry_auth_take_identity(struct registry_auth *a, const char *host);

/* What is known to be needed for `scopes` ("repository:a:pull repository:b:pull,push") on
 * `host`: the value of an Authorization header, malloc'ed and secret
 * (registry_secret_freep), or NULL if nothing was asked for yet. */
char *registry_auth_header(struct registry_auth *a, const char *host, const char *scopes);

/*
 * Answers the challenges of a 401. `sent` is the header that was refused (NULL: none); if
 * another thread has got a newer one meanwhile, that is the answer. On success *out is the
 * header to try next (malloc'ed, secret). Errors: ERROR_DENIED if there is nothing better
 * to try: no credentials, or they were refused.
 */
MUST_CHECK int registry_auth_answer(struct registry_auth *a,
                                    const char *host,
                                    const char *path,
                                    const char *scopes,
                                    const struct registry_http_response *response,
                                    const char *sent,
                                    char **out,
                                    struct error *err);
