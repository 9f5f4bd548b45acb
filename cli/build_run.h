/*
 * The options of build that RUN steps see: networks, hosts, secrets, agents, devices,
 * certificates, limits, and what a Dockerfile is allowed. Read as docker and buildx read
 * them. Errors are ERROR_USAGE and name the flag.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "cli/args.h"
#include "cli/build_value.h"

#include <stddef.h>
#include <stdint.h>

/* As given; filled in by cli/args.h. */
struct cli_run_options {
    struct cli_texts hosts;
    struct cli_texts allow;
    struct cli_texts secrets;
    struct cli_texts ssh;
    struct cli_texts ulimits;
    struct cli_texts resources;
    struct cli_texts devices;
    struct cli_texts ca;
    const char *network;
    const char *isolation; /* the session's: cli_session_isolate */
    const char *cgroup_parent;
    const char *memory;
    const char *memory_swap;
    const char *cpu_shares;
    const char *cpu_period;
    const char *cpu_quota;
    const char *cpuset_cpus;
    const char *cpuset_mems;
    uint64_t shm_size;
};

struct cli_agents {
    struct build_ssh *items; /* texts owned */
    size_t count;
    size_t capacity;
};
void cli_agents_release(struct cli_agents *a); /* idempotent */
/* --ssh default, ID, ID=SOCKET, ID=KEY[,KEY]; without a path $SSH_AUTH_SOCK. */
MUST_CHECK int cli_build_agents(const struct cli_texts *from,
                                struct cli_agents *out,
                                struct error *err);

/* One limit: "memory", "512m". Texts are borrowed. */
MUST_CHECK int cli_resource_set(struct build_resources *r,
                                const char *key,
                                const char *value,
                                struct error *err);

/* What the request borrows from. */
struct cli_run_values {
    struct cli_pairs hosts;
    struct cli_secrets secrets;
    struct cli_agents agents;
    struct cli_pairs allowed_devices;
    struct cli_pairs resources; /* those of --resource, cut into keys and values */
    struct build_ulimit *ulimits;
    struct buf ca;
};
void cli_run_values_release(struct cli_run_values *v); /* idempotent */

/* `o` is borrowed by the request as well. */
MUST_CHECK int cli_run_read(const struct cli_run_options *o,
                            struct cli_run_values *v,
                            struct build_request *r,
                            struct error *err);
