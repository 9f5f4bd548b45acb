/*
 * Numbers and check sums of tar headers.
 */
#pragma once

#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

enum { TAR_BLOCK_SIZE = 512 };

/* A numeric field: octal digits between blanks, or GNU's base-256 (first byte 0x80 or
 * 0xff). An empty field is 0. False if it is neither or does not fit. */
bool tar_number_parse(const uint8_t *field, size_t size, int64_t *out);
/* A PAX time: decimal seconds, "-" allowed, any number of fraction digits (floored to ns).
 */
bool tar_number_time(struct view text, int64_t *seconds, uint32_t *nanoseconds);
/* Does the header block carry the sum of its bytes? Both signednesses are in use. */
bool tar_checksum_ok(const uint8_t block[TAR_BLOCK_SIZE]);
