#include "base/event.h"

#include <time.h>

void event_send(const struct event_sink *sink, struct event event)
{
    struct timespec now;

    if (!sink || !sink->send)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    event.time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    sink->send(sink->context, &event);
}
