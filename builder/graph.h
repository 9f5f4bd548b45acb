/*
 * The graph of a build: nodes that each give a file tree (a stack of layers), made by the
 * planner, solved by builder/solve. A node's inputs always come before it in `nodes`.
 *
 *     SOURCE   an image's layers                                  no base
 *     COPY     COPY, ADD, or a local directory taken as a tree    base + what it copies
 * from MKDIR    WORKDIR                                            base RUN      a command
 * in the sandbox                           base + what it mounts
 *
 * Everything is owned by the graph and read-only once planned; results are kept by the
 * solver.
 */
#pragma once

#include "base/error.h"
#include "builder/config.h"
#include "builder/context.h"
#include "builder/remote.h"
#include "builder/resources.h"
#include "cas/descriptor.h"
#include "parser/dockerfile.h"
#include "registry/image.h"
#include "registry/layout.h"
#include "registry/platform.h"
#include "registry/reference.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum build_op {
    BUILD_OP_SOURCE,
    BUILD_OP_COPY,
    BUILD_OP_MKDIR,
    BUILD_OP_RUN,
};

struct build_environment;
struct build_node;

/* Where an image comes from: its layers are fetched there when their bytes are needed. */
struct build_image {
    const struct build_environment *env; /* for fetching layers; borrowed */
    char *name;                          /* as shown: docker.io/library/debian:12 */
    struct registry_platform platform;   /* that it was asked for */
    struct registry_image image;         /* manifest and config are in the store */
    struct doc *config;                  /* the whole image config document */
    struct registry_reference ref;       /* remote images; host NULL otherwise */
    struct registry_layout *layout;      /* oci-layout:// images */
};

/* What is copied from: a tree (node), a context, text, or what is elsewhere. */
enum build_from {
    BUILD_FROM_NODE,
    BUILD_FROM_CONTEXT,
    BUILD_FROM_TEXT,
    BUILD_FROM_REMOTE,
};

struct build_copy_source {
    enum build_from from;
    struct build_node *node;       /* BUILD_FROM_NODE; NULL is the empty tree */
    struct build_context *context; /* BUILD_FROM_CONTEXT; borrowed */
    struct build_remote *remote;   /* BUILD_FROM_REMOTE; borrowed */
    char *path;       /* cleaned rooted, may end in "/" or "/."; text: file name */
    struct view text; /* BUILD_FROM_TEXT; owned by the op */
    char *pattern;    /* --parents: include pattern below `path`, or NULL */
    char *required;   /* --parents without wildcards: must exist, or NULL */
    bool wildcard;    /* a glob; several or no matches are fine */
    bool unpack;      /* local archives are unpacked */
};

struct build_copy_op {
    struct build_copy_source *sources;
    size_t source_count;
    char *dest;            /* absolute, cleaned, may end in "/" or "/." */
    char *chown;           /* USER[:GROUP] or NULL */
    char *chmod;           /* octal or symbolic, checked; or NULL */
    struct view *excludes; /* borrow from the Dockerfile */
    size_t exclude_count;
    bool link;    /* independent of the base */
    bool is_tree; /* a local directory taken as a tree: the root's attributes too */
};

struct build_mkdir_op {
    char *path;
    char *user; /* owner of what is created, or NULL: root */
};

struct build_mount {
    enum dockerfile_mount_type type;
    struct build_node *from; /* bind, cache; NULL: empty */
    char *source;            /* path in `from`; "/" by default */
    char *target;            /* absolute */
    char *id;                /* cache, secret */
    char *env;               /* secret: name of the variable, or NULL */
    bool as_file;            /* secret: at `target` too */
    enum dockerfile_sharing sharing;
    bool read_only;
    bool required;
    bool has_owner; /* mode, uid, gid were given */
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    int64_t size;
};

/* RUN --device, or --device of the build. */
struct build_device {
    char *name; /* of CDI: vendor/class=name, vendor/class, or a class annotation */
    bool required;
};

struct build_run_op {
    char **argv;
    size_t argc;
    char **env; /* NAME=VALUE, in order */
    size_t env_count;
    bool *env_is_arg; /* of each: it comes from ARG; for messages */
    char **proxy_env; /* passed on, but part of no key */
    size_t proxy_env_count;
    char *workdir;
    char *user;   /* or NULL: root */
    char *script; /* here-document to be run as /dev/pipes/NAME, or NULL */
    char *script_name;
    struct build_mount *mounts;
    size_t mount_count;
    struct build_device *devices;
    size_t device_count;
    const struct build_ulimit *ulimits; /* borrowed from the request */
    size_t ulimit_count;
    const char *hostname; /* borrowed from the request; NULL: the sandbox's default */
    struct registry_platform platform; /* what the files are for; part of no key */
    enum dockerfile_network network;
    bool insecure;
};

struct build_node {
    enum build_op op;
    size_t index; /* in the graph */
    char *title;  /* "[web 2/5] RUN make" */
    struct source_pos pos;
    struct build_node *base; /* NULL: the empty tree */
    bool no_cache;
    /* COPY, ADD and WORKDIR of a stage: a RUN in their place, with the stage's shell alone
     * as its command; owned. For those who look at a step that failed. NULL: none. */
    struct build_run_op *beside;
    union {
        struct build_image *image; /* SOURCE; owned by the graph */
        struct build_copy_op copy;
        struct build_mkdir_op mkdir;
        struct build_run_op run;
    };
};

struct build_graph {
    struct build_node **nodes;
    size_t count;
    size_t capacity;
    struct build_image **images;
    size_t image_count;
    size_t image_capacity;
};

/* Appends a zeroed node; the caller fills it in. */
struct build_node *build_graph_add(struct build_graph *g,
                                   enum build_op op,
                                   struct build_node *base,
                                   struct source_pos pos);
/* Takes ownership of `image`. */
void build_graph_add_image(struct build_graph *g, struct build_image *image);
void build_graph_release(struct build_graph *g); /* idempotent */

/* The node's own RUN, or the one beside it; NULL if there is none. */
const struct build_run_op *build_node_command(const struct build_node *n);

/* Calls `visit` for each node that `n` directly needs: base, copy sources, mounts. */
void build_node_inputs(const struct build_node *n,
                       void (*visit)(void *context, struct build_node *input),
                       void *context);
