/*
 * File modes as COPY --chmod takes them: octal up to 07777, or chmod(1)'s symbolic form
 * "u=rwX,go=rX".
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

/* ERROR_INVALID says what is wrong with it. */
MUST_CHECK int build_mode_check(struct view text, struct error *err);
/* Is it the octal form? */
bool build_mode_octal(struct view text, uint32_t *mode);
/* The mode that a file of `mode` gets; `text` was checked. */
uint32_t build_mode_apply(struct view text, uint32_t mode, bool is_dir);
