/*
 * Why a step misses the cache, in one line: what differs between two descriptions
 * (builder/describe.h) of it.
 *
 *     build argument VERSION was 1.2, is 1.3
 *     the command was "make", is "make -j2"
 *     tag moved from sha256:0123456789ab to sha256:ba9876543210
 *
 * What differs is told in the order in which people look for it; further differences are
 * counted.
 */
#pragma once

#include "base/buf.h"
#include "base/doc.h"

/* malloc'ed; NULL if the two do not differ in anything that is described. */
char *build_miss_difference(const struct doc *was, const struct doc *is);

/* Appends `text` in one line without control characters, shortened to `width` bytes. */
void build_miss_clip(struct buf *out, struct view text, size_t width);
