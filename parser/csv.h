/*
 * One line of comma-separated values, as --mount and --device are written: fields may be in
 * double quotes, within which "" is a quote. Private to parser/.
 * Spec: RFC 4180 as Go's encoding/csv reads it (BuildKit uses go-csvvalue).
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* Reads the field at *at; its text is in *field, which lies in `line` or in `space`. *more
 * says whether another field follows. ERROR_INVALID: a quote where none may be. */
MUST_CHECK int dockerfile_csv_field(struct view line,
                                    size_t *at,
                                    struct buf *space,
                                    struct view *field,
                                    bool *more,
                                    struct error *err);
