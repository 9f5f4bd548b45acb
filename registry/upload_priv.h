/*
 * The inside of an upload: its state and what its parts do for each other. For
 * registry/upload*.c.
 */
#pragma once

#include "registry/client_priv.h"
#include "registry/meter.h"

#define UPLOAD_CHUNK_SIZE ((uint64_t)8 << 20)

enum upload_state {
    UPLOAD_BEGIN, /* no session: POST -> WHOLE, CHUNK or DONE (mounted) */
    UPLOAD_WHOLE, /* session: PUT with the body -> DONE, or after a 413 BEGIN with chunks */
    UPLOAD_CHUNK, /* session, `offset` bytes are there: PATCH -> CHUNK or FINISH */
    UPLOAD_STATUS, /* something broke off, or an earlier process did: GET -> CHUNK, FINISH,
                      or BEGIN if the registry has forgotten the session, or DONE */
    UPLOAD_FINISH, /* all bytes are there: PUT without a body -> DONE */
    UPLOAD_DONE,
};

struct upload {
    struct registry_client *client;
    const struct registry_reference *repository;
    const struct descriptor *desc;
    const struct registry_http_body *body;
    const struct registry_upload_memory *memory; /* or NULL */
    const char *mount_from;
    uint64_t chunk_size; /* 0: the whole, or all that is left, in one piece */
    enum upload_state state;
    char *location;  /* of the session; NULL in UPLOAD_BEGIN */
    uint64_t offset; /* bytes that the registry has, in chunks */
    uint64_t best;   /* the largest offset that was ever seen */
    bool resumed;    /* part of what the session holds came before a cut */
    uint64_t min_chunk_size;
    enum registry_upload_result result;
    struct registry_meter meter;
    struct registry_http_response response;
};

void upload_enter(struct upload *up, enum upload_state next);
/* Takes the session's next address from the answer, and has it remembered. */
MUST_CHECK int upload_take_location(struct upload *up, struct error *err);
/* An answer that was not expected. Returns -1. */
int upload_unexpected(struct upload *up,
                      const struct registry_call *call,
                      struct error *err);
/* Progress of a call; the context is the upload. */
void upload_on_sent(void *context, uint64_t sent, uint64_t received);

/* upload_chunk.c */

MUST_CHECK int upload_step_chunk(struct upload *up, struct error *err);
MUST_CHECK int upload_step_status(struct upload *up, struct error *err);
