/*
 * Where credentials are kept: docker's config.json and the containers tools' auth.json.
 *
 * Looked up, in this order: $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json (or
 * ~/.docker/config.json), $XDG_RUNTIME_DIR/containers/auth.json. In each file a credential
 * helper for the host (credHelpers) goes before credsStore and both before the entries of
 * "auths". The first that has something for the host answers. Keys of auth.json may name a
 * repository
 * ("quay.io/team"): the most specific one counts.
 *
 * Credential helpers are docker's: docker-credential-NAME with get, store, erase; the
 * secret travels over standard input and output only. Files are read when first asked and
 * kept. May be shared between threads.
 *
 * Spec: docker CLI "Configuration files", docker-credential-helpers;
 * containers-auth.json(5).
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "registry/credential.h"

#include <stdbool.h>

struct registry_config;

struct registry_config_options {
    const char *docker_dir; /* NULL: $DOCKER_CONFIG, else ~/.docker */
    const char *auth_file;  /* NULL: $REGISTRY_AUTH_FILE, else none */
};

/* `options` may be NULL. Reads no file yet. */
struct registry_config *registry_config_new(const struct registry_config_options *options);
void registry_config_free(struct registry_config *c); /* NULL is fine */
void registry_config_freep(struct registry_config **c);

/* What there is for a repository `path` (may be NULL) on `host` as it stands in a
 * reference. Nothing is an answer: *found false. Errors: a file that is there and
 * malformed, a helper that cannot be run or fails. */
MUST_CHECK int registry_config_find(struct registry_config *c,
                                    const char *host,
                                    const char *path,
                                    bool *found,
                                    struct registry_credential *out,
                                    struct error *err);

/* Keeps a credential as `docker login` does: in the credential store if one is configured,
 * else in the file that is in use (mode 0600, replaced by rename, what else it says is
 * kept). */
MUST_CHECK int registry_config_store(struct registry_config *c,
                                     const char *host,
                                     const struct registry_credential *credential,
                                     struct error *err);
/* Where that is: the file, or the credential helper ("docker-credential-NAME"); malloc'ed.
 * *is_plain: whoever can read the file can read the password. */
MUST_CHECK int registry_config_place(struct registry_config *c,
                                     const char *host,
                                     char **place,
                                     bool *is_plain,
                                     struct error *err);
/* ERROR_NOT_FOUND if there was nothing for the host. */
MUST_CHECK int registry_config_erase(struct registry_config *c,
                                     const char *host,
                                     struct error *err);
