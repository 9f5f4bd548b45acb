/*
 * One entry of a repository's history: who moved which tags from where to where, when, by
 * which command, and why. An entry is written when the tags have been moved and read back.
 *
 * Entries are kept in the repository, each an artifact of the type RELEASE_LOG_TYPE that
 * refers to the repository's anchor (release/log.h), so that a list of referrers tells the
 * whole history: the entry's JSON is an annotation beside being the artifact's file.
 */
#pragma once

#include "base/buf.h"
#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/digest.h"

#include <stddef.h>
#include <stdint.h>

#define RELEASE_LOG_TYPE   "application/vnd.cooper.release.log.v1+json"
#define RELEASE_RECORD_KEY "vnd.cooper.release.record"

struct release_move {
    char *tag;
    struct digest from; /* not set: there was no such tag */
    struct digest to;
};

/* A value that owns its texts. */
struct release_record {
    struct digest id; /* of the artifact; not set before it is written */
    int64_t sequence; /* one more than the highest that the writer saw */
    int64_t seconds;  /* since 1970, when the tags had been moved */
    uint32_t nanoseconds;
    char *who;
    char *command;           /* "release", "rollback", "promote" */
    char *version;           /* the version's tag, or NULL */
    char *message;           /* why, or NULL */
    char *source;            /* what was released or promoted: a reference; or NULL */
    struct doc *annotations; /* org.opencontainers.image....; or NULL */
    struct release_move *moves;
    size_t move_count;
    size_t move_capacity;
};

void release_record_release(struct release_record *r); /* idempotent; for CLEANUP */
void release_record_stamp(struct release_record *r);   /* the time is now */
void release_record_add(struct release_record *r,
                        const char *tag,
                        const struct digest *from,
                        const struct digest *to);
/* The move of this tag; NULL if the entry speaks of it nowhere. */
const struct release_move *release_record_find(const struct release_record *r,
                                               const char *tag);

/* "2026-11-23T13:00:00.000000000Z"; malloc'ed. */
char *release_record_time(const struct release_record *r);

struct doc *release_record_doc(const struct release_record *r);
/* What another machine wrote. ERROR_INVALID says what is wrong; unknown members are passed
 * over, so that newer versions may say more. */
MUST_CHECK int release_record_parse(struct view json,
                                    struct release_record *out,
                                    struct error *err);

/* The order of a history: < 0 if `a` came before `b`. By sequence, which every writer
 * counts on from what it sees; among those written at once by time. */
int release_record_compare(const struct release_record *a, const struct release_record *b);
