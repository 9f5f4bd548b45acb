/*
 * A blob on its way into the store, and whoever reads it meanwhile: a layer is decompressed
 * and unpacked beside its download.
 *
 *     the fetching thread    begin -> grown ... -> end
 *     the reading thread     read ... until nothing is left, or leave
 *
 * What is read before the end was not verified yet; that the reader got to the end means
 * that the fetch ended well, which it does only when size and digest were right and the
 * blob is in the store. A transfer that starts over (`begin` again) is followed from the
 * reader's place: should it bring other bytes than before, what the reader makes of the
 * mixture cannot have the diffID. One fetching and one reading thread at a time.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/blob.h"
#include "cas/digest.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cas_arrival;

/* Of a blob that will be in `s`. */
struct cas_arrival *cas_arrival_new(struct cas_store *s, const struct digest *blob);
void cas_arrival_free(struct cas_arrival *a); /* NULL is fine */

/* --- Who fetches; with `a` NULL nobody follows and nothing happens. --- */

/* The blob comes through `w` from its first byte on. A fetch that does not go through a
 * writer, or finds the blob there, says nothing but `end`. */
MUST_CHECK int cas_arrival_begin(struct cas_arrival *a,
                                 const struct cas_blob_writer *w,
                                 struct error *err);
/* More was written. ERROR_CANCELLED: the reader found that nobody will want it. */
MUST_CHECK int cas_arrival_grown(struct cas_arrival *a,
                                 const struct cas_blob_writer *w,
                                 struct error *err);
/* The fetch is over; `ok`: the blob is in the store. */
void cas_arrival_end(struct cas_arrival *a, bool ok);

/* --- Who reads --- */

/* The next bytes, waiting for them; *got 0: the end of a blob that arrived.
 * ERROR_CANCELLED: it did not. A codec_source_fn. */
MUST_CHECK int cas_arrival_read(
    void *arrival, void *data, size_t size, size_t *got, struct error *err);
/* The reader needs no more, and one that waits gets ERROR_CANCELLED. With `stop` nobody
 * else needs it either: the fetch ends at its next bytes. */
void cas_arrival_leave(struct cas_arrival *a, bool stop);
bool cas_arrival_is_stopped(struct cas_arrival *a);
