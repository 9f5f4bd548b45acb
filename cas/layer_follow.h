/*
 * Reading a layer's blob while a thread of its own fetches it.
 *
 *     start -> (arrival is read) [-> give_up] -> end
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/arrival.h"
#include "cas/layer.h"

struct layer_follow;

/* *out NULL: the blob is in the store, as it was before or since it is so small that it was
 * brought there at once. */
MUST_CHECK int layer_follow_start(struct cas_layer *l,
                                  struct layer_follow **out,
                                  struct error *err);
struct cas_arrival *layer_follow_arrival(const struct layer_follow *f);

/*
 * Reading failed for this reason. What is malformed is fetched to its end: most likely the
 * blob is not what its digest says, and that is the better error. Anything else (a bomb, a
 * full disk) ends the fetch, unless it is that nothing arrived (ERROR_CANCELLED).
 */
void layer_follow_give_up(struct layer_follow *f, const struct error *why);

/* Waits for the fetch; frees. -1: it failed, and `err` tells why in place of what it told
 * before, unless that was the reason. */
MUST_CHECK int layer_follow_end(struct layer_follow *f, struct error *err);
