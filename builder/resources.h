/*
 * What a RUN step may use of the machine: ulimits (setrlimit) and cgroups, as the command
 * line gives them. Plain values; zero means no limit everywhere.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --ulimit NAME=SOFT[:HARD] */
struct build_ulimit {
    int resource;  /* RLIMIT_NOFILE, ... */
    uint64_t soft; /* RLIM_INFINITY: none */
    uint64_t hard;
};

/* The names that docker knows: "nofile", "nproc", ...; false for others. */
bool build_ulimit_find(struct view name, int *resource);
const char *build_ulimit_name(int resource);
/* Reads "nofile=1024:2048"; without the hard limit it is the soft one; -1 and "unlimited"
 * are none. ERROR_INVALID says what is wrong. */
MUST_CHECK int build_ulimit_parse(const char *text,
                                  struct build_ulimit *out,
                                  struct error *err);

enum { BUILD_CPU_PERIOD_DEFAULT = 100000 }; /* microseconds, as the kernel's */

struct build_resources {
    uint64_t memory;        /* bytes */
    int64_t memory_swap;    /* memory and swap together, bytes; -1: any amount of swap */
    uint64_t cpu_shares;    /* 2 to 262144; 1024 is everybody's */
    uint64_t cpu_period_us; /* 0: BUILD_CPU_PERIOD_DEFAULT, if there is a quota */
    uint64_t cpu_quota_us;
    const char *cpuset_cpus; /* "0-2,4"; NULL: all */
    const char *cpuset_mems;
    uint64_t pids;
};

/* Is there any limit that needs a cgroup? */
bool build_resources_given(const struct build_resources *r);
/* Checks what the kernel would only refuse later. ERROR_INVALID. */
MUST_CHECK int build_resources_check(const struct build_resources *r, struct error *err);
