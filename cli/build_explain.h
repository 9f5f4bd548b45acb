/*
 * What a build would do, told: `cooper explain`.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/explain.h"
#include "cli/output.h"

/* Prints which steps are cached and why the others are not. */
void cli_build_explain_print(const struct build_explanation *e,
                             enum cli_output_format format);
