/*
 * Control groups that bound what a RUN step uses: one for each step, named cooper-RANDOM,
 * below the cgroup that cooper runs in (or --cgroup-parent), in whatever version of cgroups
 * has the controllers: v1, v2 or both beside each other, also delegated ones.
 *
 * Who uses a directory holds a flock on it; one without a holder was left by a process that
 * was killed, and goes when the next build makes its first. May be shared between threads.
 * Spec: the kernel's admin-guide/cgroup-v1 and cgroup-v2.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/resources.h"

#include <stdbool.h>
#include <stddef.h>

/* --- Where cgroups are (cgroup_find.c) --- */

enum build_cgroup_controller {
    BUILD_CGROUP_MEMORY,
    BUILD_CGROUP_CPU,
    BUILD_CGROUP_CPUSET,
    BUILD_CGROUP_PIDS,
    BUILD_CGROUP_CONTROLLERS, /* how many there are */
};
const char *build_cgroup_controller_name(enum build_cgroup_controller c); /* "memory" */

/* Where a controller's groups are made. */
struct build_cgroup_place {
    int version; /* 1, 2; 0: this machine does not have it */
    char *root;  /* the directory that --cgroup-parent counts from */
    char *own;   /* that of the group that cooper is in: root, or below it */
};

struct build_cgroup_places {
    struct build_cgroup_place of[BUILD_CGROUP_CONTROLLERS];
};

/* From the texts of /proc/self/mountinfo and /proc/self/cgroup, and of the
 * cgroup.controllers of the root of cgroup2 ("" if there is none). */
void build_cgroup_places_read(struct view mounts,
                              struct view groups,
                              struct view unified_controllers,
                              struct build_cgroup_places *out);
/* Those of this process. */
void build_cgroup_places_find(struct build_cgroup_places *out);
void build_cgroup_places_release(struct build_cgroup_places *p); /* idempotent */

/* --- What is written there (cgroup_limits.c) --- */

struct build_cgroup_setting {
    enum build_cgroup_controller controller;
    const char *file;
    char value[64];   /* a number or two */
    const char *text; /* instead of `value`, where not NULL; borrowed */
    bool optional;    /* not asked for: no error where the kernel does not have it */
};
enum { BUILD_CGROUP_SETTINGS_MAX = 12 };

/* What `r` means for a controller in this version; returns how many. */
size_t build_cgroup_settings(const struct build_resources *r,
                             enum build_cgroup_controller c,
                             int version,
                             struct build_cgroup_setting out[BUILD_CGROUP_SETTINGS_MAX]);
/* "system-x.slice" is "system.slice/system-x.slice", as systemd has it; others stay as they
 * are. malloc'ed. */
char *build_cgroup_parent_path(const char *parent);

/* --- The groups of a build (cgroup.c) --- */

struct build_cgroups;

/* `resources` and `parent` (may be NULL) are borrowed. */
struct build_cgroups *build_cgroups_new(const struct build_resources *resources,
                                        const char *parent);
void build_cgroups_free(struct build_cgroups *c); /* NULL is fine */

/* The groups of one step. */
struct build_cgroup {
    char *paths[BUILD_CGROUP_CONTROLLERS]; /* directories */
    int locks[BUILD_CGROUP_CONTROLLERS];   /* they, held */
    int procs[BUILD_CGROUP_CONTROLLERS];   /* their cgroup.procs, for the step to join */
    int versions[BUILD_CGROUP_CONTROLLERS];
    size_t count;
};

/*
 * Makes the groups of a step and sets their limits; none if no limit was asked for. Errors:
 * ERROR_UNSUPPORTED naming what this machine does not have or allow. `out` is the caller's,
 * for build_cgroup_end, in any case.
 */
MUST_CHECK int build_cgroups_step(struct build_cgroups *c,
                                  struct build_cgroup *out,
                                  struct error *err);
/* Did the kernel kill a process of the step for want of memory? */
bool build_cgroup_ran_out(const struct build_cgroup *g);
/* Removes them; no process may be left there. Idempotent. */
void build_cgroup_end(struct build_cgroup *g);
