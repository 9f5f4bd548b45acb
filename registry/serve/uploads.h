/*
 * Upload sessions: blobs that come in several requests. Each is a file in ingest/ that
 * belongs to the server's lease, so those of a server that was killed are removed when the
 * store is opened next. One request at a time works on a session ("acquired").
 *
 * Thread-safe. Spec: OCI distribution-spec "Pushing a blob in chunks".
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/digest.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stdint.h>

/* Sessions at once: each holds a descriptor and, it may be, much of the disk. */
#define SERVE_UPLOADS_MAX 2000

struct serve_uploads;
struct serve_upload;

struct serve_uploads *serve_uploads_new(uint64_t size_max);
/* No session is acquired any more. NULL is fine. */
void serve_uploads_free(struct serve_uploads *u);
unsigned serve_uploads_count(struct serve_uploads *u);
/* Ends sessions that nobody used for so long. */
void serve_uploads_expire(struct serve_uploads *u, unsigned expiry_s);

/* A new session, acquired. ERROR_LIMIT if there are too many. */
MUST_CHECK struct serve_upload *serve_upload_new(struct serve_uploads *u,
                                                 struct cas_store *store,
                                                 const char *repository,
                                                 enum digest_alg alg,
                                                 struct error *err);
/* Waits a while for another request to let go of it: one whose connection broke may not
 * have noticed yet. NULL with ERROR_NOT_FOUND, or ERROR_EXISTS if it is still busy. */
MUST_CHECK struct serve_upload *serve_upload_acquire(struct serve_uploads *u,
                                                     const char *id,
                                                     const char *repository,
                                                     struct error *err);
/* Others may go on with it. */
void serve_upload_release(struct serve_upload *up);
/* Ends the session and throws away what came. */
void serve_upload_end(struct serve_upload *up);

const char *serve_upload_id(const struct serve_upload *up);
uint64_t serve_upload_size(const struct serve_upload *up);
/* ERROR_DENIED past the largest size, ERROR_LIMIT past the store's limit. The session is
 * still to be ended or released. */
MUST_CHECK int serve_upload_write(struct serve_upload *up,
                                  const void *data,
                                  size_t size,
                                  struct error *err);
/* Of all that came; reads it again if another algorithm was expected. */
MUST_CHECK int serve_upload_expect(struct serve_upload *up,
                                   enum digest_alg alg,
                                   struct error *err);
/* Makes the blob visible in the store, and ends the session, also on failure. ERROR_CORRUPT
 * if it has another digest. */
MUST_CHECK int serve_upload_commit(struct serve_upload *up,
                                   const struct digest *want,
                                   struct error *err);
