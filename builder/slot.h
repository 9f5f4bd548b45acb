/*
 * What was built of a Dockerfile the last time: the descriptions of its steps, kept in
 * steps/HEX of the store under a name that knows nothing of the content (where the context
 * and the Dockerfile are, target, platform). Read only when a step misses; written only
 * when something is not as before.
 *
 * A note's first line is a fingerprint of the build, so that a build that changed nothing
 * reads 65 bytes and writes none. The rest is a document:
 *
 *     {"version":2,"salt":"HEX","steps":[{...,"definition":D,"selection":D,"layer":D}]}
 *
 * Spec: none; another version counts as absent.
 */
#pragma once

#include "base/doc.h"
#include "base/macros.h"
#include "builder/build.h"
#include "cas/digest.h"

#include <stdbool.h>

#define BUILD_SLOT_VERSION 2

struct build_slot_path {
    char text[sizeof "steps/" + sizeof(struct digest_text)];
};

/* Where the build of this request has its note. */
struct build_slot_path build_slot_path(const struct build_request *request);

/* The document, the caller's; NULL where there is none that can be used. */
struct doc *build_slot_read(struct cas_store *store, const struct build_slot_path *path);

/* Is the note there, with this fingerprint? */
bool build_slot_is(struct cas_store *store,
                   const struct build_slot_path *path,
                   const struct digest *fingerprint);

/* Writes `d`; what fails is only logged: nothing depends on the note. */
void build_slot_write(struct cas_store *store,
                      const struct build_slot_path *path,
                      const struct digest *fingerprint,
                      const struct doc *d);
