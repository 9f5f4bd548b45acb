/*
 * Building an image: the one entrance to this room. A request is a plain value that the
 * command line (or another program) fills in; zero means default everywhere.
 *
 * The caller opens the store, starts the sandbox's helper before any thread exists, and
 * supplies a sink for progress. All texts are borrowed for the call.
 * Spec: Dockerfile reference 1.26; OCI image-spec config.md, manifest.md.
 */
#pragma once

#include "base/error.h"
#include "base/event.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/descriptor.h"
#include "cas/layer.h"
#include "cas/store.h"
#include "registry/client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct build_journal;
struct sandbox_helper;

/* NAME=VALUE. For a build argument a NULL value means: take it from the environment. */
struct build_pair {
    const char *name;
    const char *value;
};

struct build_secret {
    const char *id;
    const char *file; /* path, or NULL */
    const char *env;  /* name of an environment variable, or NULL */
};

enum build_output_type {
    BUILD_OUTPUT_STORE = 0, /* the store only (always done when there are tags) */
    BUILD_OUTPUT_REGISTRY,  /* push every tag (or `name`) */
    BUILD_OUTPUT_OCI,       /* OCI layout as a tar, or a directory with tar=false */
    BUILD_OUTPUT_DOCKER,    /* docker archive (docker load) */
    BUILD_OUTPUT_LOCAL,     /* the root file system as files in a directory */
    BUILD_OUTPUT_TAR,       /* the root file system as a tar */
};

struct build_output {
    enum build_output_type type;
    const char *dest; /* path, or "-" for standard output; NULL where none is needed */
    const char *name; /* name to push or to write into the archive; NULL: the tags */
    bool directory;   /* oci, docker: tar=false */
};

struct build_request {
    /* A directory, an archive, the URL of an archive, of a Dockerfile or of a repository, "-":
     * an archive on standard input; NULL: empty context. */
    const char *context;
    struct view context_head; /* of "-": what was read of standard input already */
    /* Path as typed; NULL: Dockerfile in the context; "-": standard input. Within the context
     * if that is no directory. */
    const char *dockerfile;
    const char *target;
    const char *platform; /* "os/arch[/variant]"; NULL: this machine's */

    const struct build_pair *args;
    size_t arg_count;
    const struct build_pair *contexts; /* --build-context */
    size_t context_count;
    const struct build_pair *labels;
    size_t label_count;
    const struct build_pair *annotations; /* on the manifest */
    size_t annotation_count;
    const struct build_pair *add_hosts; /* host, address */
    size_t add_host_count;
    const struct build_secret *secrets;
    size_t secret_count;
    const char *const *tags; /* as typed; normalised here */
    size_t tag_count;
    const struct build_output *outputs;
    size_t output_count;

    const char *const *no_cache_filter; /* stage names */
    size_t no_cache_filter_count;
    bool no_cache;
    bool pull;           /* ask the registry also for images that the store has */
    const char *network; /* default for RUN: NULL or "default", "host", "none" */
    uint64_t shm_size;   /* 0: 64 MiB */
    unsigned parallel;   /* RUN and COPY at once; 0: processors */
    enum cas_compression compression;
    int compression_level;
    int64_t epoch;           /* SOURCE_DATE_EPOCH; negative: none. Not zero-is-default! */
    bool allow_insecure;     /* --allow security.insecure */
    bool allow_host_network; /* --allow network.host */
    const bool *cancel;      /* set by a signal handler; polled */
    /* Told of every error of the Dockerfile's syntax, as dockerfile_parse_options; the call
     * fails with the first. May be NULL. */
    void (*on_syntax_error)(void *context, const struct error *error);
    void *syntax_context;
    /* Told of the Dockerfile's text, for messages, before anything is made of it. May be
     * NULL. */
    void (*on_dockerfile)(void *context, struct view text);
    void *dockerfile_context;
};

struct build_result {
    struct descriptor manifest;
    struct digest config;
    bool has_image; /* false when the only outputs were local or tar */
    unsigned steps; /* RUN, COPY, ADD and WORKDIR that the target needed */
    unsigned steps_cached;
    char build[16]; /* the ID in the journal; stays after a failure */
    bool is_kept;   /* the state of the step that failed can be looked at: cooper debug */
};

void build_result_release(struct build_result *r);

struct build_environment {
    struct cas_store *store;
    struct registry_client *registry; /* borrowed; may be shared */
    struct sandbox_helper *sandbox;   /* NULL: a build that needs RUN is refused */
    struct event_sink sink;
    struct build_journal *journal; /* build_run's own */
};

/* --build-arg BUILDKIT_SYNTAX, which takes the place of `# syntax=`; empty without. */
struct view build_syntax_arg(const struct build_request *request);

/*
 * Builds, exports to every output in order, and points the tags at the result. The tags
 * move only when everything before succeeded; a failed or cancelled build changes no ref.
 * Errors: ERROR_FAILED with position for a failed step; ERROR_INVALID with position for the
 *         Dockerfile; what the store, the registry or the context report, wrapped.
 */
MUST_CHECK int build_run(const struct build_environment *env,
                         const struct build_request *request,
                         struct build_result *out,
                         struct error *err);
