/*
 * What a repository has: tags, and every manifest that they lead to. For prune*.c.
 */
#pragma once

#include "cas/digest_set.h"
#include "registry/client.h"
#include "registry/reference.h"
#include "release/tags.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prune_blob {
    struct digest digest;
    uint64_t size;
};

/* A manifest or index, read once. */
struct prune_node {
    struct digest digest;
    struct digest *children; /* of an index */
    size_t child_count;
    struct digest *referrers; /* manifests that name it as their subject */
    size_t referrer_count;
    struct prune_blob *blobs; /* config and layers */
    size_t blob_count;
    bool has_subject;
    struct digest subject;
    bool has_created;
    int64_t created;
};

struct prune_graph {
    struct registry_client *client;
    const struct registry_reference *repository;
    bool needs_age;
    struct prune_node *nodes;
    size_t count;
    size_t capacity;
    struct digest *roots; /* of the tags that were asked for, in their order */
};

/* Reads what the tags lead to. A manifest that a tag or index names and that is not there
 * is an error: what stays would not be known. */
MUST_CHECK int prune_graph_read(struct prune_graph *g,
                                const struct release_names *tags,
                                struct error *err);
void prune_graph_release(struct prune_graph *g); /* idempotent */
/* NULL: none of that digest was read. */
const struct prune_node *prune_graph_find(const struct prune_graph *g,
                                          const struct digest *digest);
/* Adds the digest and everything that it leads to: children, referrers, theirs. */
void prune_graph_reach(const struct prune_graph *g,
                       const struct digest *from,
                       struct digest_set *out);
