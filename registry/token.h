/*
 * One request to a token server: a challenge and a credential become a bearer token.
 *
 * Spec: distribution "Token Authentication Specification" (GET) and "OAuth2 Token
 * Authentication" (POST, for identity tokens).
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "registry/credential.h"
#include "registry/http.h"
#include "registry/retry.h"

#include <stdbool.h>
#include <stdint.h>

struct registry_token_request {
    const char *realm;                            /* the server's URL */
    const char *service;                          /* or NULL */
    const char *scopes;                           /* separated by blanks; may be empty */
    const struct registry_credential *credential; /* empty: anonymous */
    bool is_login; /* asks for an identity token besides, to be kept for the password */
};

/* *token is malloc'ed and secret. *identity, too, if the server gives one; NULL if not, or
 * not asked for. ERROR_DENIED if the server refuses the credential. */
MUST_CHECK int registry_token_fetch(struct registry_http *http,
                                    const struct registry_retry_policy *retry,
                                    const struct registry_token_request *request,
                                    char **token,
                                    char **identity,
                                    uint64_t *lifetime_s,
                                    struct error *err);

/* "Basic BASE64"; malloc'ed, secret. */
char *registry_token_basic(const struct registry_credential *c);
