/*
 * When to try again, and how long to wait: exponential backoff with full jitter, unless the
 * server says when. One thread at a time.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct registry_retry_policy {
    unsigned attempts;            /* tries in all */
    uint32_t backoff_ms;          /* before the second try, doubling */
    const atomic_bool *cancelled; /* or NULL */
};

struct registry_retry {
    const struct registry_retry_policy *policy;
    unsigned made; /* tries that failed */
};

/* Statuses that may go better another time: 408, 425, 429, 500, 502, 503, 504. */
bool registry_retry_is_status(int status);
/* An answer to no avail, or none at all: connection refused, broken off, stalled. */
bool registry_retry_is_error(const struct error *err);

/* The seconds of a Retry-After header (a number or an HTTP date); false if it is neither.
 */
bool registry_retry_after_parse(struct view value, uint64_t now_s, uint64_t *seconds);

/* Counts a failed try. True after having waited if there is to be another one;
 * `retry_after` is that header's value or empty. False when the tries are used up or the
 * flag is set. `err` is what failed, NULL for an answer that was an error: where nobody
 * listens (sys ECONNREFUSED) waiting seldom helps, and it is over within half a second. */
bool registry_retry_wait(struct registry_retry *r,
                         const struct error *err,
                         struct view retry_after);
