/*
 * What the RUN steps of one build share: their network, the ssh agents, trusted
 * certificates, cgroups, devices. Each is made when a step first needs it and ends with the
 * build. May be shared between threads. For builder/solve.c and builder/step_*.c.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"

struct build_cgroups;
struct build_cdi;
struct build_network;
struct build_ssh_agents;
struct step_shared;

/* Makes nothing yet. All is borrowed; env->sandbox may be NULL: then no step runs. */
struct step_shared *step_shared_new(const struct build_environment *env,
                                    const struct build_request *request);
void step_shared_free(struct step_shared *s); /* NULL is fine */

/* Borrowed. */
struct build_network *step_shared_network(struct step_shared *s);
struct build_ssh_agents *step_shared_agents(struct step_shared *s);
struct build_cgroups *step_shared_cgroups(struct step_shared *s);
struct build_cdi *step_shared_cdi(struct step_shared *s);

/* Tells the user, but nothing that was told before in this build. */
void step_shared_note(struct step_shared *s, const char *text);
