/*
 * A RUN step while it is prepared and runs; what step_run.c, step_mounts.c and step_env.c
 * share. Private to those.
 */
#pragma once

#include "builder/cache_mount.h"
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
    char *script_target;
    char **env; /* owned texts, then NULL */
    size_t env_count;
    struct build_process_user user;
    struct buf hosts;
    struct buf resolv;
    struct step_output *output; /* while it runs */
};

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
