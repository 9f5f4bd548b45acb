/*
 * The state of the step that made a build fail, kept so that people can look at it: in the
 * journal (builder/kept.h), or as an image (--on-failure): of a RUN the files as it left
 * them, of COPY, ADD and WORKDIR those that it was to change. For builder/solve*.c and
 * builder/step_run.c.
 */
#pragma once

#include "builder/solve_priv.h"

/* The node's command failed and left these files. Consumes `root`, which may be NULL; of
 * several failures the first is kept. Any thread. */
void solve_failed_take(struct solve_node *n,
                       struct cas_snapshot *root,
                       const struct error *why);

/* The step failed: unless it is a RUN, what lies below it is its state. Any thread. */
void solve_failed_note(struct solve_node *n, const struct error *why);

/* When nothing runs any more and the build has failed. What goes wrong is told as a note:
 * the build's own failure is the news. */
void solve_failed_keep(struct solver *s);

/* Throws away what was not kept. Idempotent. */
void solve_failed_drop(struct solver *s);
