/*
 * The embedded registry: the OCI distribution specification 1.1 on a store of ours.
 *
 * What the registry holds are refs of the store under a name of its own: served as
 * "localhost:5000", the tag "1" of the repository "app" is the ref "localhost:5000/app:1",
 * which is what clients call it, what `cooper images` lists, and what FROM finds. A push
 * never touches any other ref; so nobody who may push can change what "FROM debian" means.
 * The other way round, images of the store are seen as repositories without being pushed
 * (`is_pushed_only` ends that): "app:latest", that is docker.io/library/app:latest, as the
 * tag "latest" of "app", and quay.io/org/x:1 as that of "quay.io/org/x". What was pushed
 * comes first.
 *
 * With an `upstream`, what neither was pushed nor fetched before comes from there
 * (registry/serve/upstream.h).
 *
 * A blob is seen through the repositories that it belongs to (cas/repository.h), and, as
 * long as the store's images are shown, everywhere if it is the store's own. Blobs and
 * manifests are on disk before they are acknowledged.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct registry_server;

struct registry_server_options {
    const char *store;    /* its path */
    const char *listen;   /* "HOST:PORT", "[ADDRESS]:PORT", ":PORT", "PORT"; port 0: any */
    const char *name;     /* what the registry is called in refs; NULL: "localhost:PORT" */
    const char *tls_cert; /* PEM files; NULL: plain HTTP */
    const char *tls_key;
    const char *htpasswd; /* a file of USER:BCRYPT lines; NULL: everybody may do all */
    bool is_readonly;
    bool is_pushed_only;          /* the store's own images are not shown */
    bool is_whole_only;           /* manifests that name what is not there are refused */
    const char *const *immutable; /* patterns of tags, or of REPOSITORY:TAG */
    size_t immutable_count;
    const char *upstream; /* URL of the registry behind this one; NULL: none */
    unsigned upstream_ttl_s;
    const char *const *insecure_hosts; /* as in registry/http.h; for the upstream */
    size_t insecure_host_count;
    const char *ca_file;
    /* Of the store's size its owner takes care: `adopt` gets each handle that is written
     * with, before it is, and NULL before it is closed; `tidy` is called every ten
     * seconds. */
    void (*adopt)(void *context, struct cas_store *store);
    void (*tidy)(void *context, struct cas_store *store);
    void *storage_context;
    uint64_t upload_size_max; /* of one blob; 0: LIMIT_LAYER_SIZE */
    unsigned upload_expiry_s; /* of a session that nobody uses; 0: an hour */
    int access_log_fd;        /* a line of JSON a request; -1: none; borrowed */
    /* What went wrong within the server (a full disk), for its owner to see. */
    void (*complain)(void *context, const char *text);
    void *complain_context;
};

/* Listens and serves, in threads of its own. Errors: ERROR_INVALID for options that do not
 * fit, ERROR_UNSUPPORTED without the module, ERROR_SYSTEM. */
MUST_CHECK struct registry_server *registry_server_start(
    const struct registry_server_options *options, struct error *err);
/* "127.0.0.1:5000"; borrowed. */
const char *registry_server_address(const struct registry_server *s);
const char *registry_server_name(const struct registry_server *s);
/* Others than this machine can reach it, and anybody may write or listen in. */
bool registry_server_is_exposed(const struct registry_server *s);
/* To be called every few seconds: ends forgotten uploads, reads a changed password file,
 * lets garbage collection have what is not needed any more, and tidies. */
void registry_server_maintain(struct registry_server *s);
/* No new connections; waits for requests that were begun, at most `grace_ms`; then ends
 * what is left, and frees. NULL is fine. */
void registry_server_stop(struct registry_server *s, unsigned grace_ms);
