/*
 * Digests of content: an algorithm and its bytes, written "sha256:HEX".
 * Spec: OCI image-spec descriptor.md "Digests". Values; copied freely.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum digest_alg { DIGEST_NONE = 0, DIGEST_SHA256 = 1, DIGEST_SHA512 = 2 };

#define DIGEST_BYTES_MAX 64

struct digest {
    enum digest_alg alg;
    uint8_t bytes[DIGEST_BYTES_MAX]; /* the first digest_size(alg) count; the rest is 0 */
};

/* "sha512:" + 128 hex digits + NUL. */
struct digest_text {
    char text[7 + 2 * DIGEST_BYTES_MAX + 1];
};

size_t digest_size(enum digest_alg alg);          /* 32, 64 or 0 */
const char *digest_alg_name(enum digest_alg alg); /* "sha256", "sha512" */
/* Exactly ALG:lower-case-hex of the right length. ERROR_INVALID; ERROR_UNSUPPORTED for an
 * algorithm that is well-formed but unknown. */
MUST_CHECK int digest_parse(struct view text, struct digest *out, struct error *err);
struct digest_text digest_format(const struct digest *d);
/* The hex digits only. */
struct digest_text digest_hex(const struct digest *d);
bool digest_eq(const struct digest *a, const struct digest *b);
int digest_compare(const struct digest *a, const struct digest *b);
bool digest_is_set(const struct digest *d);

/* Streaming. One thread at a time. */
struct hasher;
struct hasher *hasher_new(enum digest_alg alg);
void hasher_free(struct hasher *h);
void hasher_freep(struct hasher **h);
void hasher_update(struct hasher *h, const void *data, size_t size);
/* Gives the digest and starts afresh, so that a hasher can be used again. */
void hasher_final(struct hasher *h, struct digest *out);

/* Of bytes in memory. */
struct digest digest_of(enum digest_alg alg, struct view data);
/* Size and digest must both be those expected: ERROR_CORRUPT. */
MUST_CHECK int digest_check(const struct digest *want, struct view data, struct error *err);
