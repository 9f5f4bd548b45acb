#include "builder/plan.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "builder/plan_priv.h"
#include "parser/suggest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Times are counted in nanoseconds in 64 bits: to the end of 2261. */
static const int64_t EPOCH_MAX = 9214646399;

static int read_build_args(struct planner *p, struct error *err)
{
    const struct build_request *r = p->request;

    for (size_t i = 0; i < r->arg_count; i++) {
        const char *value = r->args[i].value ? r->args[i].value : getenv(r->args[i].name);

        if (!*r->args[i].name)
            return error_set(err, ERROR_INVALID,
                             "a build argument has no name: write --build-arg NAME=VALUE");
        if (value)
            plan_env_set(&p->build_args, view_of(r->args[i].name), view_of(value));
    }
    return 0;
}

/* --build-arg SOURCE_DATE_EPOCH and the environment variable mean the same. */
static int read_epoch(struct planner *p, struct error *err)
{
    struct view value;
    uint64_t seconds;

    p->plan->epoch = p->request->epoch;
    if (plan_env_get(&p->build_args, VIEW_LIT("SOURCE_DATE_EPOCH"), &value)) {
        if (value.size == 0)
            return 0;
        if (!view_to_u64(value, &seconds))
            return error_set(
                err, ERROR_INVALID,
                "invalid SOURCE_DATE_EPOCH: %.*s: it counts seconds since 1970",
                VIEW_ARG(value));
        if (seconds > (uint64_t)EPOCH_MAX)
            return error_set(
                err, ERROR_INVALID,
                "invalid SOURCE_DATE_EPOCH: %.*s: it lies behind the year 2261",
                VIEW_ARG(value));
        p->plan->epoch = (int64_t)seconds;
    } else if (p->request->epoch > EPOCH_MAX) {
        return error_set(err, ERROR_INVALID,
                         "invalid SOURCE_DATE_EPOCH: %lld: it lies behind the year 2261",
                         (long long)p->request->epoch);
    } else if (p->request->epoch >= 0) {
        char *text = base_format("%lld", (long long)p->request->epoch);

        plan_env_set(&p->build_args, VIEW_LIT("SOURCE_DATE_EPOCH"), view_of(text));
        free(text);
    }
    return 0;
}

static int choose_platform(struct planner *p, struct error *err)
{
    p->build_platform = registry_platform_host();
    p->plan->platform = p->build_platform;
    if (p->platform &&
        registry_platform_parse(view_of(p->platform), &p->plan->platform, err) < 0)
        return error_wrap(err, "--platform %s", p->platform);
    return 0;
}

static struct plan_stage *find_target(const struct planner *p, struct error *err)
{
    const char **names;
    const char *near;
    size_t count = 0;

    if (!p->request->target || !*p->request->target)
        return p->stages[p->stage_count - 1];
    struct plan_stage *found = plan_stage_find(p, view_of(p->request->target));
    if (found)
        return found;
    names = base_alloc_array(p->stage_count, sizeof *names);
    for (size_t i = 0; i < p->stage_count; i++)
        if (*p->stages[i]->name)
            names[count++] = p->stages[i]->name;
    near = dockerfile_suggest(view_of(p->request->target), names, count, true);
    error_set(err, ERROR_INVALID, "target stage \"%s\" could not be found%s%s%s",
              p->request->target, near ? " (did you mean " : "", near ? near : "",
              near ? "?)" : "");
    free(names);
    return NULL;
}

static int dispatch_stages(struct planner *p, struct error *err)
{
    for (size_t i = 0; i < p->stage_count; i++) {
        struct plan_stage *s = p->stages[i];

        if (s->is_reachable && plan_stage_dispatch(p, s, err) < 0)
            return -1;
    }
    return 0;
}

