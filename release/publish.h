/*
 * Publishing a version: what is planned, and doing it.
 *
 *     content, by digest    ->  read back, blob by blob
 *     the version's tag     ->  made once; of several who try, one succeeds
 *     the moving tags       ->  each read back
 *     the history's entry
 *
 * In this order, so that a run that ends anywhere leaves nothing wrong behind, and the same
 * run again goes on where the first ended: a tag is never missing, and never points to what
 * is not whole. A version that exists with another digest is refused; nothing overwrites
 * it.
 *
 * A moving tag belongs to the newest version of its line. Of two releases at once the one
 * of the older version either sees that the newer one exists and leaves the tag, or finds
 * out after it moved the tag, and hands it over.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/descriptor.h"
#include "release/log.h"
#include "release/place.h"
#include "release/tags.h"
#include "release/version.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum release_action {
    RELEASE_MAKE,  /* there is no such tag */
    RELEASE_MOVE,  /* it points elsewhere */
    RELEASE_KEEP,  /* it points there already */
    RELEASE_LEAVE, /* it is not this release's: see `owner` */
};
const char *release_action_name(enum release_action action); /* "make", "move", ... */

struct release_step {
    char *tag;
    char *template; /* of a moving tag; NULL: the version's own */
    enum release_action action;
    struct digest from; /* where it points before; not set: nowhere */
    char *owner; /* RELEASE_LEAVE: the newer version whose tag it is; NULL: the release was
                    completed before, and the tag has been moved on since */
};

struct release_plan {
    struct release_step *steps; /* the version's first */
    size_t count;
    size_t capacity;
    struct release_names tags; /* of the repository, when they were last asked for */
    struct release_log log;
    bool is_recorded; /* this very release was completed before */
};
void release_plan_release(struct release_plan *p); /* idempotent; for CLEANUP */
/* Is there anything to be done? */
bool release_plan_is_done(const struct release_plan *p);

struct release_request {
    struct release_place *place;
    const struct release_version *version;
    const struct release_names *moves; /* templates of moving tags */
    struct digest digest;              /* what is released */
    bool is_backport;                  /* may be older than the newest of its line */
    const char *who;
    const char *command;           /* "release", "promote" */
    const char *message;           /* or NULL */
    const char *source;            /* or NULL */
    const struct doc *annotations; /* of the history's entry, or NULL */
    const atomic_bool *cancelled;  /* or NULL */
    /* Brings what `digest` names into the repository, under its digest. */
    int (*bring)(void *context, struct error *err);
    void *context;
};

/* Asks and changes nothing. ERROR_EXISTS: the version is another image, both digests in the
 * message; ERROR_INVALID: it is older than another of its line. */
MUST_CHECK int release_plan_make(const struct release_request *r,
                                 struct release_plan *out,
                                 struct error *err);
/* Does it; afterwards the plan tells what was done. ERROR_EXISTS as above. */
MUST_CHECK int release_plan_run(const struct release_request *r,
                                struct release_plan *plan,
                                struct error *err);
