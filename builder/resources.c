#include "builder/resources.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
    const char *name;
    int resource;
} ulimits[] = {
    {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},         {"fsize", RLIMIT_FSIZE},
    {"locks", RLIMIT_LOCKS},       {"memlock", RLIMIT_MEMLOCK},
    {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE},     {"nproc", RLIMIT_NPROC},
    {"rss", RLIMIT_RSS},           {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK},
};

bool build_ulimit_find(struct view name, int *resource)
{
    for (size_t i = 0; i < ARRAY_COUNT(ulimits); i++) {
        if (view_eq_text(name, ulimits[i].name)) {
            *resource = ulimits[i].resource;
            return true;
        }
    }
    return false;
}

const char *build_ulimit_name(int resource)
{
    for (size_t i = 0; i < ARRAY_COUNT(ulimits); i++)
        if (ulimits[i].resource == resource)
            return ulimits[i].name;
    return "unknown";
}

static bool limit_parse(struct view text, uint64_t *out)
{
    if (view_eq_text(text, "-1") || view_eq_text(text, "unlimited")) {
        *out = RLIM_INFINITY;
        return true;
    }
    return view_to_u64(text, out);
}

int build_ulimit_parse(const char *text, struct build_ulimit *out, struct error *err)
{
    struct view name, value, soft, hard;

    if (!view_cut(view_of(text), '=', &name, &value))
        return error_set(err, ERROR_INVALID, "'%s' is not NAME=SOFT[:HARD]", text);
    if (!build_ulimit_find(name, &out->resource))
        return error_set(err, ERROR_INVALID, "there is no limit '%.*s'", VIEW_ARG(name));
    if (!view_cut(value, ':', &soft, &hard))
        hard = soft;
    if (!limit_parse(soft, &out->soft) || !limit_parse(hard, &out->hard))
        return error_set(err, ERROR_INVALID, "'%.*s': a limit is a number, -1 or unlimited",
                         VIEW_ARG(value));
    if (out->soft > out->hard)
        return error_set(err, ERROR_INVALID, "'%s': the soft limit is above the hard one",
                         text);
    return 0;
}

bool build_resources_given(const struct build_resources *r)
{
    return r->memory > 0 || r->memory_swap != 0 || r->cpu_shares > 0 ||
           r->cpu_period_us > 0 || r->cpu_quota_us > 0 || r->cpuset_cpus ||
           r->cpuset_mems || r->pids > 0;
}

/* "0-2,4": all that may stand in the kernel's lists. */
static bool list_valid(const char *list)
{
    return !list || (*list && list[strspn(list, "0123456789-,")] == '\0');
}

int build_resources_check(const struct build_resources *r, struct error *err)
{
    /* runc and docker: less than 6 MiB starts no process. */
    static const uint64_t memory_min = UINT64_C(6) << 20;

    if (r->memory > 0 && r->memory < memory_min)
        return error_set(err, ERROR_INVALID, "memory: at least 6m");
    if (r->memory_swap > 0 && r->memory == 0)
        return error_set(err, ERROR_INVALID,
                         "memory-swap is memory and swap together: give memory too");
    if (r->memory_swap > 0 && (uint64_t)r->memory_swap < r->memory)
        return error_set(err, ERROR_INVALID,
                         "memory-swap is memory and swap together: not less than memory");
    if (r->cpu_shares == 1 || r->cpu_shares > 262144)
        return error_set(err, ERROR_INVALID, "cpu-shares: 2 to 262144");
    if (r->cpu_period_us > 0 && (r->cpu_period_us < 1000 || r->cpu_period_us > 1000000))
        return error_set(err, ERROR_INVALID, "cpu-period: 1000 to 1000000 microseconds");
    if (r->cpu_quota_us > 0 && r->cpu_quota_us < 1000)
        return error_set(err, ERROR_INVALID, "cpu-quota: at least 1000 microseconds");
    if (!list_valid(r->cpuset_cpus) || !list_valid(r->cpuset_mems))
        return error_set(err, ERROR_INVALID, "cpuset: a list such as 0-2,4");
    return 0;
}
