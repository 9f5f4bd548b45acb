/*
 * Who may use the registry: an htpasswd file (USER:HASH lines, bcrypt only), asked by HTTP
 * Basic authentication.
 *
 * bcrypt takes a tenth of a second on purpose, and clients send the password with every
 * request: a password that was right is remembered for some minutes as a digest keyed with
 * a secret of this process. An unknown user costs as much time as a wrong password, and few
 * hashes are computed at once, so that guessing does not take the machine. Thread-safe.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>

struct serve_auth;

typedef bool serve_check_fn(const char *password, const char *hash);

/* ERROR_INVALID for a file that has other lines or hashes, with the line's number. `check`
 * is crypt(5)'s comparison (registry/serve/http_module.h). */
MUST_CHECK struct serve_auth *serve_auth_open(const char *path,
                                              serve_check_fn *check,
                                              struct error *err);
void serve_auth_close(struct serve_auth *a); /* NULL is fine */
/* Reads the file again if it has changed. A file that cannot be used leaves the users as
 * they were, and is an error. */
MUST_CHECK int serve_auth_refresh(struct serve_auth *a, struct error *err);
bool serve_auth_check(struct serve_auth *a, const char *user, const char *password);
