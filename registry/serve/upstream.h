/*
 * A registry behind this one: what is asked for and not here is fetched from there, and
 * kept (a "pull-through cache").
 *
 * A repository has the same name on both sides ("debian" is Docker Hub's "library/debian"
 * if that is the upstream). Where a tag points is asked again, by HEAD, when it was asked
 * last longer than the given time ago; what has a digest never is. A blob is handed on
 * while it arrives, fetched once however many wait for it, and in the store when it was
 * verified; its last byte is given to nobody before that, so no client takes a wrong one
 * for whole. If the upstream cannot be reached, what is here is served.
 *
 * What was fetched is kept as the build cache is (cas/record.h): least recently used goes
 * first when room is needed. It is public to all who may use the registry.
 *
 * Thread-safe. Spec: OCI distribution-spec 1.1 "Pull".
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "cas/repository.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct serve_upstream;
struct serve_download;

struct serve_upstream_options {
    const char *url; /* "https://registry-1.docker.io", "http://HOST:PORT", "HOST" */
    unsigned ttl_s;  /* so long a tag's answer counts */
    const char *const *insecure_hosts;
    size_t insecure_host_count;
    const char *ca_file; /* NULL: the system's */
    /* When the upstream fails although it is not needed, and when it is back. */
    void (*complain)(void *context, const char *text);
    void *complain_context;
};

/* Asks nothing yet. ERROR_INVALID for a URL that is no registry's. */
MUST_CHECK struct serve_upstream *serve_upstream_new(
    const struct serve_upstream_options *options, struct error *err);
/* Requests to the upstream end, with failures. */
void serve_upstream_cancel(struct serve_upstream *u); /* NULL is fine */
/* Waits for downloads to end; nobody reads one any more. NULL is fine. */
void serve_upstream_free(struct serve_upstream *u);
/* Downloads that write into the store. */
unsigned serve_upstream_active(struct serve_upstream *u);
/* Of manifests and blobs that came from there, and of times that it could not be reached.
 */
struct serve_upstream_stats {
    uint64_t manifests;
    uint64_t blobs;
    uint64_t bytes;
    uint64_t failures;
};
struct serve_upstream_stats serve_upstream_stats(struct serve_upstream *u);

/*
 * Where a tag points; the manifest is in the store then. Errors: ERROR_DENIED, or
 * ERROR_NETWORK and others for an upstream that fails where nothing is cached.
 */
MUST_CHECK int serve_upstream_tag(struct serve_upstream *u,
                                  struct cas_store *store,
                                  const char *repository,
                                  const char *tag,
                                  bool *found,
                                  struct descriptor *out,
                                  struct error *err);
/* The same for a digest. */
MUST_CHECK int serve_upstream_manifest(struct serve_upstream *u,
                                       struct cas_store *store,
                                       const char *repository,
                                       const struct digest *d,
                                       bool *found,
                                       struct descriptor *out,
                                       struct error *err);
/* Gives the tags that the upstream lists, in its order. *known: there is such a repository.
 * Nothing of this is kept. */
typedef void serve_upstream_tag_fn(void *context, const char *tag);
MUST_CHECK int serve_upstream_tags(struct serve_upstream *u,
                                   const char *repository,
                                   serve_upstream_tag_fn *add,
                                   void *context,
                                   bool *known,
                                   struct error *err);
/* Adds what the upstream lists as referring to `subject`, of that type unless NULL. Nothing
 * of this is kept. */
MUST_CHECK int serve_upstream_referrers(struct serve_upstream *u,
                                        const char *repository,
                                        const struct digest *subject,
                                        const char *artifact_type,
                                        struct cas_repository_manifests *list,
                                        struct error *err);
/* Does the upstream have the blob? Fetches nothing. */
MUST_CHECK int serve_upstream_find_blob(struct serve_upstream *u,
                                        const char *repository,
                                        const struct digest *d,
                                        bool *found,
                                        uint64_t *size,
                                        struct error *err);

/* Begins to fetch a blob, or joins those who wait for it. *out is NULL if it is in the
 * store by now. The store must stay open while serve_upstream_active. */
MUST_CHECK int serve_upstream_fetch(struct serve_upstream *u,
                                    struct cas_store *store,
                                    const char *repository,
                                    const struct digest *d,
                                    uint64_t size,
                                    struct serve_download **out,
                                    struct error *err);
/* Waits for bytes at `offset` and copies some of them; -1 if there will be none. */
ssize_t serve_download_read(void *download, uint64_t offset, char *out, size_t size);
/* Waits for the end: is it in the store? */
bool serve_download_wait(struct serve_download *d);
void serve_download_close(void *download);
