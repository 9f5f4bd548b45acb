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
#include "builder/cache/options.h"
#include "builder/output.h"
#include "builder/resources.h"
#include "cas/descriptor.h"
#include "cas/layer.h"
#include "cas/store.h"
#include "registry/client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct build_journal;
struct build_cache;
struct build_cache_export;
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

/* The address of --add-host that stands for this machine. */
#define BUILD_HOST_GATEWAY "host-gateway"

/* --ssh ID[=PATH,...]: an agent's socket, or key files, for RUN --mount=type=ssh. */
struct build_ssh {
    const char *id;
    const char *const *paths; /* absolute; at least one */
    size_t path_count;
};

struct build_pin {
    const char *name;   /* a full reference */
    struct digest root; /* of its manifest or index */
};

struct build_request {
    /* A directory, an archive, the URL of an archive, of a Dockerfile or of a repository,
     * "-": an archive on standard input; NULL: empty context. */
    const char *context;
    struct view context_head; /* of "-": what was read of standard input already */
    /* Path as typed; NULL: Dockerfile in the context; "-": standard input. Within the
     * context if that is no directory. */
    const char *dockerfile;
    /* The Dockerfile itself; `dockerfile` then only says where .dockerignore is looked for.
     * data NULL: it is read. */
    struct view dockerfile_text;
    const char *target;
    /* "os/arch[/variant]", each once; none: this machine's. Several give an index. */
    const char *const *platforms;
    size_t platform_count;

    const struct build_pair *args;
    size_t arg_count;
    const struct build_pair *contexts; /* --build-context */
    size_t context_count;
    const struct build_pair *labels;
    size_t label_count;
    const struct build_annotation *annotations; /* of every output's image */
    size_t annotation_count;
    const struct build_pair *add_hosts; /* host, address or BUILD_HOST_GATEWAY */
    size_t add_host_count;
    const struct build_secret *secrets;
    size_t secret_count;
    const struct build_ssh *ssh;
    size_t ssh_count;
    struct view ca; /* --ca: PEM certificates that RUN steps trust; see builder/trust.h */
    const struct build_ulimit *ulimits;
    size_t ulimit_count;
    struct build_resources resources; /* of each RUN step; texts borrowed */
    const char *cgroup_parent;        /* NULL: the cgroup that cooper runs in */
    const char *const *devices;       /* --device: every RUN step gets these CDI devices */
    size_t device_count;
    const struct build_pair *allowed_devices; /* --allow device=NAME[,alias=ALIAS]; the
                                               * value is the alias or NULL */
    size_t allowed_device_count;
    bool allow_devices;      /* --allow device: all of them */
    const char *const *tags; /* as typed; normalised here */
    size_t tag_count;
    const struct build_output *outputs;
    size_t output_count;
    bool keeps_refs; /* store=false: no name of the store moves */
    struct build_reshape reshape;

    const struct build_pin *pins; /* what names of images stand for, whatever others say */
    size_t pin_count;

    const struct build_cache_from *cache_from;
    size_t cache_from_count;
    const struct build_cache_to *cache_to;
    size_t cache_to_count;
    const char *const *no_cache_filter; /* stage names */
    size_t no_cache_filter_count;
    bool no_cache;
    bool pull;           /* ask the registry also for images that the store has */
    const char *network; /* default for RUN: NULL or "default", "host", "none" */
    uint64_t shm_size;   /* 0: 64 MiB */
    unsigned parallel;   /* RUN and COPY at once; 0: processors */
    enum cas_compression compression;
    int compression_level;
    bool force_compression;  /* of the image that the store gets */
    int64_t epoch;           /* SOURCE_DATE_EPOCH; negative: none. Not zero-is-default! */
    bool allow_insecure;     /* --allow security.insecure */
    bool allow_host_network; /* --allow network.host */
    const char *on_failure;  /* --on-failure image=NAME: a failed RUN's state; NULL: none */
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
    struct descriptor manifest; /* of the image; of several platforms: the index */
    struct digest config;       /* alg NONE: an index has none */
    bool has_image;             /* false when the only outputs were local or tar */
    unsigned steps;             /* RUN, COPY, ADD and WORKDIR that the target needed */
    unsigned steps_cached;
    char build[16];                   /* the ID in the journal; stays after a failure */
    struct build_cache_export *cache; /* what build_cache_write writes; NULL: nothing */
    bool is_kept; /* the state of the step that failed can be looked at: cooper debug */
};

void build_result_release(struct build_result *r);

/* Told of the layers that the result consists of, bottom first, when the step of each has
 * ended; they may still be in the making. On one thread. */
struct build_layer_watch {
    void (*layer)(void *context,
                  size_t step, /* tells the steps of a build apart */
                  struct cas_layer *layer,
                  bool is_base,
                  bool is_new);
    /* For the layer that the step is about to write; or NULL. Any thread. */
    const struct cas_layer_tap *(*tap)(void *context, size_t step);
    void *context;
};

struct build_environment {
    struct cas_store *store;
    struct registry_client *registry; /* borrowed; may be shared */
    struct sandbox_helper *sandbox;   /* NULL: a build that needs RUN is refused */
    struct event_sink sink;
    const struct build_layer_watch *watch; /* or NULL */
    struct build_journal *journal;         /* build_run's own; NULL: none */
    uint32_t *step_count;      /* build_run's own: numbers given to steps so far; or NULL */
    struct build_cache *cache; /* build_run's own; NULL: the store's records only */
};

/* The value of a build argument, from the environment if it was given without one; NULL if
 * it was not given. For BUILDKIT_* arguments, which mean something to the builder. */
const char *build_request_arg(const struct build_request *request, const char *name);
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

/*
 * Writes the caches of --cache-to, which nobody has to wait for: the image is published,
 * whatever comes of this. Frees nothing.
 * Errors: those of the first cache that could not be written, unless it ignores errors:
 *         then there is a warning.
 */
MUST_CHECK int build_cache_write(const struct build_environment *env,
                                 const struct build_request *request,
                                 struct build_result *result,
                                 struct error *err);
