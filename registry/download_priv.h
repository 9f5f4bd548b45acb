/*
 * The inside of a download: one stream (registry/download.c), or parts that come at once
 * (registry/download_parts.c).
 */
#pragma once

#include "registry/client_priv.h"
#include "registry/meter.h"

#include "cas/digest.h"

struct download {
    struct registry_client *client;
    const struct registry_reference *repository;
    const struct descriptor *desc;
    const struct registry_blob_sink *sink;
    struct registry_http_response *response;
    struct hasher *hasher; /* NULL: the receiver verifies */
    uint64_t offset;       /* bytes passed on so far */
    uint64_t until;        /* where the bytes end that are asked for */
    bool is_open;          /* this answer's place was checked */
    char *etag;            /* of the answer that brought a part, or NULL */
    struct registry_meter meter;
    struct error failure; /* why the transfer was ended from this side */
};

/* "blobs/sha256:..." below the repository; malloc'ed. */
char *download_path(const struct download *d);

/* Is it for several connections, as far as this side goes? */
bool download_is_large(const struct download *d);

enum download_outcome {
    DOWNLOAD_WHOLE,
    DOWNLOAD_GO_ON, /* the registry does not want so many: one stream, from d->offset on */
    DOWNLOAD_ANEW,  /* its parts do not fit: one stream, from the beginning */
};

/*
 * Fetches the rest, from d->offset on, in parts, several at once; a registry that answers a
 * Range request as it should is presumed. What is at d->offset follows what the receiver
 * has. 0 with *outcome; -1: nothing else would better it.
 */
MUST_CHECK int download_parts(struct download *d,
                              enum download_outcome *outcome,
                              struct error *err);
