/*
 * Working off the instructions of one stage.
 */
#include "builder/plan_priv.h"

static void inherit(struct plan_stage *s)
{
    if (!s->base)
        return;
    s->node = s->base->node;
    build_config_release(&s->config);
    build_config_copy(&s->config, &s->base->config);
    build_config_set_list(&s->config, "OnBuild", NULL, 0);
    plan_env_copy(&s->env, &s->base->env);
    plan_env_copy(&s->args, &s->base->args);
}

/* The image's variables go over the arguments that came with the base stage. */
static void load_env(struct plan_stage *s)
{
    const struct doc *env = doc_get(doc_get(s->config.root, "config"), "Env");

    for (size_t i = 0; i < doc_count(env); i++) {
        struct view name, value;

        view_cut(doc_view(doc_at(env, i)), '=', &name, &value);
        if (name.size > 0)
            plan_env_set(&s->env, name, value);
    }
}

static int dispatch(struct planner *p,
                    struct plan_stage *s,
                    const struct plan_command *c,
                    struct error *err)
{
    switch ((int)c->instruction->kind) {
    case DOCKERFILE_ADD:
    case DOCKERFILE_COPY:
        return plan_copy(p, s, c, err);
    case DOCKERFILE_RUN:
        return plan_run(p, s, c, err);
    default:
        return plan_meta(p, s, c, err);
    }
}

int plan_stage_dispatch(struct planner *p, struct plan_stage *s, struct error *err)
{
    s->is_dispatched = true;
    inherit(s);
    if (!s->ast || s->override != BUILD_NAMED_NONE)
        return 0;
    load_env(s);
    for (size_t i = 0; i < s->command_count; i++)
        if (dispatch(p, s, &s->commands[i], err) < 0)
            return error_locate(err, s->commands[i].instruction->pos);
    return 0;
}
