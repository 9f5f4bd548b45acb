/*
 * A RUN whose program is for another processor: why it could not be started, and what would
 * let this machine run it.
 */
#pragma once

#include "base/error.h"
#include "builder/step_run_priv.h"

/* When argv[0] could not be executed. If it is a program of another architecture, wraps err
 * with what is missing: an interpreter in binfmt_misc (Documentation/admin-guide/
 * binfmt-misc.rst of the kernel). Else leaves err as it is. */
void step_foreign_explain(const struct step_run *r, struct error *err);

/* The architecture (as in platforms, "arm64") that the ELF header is of, and its name in
 * qemu's programs; false for what is no ELF file or none that is known. */
MUST_CHECK bool step_foreign_read(const uint8_t *head,
                                  size_t size,
                                  const char **architecture,
                                  const char **qemu);
