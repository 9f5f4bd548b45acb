/*
 * Programs of this machine that serve the steps of a build: pasta, ssh-agent. Started
 * beside the steps, told apart by what they print, gone when cooper is.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/sandbox/sandbox.h"

#include <stdbool.h>

/* Is there a program of this name in $PATH? */
bool build_service_exists(const char *program);

struct build_service {
    struct sandbox_process *process;
    int output; /* what it prints to standard output, and to standard error */
    int errors;
};

#define BUILD_SERVICE_INIT                                                                 \
    {                                                                                      \
        NULL, -1, -1                                                                       \
    }

/* `input` (-1: /dev/null) becomes its standard input and is borrowed for the call;
 * netns_path as in struct sandbox_service. Of the environment it gets PATH, HOME and
 * TMPDIR. */
MUST_CHECK int build_service_start(struct build_service *s,
                                   struct sandbox_helper *helper,
                                   const char *const *argv,
                                   int input,
                                   const char *netns_path,
                                   struct error *err);
/*
 * Waits until it prints a line, which says that it is ready. `is_cancelled` (may be NULL)
 * is asked meanwhile. Errors: ERROR_FAILED with the last line of what it complained about,
 * if it ends first or stays silent for timeout_ms; ERROR_CANCELLED.
 */
MUST_CHECK int build_service_wait(struct build_service *s,
                                  int timeout_ms,
                                  bool (*is_cancelled)(void *context),
                                  void *context,
                                  struct error *err);
/* Ends it and waits for that. Idempotent. */
void build_service_stop(struct build_service *s);
/* The same without waiting: it is gone when the helper has stopped. */
void build_service_abandon(struct build_service *s);
