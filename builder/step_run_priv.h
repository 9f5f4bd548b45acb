/*
 * A RUN step while it is prepared and runs; what step_run.c shares with those that see to
 * its environment, mounts, network, devices. Private to those.
 */
#pragma once

#include "builder/cache_mount.h"
#include "builder/cgroup.h"
#include "builder/network.h"
#include "builder/owner.h"
#include "builder/sandbox/sandbox.h"
#include "builder/solve_priv.h"
#include "cas/snapshot.h"

#include "base/buf.h"

struct step_output;

/* Everything that a step holds while it runs. */
struct step_run {
    struct solve_node *n;
    const struct build_run_op *op;
    struct cas_snapshot *root;
    struct cas_snapshot **snapshots;  /* per mount; NULL where it has none */
    struct build_cache_mount *caches; /* per mount */
    struct buf *secrets;              /* per mount */
    struct sandbox_mount *mounts;
    size_t mount_count;
    size_t mount_room;
    int *kept; /* descriptors that mounts borrow */
    size_t kept_count;
    size_t kept_room;
    char *script_target;
    char **env; /* owned texts, then NULL */
    size_t env_count;
    size_t env_room;
    int *agents; /* connections, one for each of the sockets; -1: handed on */
    size_t agent_count;
    struct build_ssh_forwarder **forwarders;
    struct buf bundle; /* of certificates */
    char **bundles;    /* where the image has one */
    size_t bundle_count;
    struct build_cgroup cgroup;
    struct sandbox_rlimit *rlimits;
    struct build_process_user user;
    struct build_network_way network;
    struct buf hosts;
    struct step_output *output; /* while it runs */
};

/* Adds a mount; its target stays the caller's. */
void step_run_mount(struct step_run *r, struct sandbox_mount mount);
/* The descriptor is closed when the step has ended. */
void step_run_keep(struct step_run *r, int fd);

/* The life of a step: init; prepare opens all that it needs (the root too, unless there is
 * one already); spec says what to run, borrowing from it; release. */
void step_run_init(struct step_run *r, struct solve_node *n);
MUST_CHECK int step_run_prepare(struct step_run *r, struct error *err);
struct sandbox_spec step_run_spec(const struct step_run *r);
void step_run_release(struct step_run *r);

/* Is the build to end? For whoever waits; `context` is the step_run. */
bool step_run_is_cancelled(void *context);

/* step_env.c: the environment as the instruction has it, then single variables. */
void step_env_init(struct step_run *r);
void step_env_set(struct step_run *r, const char *name, const char *value);
bool step_env_has(const struct step_run *r, const char *name);

/* step_mounts.c: opens everything that is mounted, in the order of the instruction; locks
 * of caches first. */
MUST_CHECK int step_mounts_open(struct step_run *r, struct error *err);

/* step_ssh.c: connects a mount of type ssh to its agent, if there is one; */
MUST_CHECK int step_ssh_add(struct step_run *r,
                            const struct build_mount *m,
                            struct error *err);
/* serves all sockets of the step, which was spawned; ends that. */
MUST_CHECK int step_ssh_start(struct step_run *r,
                              struct sandbox_process *p,
                              struct error *err);
void step_ssh_end(struct step_run *r);

/* step_devices.c: finds the devices, checks the rights, makes the edits. */
MUST_CHECK int step_devices_open(struct step_run *r, struct error *err);

/* step_trust.c: certificates of --ca. */
MUST_CHECK int step_trust_open(struct step_run *r, struct error *err);

/* step_limits.c: ulimits, telling of those that cannot be had, and cgroups. */
MUST_CHECK int step_limits_open(struct step_run *r, struct error *err);

/* step_network.c: waits for the step's network, and writes its /etc/hosts. */
MUST_CHECK int step_network_open(struct step_run *r, struct error *err);
