/*
 * The session of an upload as the store remembers it: the push of a large blob whose
 * process was killed goes on where the registry stopped.
 *
 * A note in uploads/, named after registry, repository and digest; it is held by a claim
 * while somebody uploads, so that two processes never write to one session. What it says is
 * a hint: the registry knows how far it got, and checks the digest in the end.
 */
#pragma once

#include "cas/descriptor.h"
#include "cas/store.h"
#include "registry/client.h"
#include "registry/reference.h"

struct upload_session;

/* NULL: the blob is too small to be worth it, or another process is at it. Never fails: to
 * begin anew always works. */
struct upload_session *upload_session_new(struct cas_store *store,
                                          const struct registry_reference *repository,
                                          const struct descriptor *blob);
/* For registry_upload_options; borrowed. NULL for NULL. */
const struct registry_upload_memory *upload_session_memory(const struct upload_session *s);
void upload_session_freep(struct upload_session **s);
