/*
 * How a plan is written, operation by operation: shared by plan.c (the process) and
 * plan_mount.c (the file systems). Private to those.
 */
#pragma once

#include "builder/sandbox/plan.h"

/* A new operation at the end, empty but for its code and a slot of -1. Valid until the plan
 * is released. */
struct sandbox_op *plan_add(struct sandbox_plan *plan, enum sandbox_opcode code);

/* These return the offset of what they append. A plan that grows past its maximum is seen
 * once, at its end. NULL is no text: 0. */
uint32_t plan_add_bytes(struct sandbox_plan *plan, const void *data, size_t size);
uint32_t plan_add_text(struct sandbox_plan *plan, const char *text);

/* A descriptor to be sent along: its slot. */
uint32_t plan_add_slot(struct sandbox_plan *plan, int fd);

/* An owner as operations carry it. */
uint64_t plan_ids(uid_t uid, gid_t gid);

/* Everything from the first mount to OP_PIVOT. */
void plan_file_systems(struct sandbox_plan *plan,
                       const struct sandbox_spec *spec,
                       const struct sandbox_host *host);
