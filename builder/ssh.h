/*
 * ssh agents that steps may use: RUN --mount=type=ssh. The step sees a socket; what it asks
 * is passed on to the user's agent, or to one of our own that holds given key files, for as
 * long as the step runs. It may ask for the list of keys and for signatures; whatever else
 * (adding, removing, locking, extensions) is answered with a failure, as BuildKit does.
 *
 *     step --socket--> forwarder (a thread) --socket--> agent
 *
 * Spec: draft-miller-ssh-agent.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sandbox_helper;

/* The agents of one build. May be shared between threads. */
struct build_ssh_agents;
/* All is borrowed. */
struct build_ssh_agents *build_ssh_agents_new(const struct build_ssh *list,
                                              size_t count,
                                              struct cas_store *store,
                                              struct sandbox_helper *helper);
void build_ssh_agents_free(struct build_ssh_agents *a); /* NULL is fine */
/* Was an agent of this id given? */
bool build_ssh_agents_has(const struct build_ssh_agents *a, const char *id);

/*
 * Opens a connection to the agent `id`; for key files, first starts an ssh-agent that holds
 * them. Errors: ERROR_NOT_FOUND if there is no socket or key; ERROR_UNSUPPORTED if
 * ssh-agent is not installed; ERROR_FAILED with what ssh-add says (a key with a
 * passphrase).
 */
MUST_CHECK int build_ssh_connect(struct build_ssh_agents *a,
                                 const char *id,
                                 struct error *err);

/* Serves one socket of a step. */
struct build_ssh_forwarder;
/* Consumes both descriptors: what listens, and the connection to the agent. */
MUST_CHECK struct build_ssh_forwarder *build_ssh_forward(int listener,
                                                         int agent,
                                                         struct error *err);
/* Ends it: waits for the thread, closes everything. NULL is fine. */
void build_ssh_forwarder_stop(struct build_ssh_forwarder *f);

/* May a step ask this? The first byte of a request. */
bool build_ssh_may_ask(uint8_t type);
