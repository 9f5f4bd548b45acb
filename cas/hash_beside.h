/*
 * Hashing beside the thread that has the bytes: it copies them into a ring and goes on (to
 * write them, to receive more), while a worker of a pool hashes what is in the ring. If no
 * worker comes, it hashes itself when the ring is full; so it never waits for others' work.
 * For blobs of hundreds of megabytes, whose digest takes as long as all the rest.
 *
 * One thread at a time puts and settles.
 */
#pragma once

#include "base/pool.h"
#include "cas/digest.h"

#include <stddef.h>

struct hash_beside;

/* Both are borrowed; nobody else uses the hasher until hash_beside_free. */
struct hash_beside *hash_beside_new(struct hasher *hasher, struct pool *pool);
/* Waits until all was hashed. NULL is fine. */
void hash_beside_free(struct hash_beside *b);
void hash_beside_put(struct hash_beside *b, const void *data, size_t size);
