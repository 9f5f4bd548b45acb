/*
 * A step's specification becomes a plan: everything that can be decided is decided here, in
 * cooper, and written down as operations (op.h). Private to builder/sandbox.
 */
#pragma once

#include "builder/sandbox/host.h"
#include "builder/sandbox/op.h"
#include "builder/sandbox/sandbox.h"

#include "base/buf.h"

struct sandbox_plain;

struct sandbox_plan {
    struct buf bytes; /* operations, then texts, contents, tables */
    struct sandbox_op *ops;
    size_t op_count;
    size_t op_room;
    int *slots; /* descriptors, borrowed from the specification */
    size_t slot_count;
    size_t slot_room;
    uint64_t clone_flags;
};

/*
 * With root.owners in the specification `notify_socket` is where the child sends its
 * listener (notify.h); borrowed until the plan was sent.
 *
 * Ownership: the caller's, for sandbox_plan_release, also after a failure.
 * Errors:    ERROR_INVALID, ERROR_LIMIT; ERROR_UNSUPPORTED from the filter.
 */
MUST_CHECK int sandbox_plan_make(struct sandbox_plan *plan,
                                 const struct sandbox_spec *spec,
                                 const struct sandbox_host *host,
                                 int notify_socket,
                                 struct error *err);
/* The same where nothing can be shut in (plain.h): `plain` tells what is to be executed. */
MUST_CHECK int sandbox_plan_make_plain(struct sandbox_plan *plan,
                                       const struct sandbox_spec *spec,
                                       const struct sandbox_plain *plain,
                                       int notify_socket,
                                       struct error *err);
/* The same for a service. */
MUST_CHECK int sandbox_plan_make_service(struct sandbox_plan *plan,
                                         const struct sandbox_service *service,
                                         struct error *err);
void sandbox_plan_release(struct sandbox_plan *plan);

/* Turns a failed operation of the plan into an error; returns -1. */
int sandbox_plan_explain(const struct sandbox_plan *plan,
                         const struct sandbox_message *failure,
                         struct error *err);
