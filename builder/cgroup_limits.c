#include "builder/cgroup.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The list while it grows. */
struct settings {
    struct build_cgroup_setting *items;
    size_t count;
    enum build_cgroup_controller controller;
};

static struct build_cgroup_setting *add(struct settings *s, const char *file)
{
    struct build_cgroup_setting *one = &s->items[s->count++];

    *one = (struct build_cgroup_setting){.controller = s->controller, .file = file};
    return one;
}

static struct build_cgroup_setting *add_number(struct settings *s,
                                               const char *file,
                                               uint64_t number)
{
    struct build_cgroup_setting *one = add(s, file);

    snprintf(one->value, sizeof one->value, "%ju", (uintmax_t)number);
    return one;
}

/* As docker: without a word on swap, as much of it as memory. */
static void add_memory(struct settings *s, const struct build_resources *r, int version)
{
    const uint64_t both = r->memory_swap > 0 ? (uint64_t)r->memory_swap : 2 * r->memory;
    struct build_cgroup_setting *swap;

    if (r->memory > 0)
        add_number(s, version == 1 ? "memory.limit_in_bytes" : "memory.max", r->memory);
    if (r->memory_swap < 0) {
        swap = add(s, version == 1 ? "memory.memsw.limit_in_bytes" : "memory.swap.max");
        snprintf(swap->value, sizeof swap->value, "%s", version == 1 ? "-1" : "max");
    } else if (version == 1) {
        swap = add_number(s, "memory.memsw.limit_in_bytes", both);
    } else {
        swap = add_number(s, "memory.swap.max", both - r->memory);
    }
    /* A kernel without accounting of swap has no such file; nor has one without swap. */
    swap->optional = r->memory_swap <= 0;
}

/* cgroup-v2: shares of 2 to 262144 become weights of 1 to 10000, as runc and systemd do. */
static uint64_t weight_of(uint64_t shares)
{
    return 1 + (shares - 2) * 9999 / 262142;
}

static void add_cpu(struct settings *s, const struct build_resources *r, int version)
{
    const uint64_t period =
        r->cpu_period_us ? r->cpu_period_us : (uint64_t)BUILD_CPU_PERIOD_DEFAULT;

    if (r->cpu_shares > 0 && version == 1)
        add_number(s, "cpu.shares", r->cpu_shares);
    else if (r->cpu_shares > 0)
        add_number(s, "cpu.weight", weight_of(r->cpu_shares));
    if (r->cpu_quota_us == 0 && r->cpu_period_us == 0)
        return;
    if (version == 1) {
        add_number(s, "cpu.cfs_period_us", period);
        if (r->cpu_quota_us > 0)
            add_number(s, "cpu.cfs_quota_us", r->cpu_quota_us);
        return;
    }
    struct build_cgroup_setting *max = add(s, "cpu.max");
    if (r->cpu_quota_us > 0)
        snprintf(max->value, sizeof max->value, "%ju %ju", (uintmax_t)r->cpu_quota_us,
                 (uintmax_t)period);
    else
        snprintf(max->value, sizeof max->value, "max %ju", (uintmax_t)period);
}

size_t build_cgroup_settings(const struct build_resources *r,
                             enum build_cgroup_controller c,
                             int version,
                             struct build_cgroup_setting out[BUILD_CGROUP_SETTINGS_MAX])
{
    struct settings s = {.items = out, .controller = c};

    switch (c) {
    case BUILD_CGROUP_MEMORY:
        if (r->memory > 0 || r->memory_swap != 0)
            add_memory(&s, r, version);
        break;
    case BUILD_CGROUP_CPU:
        add_cpu(&s, r, version);
        break;
    case BUILD_CGROUP_CPUSET:
        if (r->cpuset_cpus)
            add(&s, "cpuset.cpus")->text = r->cpuset_cpus;
        if (r->cpuset_mems)
            add(&s, "cpuset.mems")->text = r->cpuset_mems;
        break;
    case BUILD_CGROUP_PIDS:
        if (r->pids > 0)
            add_number(&s, "pids.max", r->pids);
        break;
    case BUILD_CGROUP_CONTROLLERS:
        break;
    }
    return s.count;
}

char *build_cgroup_parent_path(const char *parent)
{
    CLEANUP(buf_release) struct buf path = BUF_INIT(LIMIT_PATH_SIZE);

    if (strchr(parent, '/') || !view_ends(view_of(parent), ".slice"))
        return path_clean_rooted(view_of(parent));
    for (const char *dash = strchr(parent, '-'); dash; dash = strchr(dash + 1, '-'))
        buf_printf(&path, "/%.*s.slice", (int)(dash - parent), parent);
    buf_printf(&path, "/%s", parent);
    return base_strdup(buf_text(&path));
}
