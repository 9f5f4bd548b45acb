/*
 * Parts of a body: what a Content-Range header says was sent.
 *
 * Spec: RFC 9110 section 14.4.
 */
#pragma once

#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

struct registry_range {
    uint64_t first; /* the first byte's place */
    uint64_t end;   /* the place after the last one's; more than first */
    bool has_total;
    uint64_t total; /* of the whole body; at least end */
};

/* "bytes 500-999/1000" or "bytes 500-999/" with an asterisk. False if it is neither, or
 * cannot be (one that ends before it begins, or after the whole). */
bool registry_range_parse(struct view value, struct registry_range *out);
