/*
 * Within builder/inputs*.c.
 */
#pragma once

#include "base/buf.h"
#include "base/pool.h"
#include "builder/context_source.h"
#include "builder/inputs.h"

struct named {
    char *name;                          /* familiar form, without ":latest" */
    const char *value;                   /* as typed */
    struct build_context_source *source; /* or NULL: a directory */
    struct build_context *context;
};

struct named_remote {
    struct digest id; /* of everything that it was asked for with */
    struct build_remote *remote;
};

/* An image that a registry was asked for. */
struct pulled {
    char *name;
    struct digest root;
};

struct build_inputs {
    const struct build_environment *env;
    const struct build_request *request;
    /* The main context: */
    bool is_opened;                      /* `source` was looked for */
    struct build_context_source *source; /* or NULL: a directory, or none */
    struct build_context *context;
    char *dockerfile; /* its path, NULL for standard input; in the source if there is one */
    bool ignore_is_read;
    char *ignore_name; /* of the file that was read; NULL: there is none */
    struct buf ignore_text;

    struct pulled *pulled;
    size_t pulled_count;
    size_t pulled_capacity;
    struct named *named;
    size_t named_count;
    struct named_remote *remotes;
    size_t remote_count;
    size_t remote_capacity;
    struct pool *asking; /* or NULL: nobody was asked ahead */
};

/* inputs_remote.c */
void inputs_remotes_release(struct build_inputs *in);

/* inputs_context.c */
void inputs_main_release(struct build_inputs *in);
MUST_CHECK struct build_context *inputs_named_context(struct build_inputs *in,
                                                      struct named *n,
                                                      struct error *err);
