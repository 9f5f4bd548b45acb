/*
 * Progress in bytes of one blob: an event at most every 100 ms, and one at the end. One
 * thread at a time.
 */
#pragma once

#include "cas/descriptor.h"
#include "registry/client.h"

#include <stdint.h>

struct registry_meter {
    const struct registry_progress *progress; /* or NULL */
    char name[160];                           /* "pull sha256:..." */
    uint64_t total;                           /* 0: unknown */
    uint64_t last_ns;                         /* when the last event was sent */
};

void registry_meter_init(struct registry_meter *m,
                         const struct registry_progress *progress,
                         const char *verb,
                         const struct descriptor *blob);
void registry_meter_set(struct registry_meter *m, uint64_t current);
