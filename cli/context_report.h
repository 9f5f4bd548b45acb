/*
 * What `cooper context` prints.
 */
#pragma once

#include "builder/context_why.h"

#include <stdbool.h>
#include <stddef.h>

/* Totals; what is sent in at most `lines` lines, largest first; with `why` the lines of
 * .dockerignore. */
void cli_context_report_table(const struct build_context_report *r, size_t lines, bool why);
/* One document with everything. */
void cli_context_report_json(const struct build_context_report *r);
