/*
 * Base 64 (RFC 4648 section 4) for credentials: no allocation that is not wiped by its
 * owner.
 */
#pragma once

#include "base/view.h"

#include <stddef.h>

/* malloc'ed text with padding. */
char *registry_base64_encode(struct view data);
/* malloc'ed and NUL-terminated (not counted in *size); NULL unless `text` is base 64, whose
 * padding may be missing. */
char *registry_base64_decode(struct view text, size_t *size);
