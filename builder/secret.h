/*
 * The secrets of a build, by id, as --secret gives them.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"

#include <stdbool.h>

/* *found false: no secret has that id. Else its bytes are appended to `out`, which is the
 * caller's to wipe. */
MUST_CHECK int build_secret_find(const struct build_request *request,
                                 const char *id,
                                 bool *found,
                                 struct buf *out,
                                 struct error *err);