static void finish(struct planner *p, struct plan_stage *target)
{
    struct build_config *config = &p->plan->config;
    const struct registry_platform *platform = &p->plan->platform;

    p->plan->result = target->node;
    build_config_copy(config, &target->config);
    for (size_t i = 0; i < p->request->label_count; i++)
        build_config_set_key(config, "Labels", p->request->labels[i].name,
                             p->request->labels[i].value ? p->request->labels[i].value
                                                         : "");
    if (p->platform) {
        doc_set_text(config->root, "os", platform->os);
        doc_set_text(config->root, "architecture", platform->architecture);
        if (*platform->variant)
            doc_set_text(config->root, "variant", platform->variant);
    }
}

static int plan(struct planner *p, struct error *err)
{
    struct plan_stage *target;
    const char *target_name;

    if (p->file->stage_count == 0)
        return error_set(err, ERROR_INVALID,
                         p->file->instruction_count
                             ? "dockerfile contains no stages to build: it needs a FROM"
                             : "the Dockerfile cannot be empty");
    if (p->file->stage_count > LIMIT_BUILD_STAGES)
        return error_set(err, ERROR_LIMIT, "the Dockerfile has more than %zu stages",
                         LIMIT_BUILD_STAGES);
    target_name = p->request->target ? p->request->target : "";
    char *last = view_dup(p->file->stages[p->file->stage_count - 1].from->from->stage_name);
    int status = choose_platform(p, err);
    if (status == 0)
        status = read_build_args(p, err);
    if (status == 0)
        status = read_epoch(p, err);
    if (status == 0)
        status = plan_globals(p, *target_name ? target_name : last, err);
    free(last);
    if (status < 0 || plan_stages_add(p, err) < 0)
        return -1;
    target = find_target(p, err);
    if (!target || plan_stages_link(p, err) < 0 ||
        plan_stages_resolve(p, target, err) < 0 || dispatch_stages(p, err) < 0)
        return -1;
    finish(p, target);
    return 0;
}

/* What the checks want to know of each stage. */
static void keep_stages(struct planner *p)
{
    p->plan->stages = base_alloc_array(p->file->stage_count + 1, sizeof *p->plan->stages);
    for (size_t i = 0; i < p->stage_count; i++) {
        const struct plan_stage *s = p->stages[i];

        if (s->ast)
            p->plan->stages[s->ast - p->file->stages] =
                (struct build_plan_stage){s->is_reachable, s->image};
    }
}

/* `p` says for which platform. */
static int plan_one(struct planner *p, struct error *err)
{
    int status;

    *p->plan = (struct build_plan){.epoch = -1};
    status = plan(p, err);
    if (status == 0)
        keep_stages(p);
    for (size_t i = 0; i < p->stage_count; i++)
        plan_stage_free(p->stages[i]);
    free(p->stages);
    plan_env_release(&p->build_args);
    plan_env_release(&p->globals);
    return status;
}

int build_plans_make(const struct build_environment *env,
                     const struct build_request *request,
                     struct build_inputs *inputs,
                     const struct dockerfile *file,
                     struct build_plans *out,
                     struct error *err)
{
    const size_t count = request->platform_count > 0 ? request->platform_count : 1;

    *out = (struct build_plans){.items = base_alloc_array(count, sizeof *out->items)};
    for (size_t i = 0; i < count; i++) {
        struct planner p = {
            .environment = env,
            .request = request,
            .inputs = inputs,
            .file = file,
            .platform = request->platform_count > 0 ? request->platforms[i] : NULL,
            .graph = &out->graph,
            .plan = &out->items[out->count++],
        };

        if (plan_one(&p, err) < 0)
            return count > 1 ? error_wrap(err, "%s", p.platform) : -1;
    }
    build_inputs_ask_ahead(inputs);
    return 0;
}

static void plan_release(struct build_plan *p)
{
    for (size_t i = 0; i < p->trigger_count; i++)
        dockerfile_free(p->triggers[i]);
    free(p->triggers);
    free(p->stages);
    build_config_release(&p->config);
}

void build_plans_release(struct build_plans *p)
{
    build_graph_release(&p->graph);
    for (size_t i = 0; i < p->count; i++)
        plan_release(&p->items[i]);
    free(p->items);
    *p = (struct build_plans){0};
}

bool build_plans_have_result(const struct build_plans *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->items[i].result)
            return true;
    return false;
}
