/*
 * Values of cli/build_run.h that have a form of their own: agents, limits.
 */
#include "cli/build_run.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <unistd.h>

/* --- Agents --------------------------------------------------------------------------- */

void cli_agents_release(struct cli_agents *a)
{
    for (size_t i = 0; i < a->count; i++) {
        union {
            const char *const *in;
            char **out;
        } paths = {a->items[i].paths};

        for (size_t k = 0; k < a->items[i].path_count; k++)
            free(paths.out[k]);
        free(paths.out);
        base_free_text(a->items[i].id);
    }
    free(a->items);
    *a = (struct cli_agents){0};
}

/* ssh-add runs elsewhere. */
static char *absolute(struct view path)
{
    char *const here = getcwd(NULL, 0);
    char *const joined = path_join(here != NULL ? view_of(here) : VIEW_LIT("/"), path);

    free(here);
    return joined;
}

static int agent_read(const char *text, struct cli_agents *out, struct error *err)
{
    struct view id;
    struct view rest;
    struct build_ssh *one;
    char **paths;

    if (!view_cut(view_of(text), '=', &id, &rest) || rest.size == 0)
        rest = view_of(getenv("SSH_AUTH_SOCK"));
    if (rest.size == 0)
        return error_set(err, ERROR_USAGE,
                         "there is no $SSH_AUTH_SOCK: start an agent (eval $(ssh-agent)), "
                         "or name its socket or a key: --ssh %.*s=PATH",
                         VIEW_ARG(id));
    for (size_t i = 0; i < out->count; i++) {
        if (view_eq_text(id, out->items[i].id))
            return error_set(err, ERROR_USAGE, "two agents with the id '%.*s'",
                             VIEW_ARG(id));
    }
    out->items = base_grow(out->items, out->count, &out->capacity, sizeof out->items[0]);
    one = &out->items[out->count++];
    *one = (struct build_ssh){.id = view_dup(id)};
    paths = base_alloc_array(rest.size + 1, sizeof(char *));
    while (rest.size > 0) {
        struct view path;

        view_cut(rest, ',', &path, &rest);
        if (path.size > 0)
            paths[one->path_count++] = absolute(path);
    }
    one->paths = (const char *const *)paths;
    return 0;
}

int cli_build_agents(const struct cli_texts *from,
                     struct cli_agents *out,
                     struct error *err)
{
    for (size_t i = 0; i < from->count; i++) {
        if (agent_read(from->items[i], out, err) < 0)
            return error_wrap(err, "--ssh %s", from->items[i]);
    }
    return 0;
}

/* --- Limits --------------------------------------------------------------------------- */

static int number_read(const char *text, uint64_t *out, struct error *err)
{
    if (!view_to_u64(view_of(text), out) || *out == 0 || *out > INT64_MAX)
        return error_set(err, ERROR_USAGE, "'%s' is not a number above 0", text);
    return 0;
}

static int bytes_read(const char *text, uint64_t *out, struct error *err)
{
    unsigned long long bytes = 0;

    if (cli_bytes_parse(text, &bytes, err) < 0)
        return -1;
    if (bytes == 0 || bytes > INT64_MAX)
        return error_set(err, ERROR_USAGE, "'%s' is not a size above 0", text);
    *out = bytes;
    return 0;
}

static int swap_read(const char *text, int64_t *out, struct error *err)
{
    uint64_t bytes = 0;

    if (strcmp(text, "-1") == 0) {
        *out = -1;
        return 0;
    }
    if (bytes_read(text, &bytes, err) < 0)
        return -1;
    *out = (int64_t)bytes;
    return 0;
}

/* "1.5": so much of each period. */
static int cpus_read(const char *text, struct build_resources *r, struct error *err)
{
    struct view whole;
    struct view part;
    uint64_t n = 0;
    uint64_t quota = 0;

    view_cut(view_of(text), '.', &whole, &part);
    if ((whole.size > 0 && !view_to_u64(whole, &n)) || n > 100000 || part.size > 5 ||
        (whole.size == 0 && part.size == 0))
        return error_set(err, ERROR_USAGE, "'%s' is not a number of processors (1.5)",
                         text);
    quota = n * BUILD_CPU_PERIOD_DEFAULT;
    n = 0;
    if (part.size > 0 && !view_to_u64(part, &n))
        return error_set(err, ERROR_USAGE, "'%s' is not a number of processors (1.5)",
                         text);
    for (size_t i = part.size; i < 5; i++)
        n *= 10;
    r->cpu_quota_us = quota + n;
    r->cpu_period_us = BUILD_CPU_PERIOD_DEFAULT;
    return quota + n > 0 ? 0 : error_set(err, ERROR_USAGE, "no processor at all");
}

int cli_resource_set(struct build_resources *r,
                     const char *key,
                     const char *value,
                     struct error *err)
{
    if (strcmp(key, "memory") == 0)
        return bytes_read(value, &r->memory, err);
    if (strcmp(key, "memory-swap") == 0)
        return swap_read(value, &r->memory_swap, err);
    if (strcmp(key, "cpus") == 0)
        return cpus_read(value, r, err);
    if (strcmp(key, "cpu-shares") == 0)
        return number_read(value, &r->cpu_shares, err);
    if (strcmp(key, "cpu-period") == 0)
        return number_read(value, &r->cpu_period_us, err);
    if (strcmp(key, "cpu-quota") == 0)
        return number_read(value, &r->cpu_quota_us, err);
    if (strcmp(key, "pids") == 0)
        return number_read(value, &r->pids, err);
    if (strcmp(key, "cpuset-cpus") == 0)
        r->cpuset_cpus = value;
    else if (strcmp(key, "cpuset-mems") == 0)
        r->cpuset_mems = value;
    else
        return error_set(err, ERROR_USAGE,
                         "there is no limit '%s': memory, memory-swap, cpus, cpu-shares, "
                         "cpu-period, cpu-quota, cpuset-cpus, cpuset-mems, pids",
                         key);
    return 0;
}
