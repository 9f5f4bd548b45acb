/*
 * Progress events flow upwards through one callback. An event is a small value; what it
 * points to is borrowed for the call. The sink may be called from any thread and must not
 * block for long; it must not call back into the room that sends.
 */
#pragma once

#include "base/error.h"
#include "base/view.h"

#include <stdint.h>

enum event_type {
    EVENT_STEP_START,  /* step, name, pos, text: why it is not cached, or NULL */
    EVENT_STEP_CACHED, /* step, name: an earlier result is used */
    EVENT_STEP_OUTPUT, /* step, stream, data: bytes that a command printed */
    EVENT_STEP_DONE,   /* step */
    EVENT_STEP_FAILED, /* step, text */
    EVENT_PROGRESS,    /* step, name (what), current, total (0: unknown), in bytes */
    EVENT_NOTE,        /* step or 0, text: a line worth knowing */
    EVENT_WARNING,     /* text, pos, name (rule or empty) */
};

struct event {
    enum event_type type;
    uint32_t step; /* number of the step within the build, from 1; 0: none */
    int stream;    /* 1 or 2 for EVENT_STEP_OUTPUT */
    const char *name;
    const char *text;
    struct view data;
    uint64_t current;
    uint64_t total;
    struct source_pos pos;
    uint64_t time_ns; /* CLOCK_MONOTONIC; filled in by event_send */
};

struct event_sink {
    void (*send)(void *context, const struct event *event);
    void *context;
};

/* Fills in the time and calls the sink; a NULL sink or callback is silence. */
void event_send(const struct event_sink *sink, struct event event);
