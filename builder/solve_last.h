/*
 * Why steps miss: what they were made of the last time, as the solver asks for it. For
 * builder/solve*.c and builder/step_*.c only.
 */
#pragma once

#include "builder/solve_priv.h"

struct solve_last;

/* Reads what is known of the last build of this Dockerfile, once; the solver's. The
 * scheduler's thread, before workers ask. */
struct solve_last *solve_last_load(struct solver *s);
void solve_last_free(struct solve_last *l); /* NULL is fine */

/* One line, malloc'ed: why the node is not taken from the cache, now that its inputs are
 * done. NULL if nothing is to be said. Sets the node's cause. Any thread that has the node.
 */
char *solve_miss_reason(struct solve_node *n);

/* solve_explain.c: of every node that is needed, whether it would run. */
MUST_CHECK int solve_explain(struct solver *s,
                             struct build_explanation *out,
                             struct error *err);

/* Keeps what the steps are made of, for the next build. All nodes are done or left. */
void solve_last_save(struct solver *s);
