/*
 * Where a build's result goes and in which form: plain values that the command line fills
 * in; zero means default everywhere. Texts are borrowed for the build.
 */
#pragma once

#include "cas/layer.h"

#include <stdbool.h>
#include <stddef.h>

/* How layers are compressed. Those that came with a base image stay as they are unless
 * forced; a forced one is left alone if its type is the wanted one. */
struct build_compression {
    enum cas_compression type;
    int level; /* 0: the default of the type */
    bool force;
};

/* What is annotated: a document, or the descriptor by which an index or layout names it. */
enum build_annotated {
    BUILD_ANNOTATED_MANIFEST = 0,
    BUILD_ANNOTATED_MANIFEST_DESCRIPTOR,
    BUILD_ANNOTATED_INDEX, /* of several platforms only */
    BUILD_ANNOTATED_INDEX_DESCRIPTOR,
};

struct build_annotation {
    const char *name;
    const char *value;
    const char *platform; /* for this one only: "os/arch[/variant]"; NULL: any */
    enum build_annotated on;
};

enum build_output_type {
    BUILD_OUTPUT_STORE = 0, /* the store only (always done when there are tags) */
    BUILD_OUTPUT_REGISTRY,  /* push every tag (or `name`) */
    BUILD_OUTPUT_OCI,       /* OCI layout as a tar, or a directory with tar=false */
    BUILD_OUTPUT_DOCKER,    /* docker archive (docker load) */
    BUILD_OUTPUT_LOAD,      /* into a docker, podman or containerd of this machine */
    BUILD_OUTPUT_LOCAL,     /* the root file system as files in a directory */
    BUILD_OUTPUT_TAR,       /* the root file system as a tar */
    BUILD_OUTPUT_CACHE,     /* nowhere: the steps' results stay in the cache */
};

/* Does it give an image, or files? */
static inline bool build_output_is_image(enum build_output_type type)
{
    return type != BUILD_OUTPUT_LOCAL && type != BUILD_OUTPUT_TAR &&
           type != BUILD_OUTPUT_CACHE;
}

enum build_load_into {
    BUILD_LOAD_ANY, /* the first that answers: docker, podman, containerd */
    BUILD_LOAD_DOCKER,
    BUILD_LOAD_PODMAN,
    BUILD_LOAD_CONTAINERD,
};

enum build_answer { BUILD_UNSAID, BUILD_YES, BUILD_NO };

struct build_output {
    enum build_output_type type;
    const char *dest; /* path, or "-" for standard output; NULL where none is needed */
    const char *name; /* names, by comma, for the registry or archive; NULL: the tags */
    bool directory;   /* oci, docker: tar=false */
    bool by_digest;   /* registry: under no tag */
    bool docker_media_types;            /* oci-mediatypes=false */
    bool keeps_nondistributable;        /* prefer-nondist-layers=true */
    enum build_answer splits_platforms; /* local, tar: below OS_ARCH/; unsaid: where there
                                         * are several */
    enum build_answer clamps;           /* rewrite-timestamp */
    enum build_load_into into;          /* load */
    struct build_compression compression;
    const struct build_annotation *annotations; /* besides the request's */
    size_t annotation_count;
};

/* What is made of the layers before they go anywhere; the steps' results in the cache stay
 * as they are. */
struct build_reshape {
    bool squash;         /* the layers above the base become one */
    bool squash_all;     /* all layers become one */
    uint64_t split_size; /* larger ones become several; 0: none */
};
