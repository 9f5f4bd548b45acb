/*
 * The values of build's flags that have a form of their own, read as buildx reads them:
 * NAME=VALUE pairs, secrets, hosts. Each list owns the copies it makes; what it
 * hands out is borrowed from it. Errors are ERROR_USAGE and name the flag.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "cli/args.h"

#include <stdbool.h>
#include <stddef.h>

struct cli_pairs {
    struct build_pair *items; /* name and value owned */
    size_t count;
    size_t capacity;
};

void cli_pairs_release(struct cli_pairs *p); /* idempotent; usable with CLEANUP */
/* `value` may be NULL. Copies. */
void cli_pairs_add(struct cli_pairs *p, struct view name, const char *value);
bool cli_pairs_has(const struct cli_pairs *p, const char *name);

/* --build-arg NAME=VALUE, or NAME: the value is then taken from the environment. */
MUST_CHECK int cli_build_args(const struct cli_texts *from,
                              struct cli_pairs *out,
                              struct error *err);
/* --build-context NAME=SOURCE */
MUST_CHECK int cli_build_contexts(const struct cli_texts *from,
                                  struct cli_pairs *out,
                                  struct error *err);
/* --label KEY=VALUE, or KEY: an empty value. */
MUST_CHECK int cli_build_labels(const struct cli_texts *from,
                                struct cli_pairs *out,
                                struct error *err);
/* --add-host HOST:ADDRESS or HOST=ADDRESS; the address may be BUILD_HOST_GATEWAY. */
MUST_CHECK int cli_build_hosts(const struct cli_texts *from,
                               struct cli_pairs *out,
                               struct error *err);

struct cli_platforms {
    const char **items; /* "os/arch[/variant]", normalised; owned */
    size_t count;
    size_t capacity;
};
void cli_platforms_release(struct cli_platforms *p); /* idempotent */
/* --platform OS/ARCH[/VARIANT][,...], any number of times; what comes twice is there once.
 */
MUST_CHECK int cli_build_platforms(const struct cli_texts *from,
                                   struct cli_platforms *out,
                                   struct error *err);

struct cli_secrets {
    struct build_secret *items; /* texts owned */
    size_t count;
    size_t capacity;
};
void cli_secrets_release(struct cli_secrets *s);
/* --secret id=ID[,src=FILE|,env=NAME]; with neither: the variable ID if it is set, else the
 * file ID. */
MUST_CHECK int cli_build_secrets(const struct cli_texts *from,
                                 struct cli_secrets *out,
                                 struct error *err);
