/*
 * The history of an image: what each instruction did, when, and which have a layer.
 * Spec: OCI image-spec config.md "history".
 */
#pragma once

#include "base/doc.h"
#include "builder/plan.h"
#include "builder/reshape.h"
#include "builder/solve.h"

/* `solution` is what the steps gave, `shape` what became of its layers. Never NULL. */
struct doc *build_history_make(const struct build_plan *plan,
                               const struct build_solution *solution,
                               const struct build_shape *shape);
