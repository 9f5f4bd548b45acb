/*
 * What a user has to show to a registry. Secrets are wiped when released and appear in no
 * message, log or argument list.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

struct registry_credential {
    char *username;       /* or NULL */
    char *password;       /* or NULL */
    char *identity_token; /* an OAuth2 refresh token in place of a password, or NULL */
    char *registry_token; /* a bearer token to be sent as it is, or NULL */
};

bool registry_credential_is_set(const struct registry_credential *c);
void registry_credential_copy(struct registry_credential *to,
                              const struct registry_credential *from);
/* Wipes and frees; idempotent; for CLEANUP. */
void registry_credential_release(struct registry_credential *c);
/* Overwrites a secret, frees it and sets NULL. */
void registry_secret_freep(char **secret);
