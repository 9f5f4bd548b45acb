#include "registry/meter.h"

#include <stdio.h>
#include <time.h>

#define METER_INTERVAL_NS 100000000u

void registry_meter_init(struct registry_meter *m,
                         const struct registry_progress *progress,
                         const char *verb,
                         const struct descriptor *blob)
{
    *m = (struct registry_meter){.progress = progress, .total = blob->size};
    (void)snprintf(m->name, sizeof m->name, "%s %s", verb,
                   digest_format(&blob->digest).text);
}

void registry_meter_set(struct registry_meter *m, uint64_t current)
{
    struct timespec now;

    if (!m->progress || !m->progress->sink)
        return;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    if (current != m->total && now_ns - m->last_ns < METER_INTERVAL_NS)
        return;
    m->last_ns = now_ns;
    event_send(m->progress->sink, (struct event){
                                      .type = EVENT_PROGRESS,
                                      .step = m->progress->step,
                                      .name = m->name,
                                      .current = current,
                                      .total = m->total,
                                  });
}
