/*
 * The values of build's flags that have a form of their own, read as buildx reads them:
 * NAME=VALUE pairs, secrets, hosts, outputs. Each list owns the copies it makes; what it
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
/* --annotation [manifest:]KEY=VALUE */
MUST_CHECK int cli_build_annotations(const struct cli_texts *from,
                                     struct cli_pairs *out,
                                     struct error *err);
/* --add-host HOST:ADDRESS or HOST=ADDRESS */
MUST_CHECK int cli_build_hosts(const struct cli_texts *from,
                               struct cli_pairs *out,
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

/* What -o, --push and the attributes of -o ask for. */
struct cli_outputs {
    struct build_output *items; /* texts owned */
    size_t count;
    size_t capacity;
    struct cli_pairs annotations;
    bool has_compression;
    enum cas_compression compression;
    int compression_level;
    bool uses_stdout;
};
void cli_outputs_release(struct cli_outputs *o);
/* -o DIR, -o -, -o type=TYPE,ATTRIBUTE=VALUE,... Standard output is refused if it is a
 * terminal. */
MUST_CHECK int cli_build_outputs(const struct cli_texts *from,
                                 bool push,
                                 struct cli_outputs *out,
                                 struct error *err);
