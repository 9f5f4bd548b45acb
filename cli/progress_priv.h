/*
 * Between the keeper of the steps' state and the displays. Everything here is called with
 * the keeper's lock held.
 */
#pragma once

#include "base/buf.h"
#include "base/event.h"
#include "cli/progress.h"

#include <stdbool.h>
#include <stdint.h>

/* Lines of output kept of each step. */
#define CLI_PROGRESS_TAIL 32u
/* A line of output is cut here, so that a command that never ends one fills no memory. */
#define CLI_PROGRESS_LINE_MAX ((size_t)16 << 10)

enum cli_step_state { CLI_STEP_RUNNING, CLI_STEP_CACHED, CLI_STEP_DONE, CLI_STEP_FAILED };

struct cli_transfer {
    char *name;
    uint64_t current;
    uint64_t total;
    uint64_t shown_ns; /* when the plain display told of it last */
    bool complete;
};

struct cli_line {
    char *text;
    uint64_t time_ns;
};

struct cli_step {
    uint32_t number; /* 0: what belongs to no step */
    enum cli_step_state state;
    char *name;
    char *text;   /* why it failed, or NULL */
    char *reason; /* why it is not cached, or NULL */
    uint64_t start_ns;
    uint64_t end_ns;
    struct buf partial[2];                   /* the unfinished line of each stream */
    struct cli_line tail[CLI_PROGRESS_TAIL]; /* a ring: tail[i % CLI_PROGRESS_TAIL] */
    size_t line_count;                       /* lines seen; the ring holds the last ones */
    struct cli_transfer *transfers;
    size_t transfer_count;
    size_t transfer_capacity;
};

struct cli_warning {
    char *text;
    char *rule; /* or NULL */
    unsigned line;
};

struct cli_steps {
    struct cli_step **items; /* in order of appearance */
    size_t count;
    size_t capacity;
    struct cli_warning *warnings;
    size_t warning_count;
    size_t warning_capacity;
    const char *title;
    uint64_t start_ns;
    bool finished;
};

/* A display. Any of its functions may be NULL. */
struct cli_display {
    /* After the state of `step` (may be NULL) was brought up to date. */
    void (*event)(void *self, const struct event *event, struct cli_step *step);
    /* One whole line of a command's output, without its end. */
    void (*line)(void *self,
                 const struct cli_step *step,
                 int stream,
                 const struct cli_line *line);
    /* The transfer of an EVENT_PROGRESS. */
    void (*transfer)(void *self,
                     const struct cli_step *step,
                     struct cli_transfer *transfer,
                     uint64_t time_ns);
    /* Ten times a second, if set; and from it the display has a thread. */
    void (*tick)(void *self, const struct cli_steps *steps);
    void (*finish)(void *self, const struct cli_steps *steps);
    void (*free)(void *self);
    void *self;
};

struct cli_display cli_display_plain(void);
struct cli_display cli_display_tty(void);
struct cli_display cli_display_json(void);

/* Appends the warnings as buildx lists them at the end of a build. */
void cli_warnings_append(const struct cli_steps *steps, struct buf *out);

/* CLOCK_MONOTONIC. */
uint64_t cli_clock_ns(void);
/* Seconds between two such times; 0 if they are reversed. */
double cli_seconds(uint64_t from_ns, uint64_t to_ns);
