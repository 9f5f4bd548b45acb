/*
 * Docker's credential helpers: programs named docker-credential-NAME on the PATH that keep
 * secrets in a keychain. What they are told and what they say goes through standard input
 * and output; only the verb is an argument.
 *
 * Spec: github.com/docker/docker-credential-helpers, "Development".
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "registry/credential.h"

#include <stdbool.h>

/* *found false if the helper knows nothing of `server`. */
MUST_CHECK int registry_helper_get(const char *helper,
                                   const char *server,
                                   bool *found,
                                   struct registry_credential *out,
                                   struct error *err);
MUST_CHECK int registry_helper_store(const char *helper,
                                     const char *server,
                                     const struct registry_credential *credential,
                                     struct error *err);
MUST_CHECK int registry_helper_erase(const char *helper,
                                     const char *server,
                                     struct error *err);
