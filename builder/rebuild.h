/*
 * A build from the record of an earlier one (builder/provenance.h): the same Dockerfile and
 * options, base images by their digests, every step run anew.
 *
 *     build_rebuild_open -> build_run with its request -> build_rebuild_release
 *
 * What the record does not hold comes from outside: the context's files, secrets, agents,
 * certificates, limits, devices, and whatever steps fetch.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"

#include <stdbool.h>

struct build_rebuild {
    struct build_request request; /* further options may be filled in */
    const char *context;          /* as recorded; NULL: none */
    /* What the request borrows from: */
    struct build_pair *args, *contexts, *labels, *hosts;
    struct build_annotation *annotations;
    struct build_pin *pins;
    const char **platforms;
    struct build_output output;
    struct build_cache_to cache_to;
};
void build_rebuild_release(struct build_rebuild *r); /* idempotent */

/*
 * `record` is borrowed as long as *out is used. `context` takes the place of the recorded
 * one; may be NULL. Errors: ERROR_CORRUPT: no such record; ERROR_UNSUPPORTED: made by
 * another version's kind of build; ERROR_NOT_FOUND: the context was standard input, or is
 * not there any more.
 */
MUST_CHECK int build_rebuild_open(const struct doc *record,
                                  const char *context,
                                  struct build_rebuild *out,
                                  struct error *err);
