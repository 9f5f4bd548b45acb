/*
 * Variables: the predefined ones, build arguments, ARG before the first FROM; expansion.
 */
#include "builder/plan_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

#include <stdlib.h>

static bool lookup(void *context, struct view name, struct view *value)
{
    return plan_env_get(context, name, value);
}

static struct dockerfile_expand how_to(const struct planner *p,
                                       const struct plan_env *env,
                                       unsigned flags)
{
    union {
        const struct plan_env *in;
        void *out;
    } context = {env};

    return (struct dockerfile_expand){
        .escape = flags & DOCKERFILE_EXPAND_CONTENT ? '\\' : p->file->escape,
        .flags = flags,
        .lookup = lookup,
        .context = context.out,
    };
}

char *plan_expand_in(const struct planner *p,
                     struct view word,
                     const struct plan_env *env,
                     unsigned flags,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    const struct dockerfile_expand how = how_to(p, env, flags);

    if (dockerfile_expand(word, &how, &out, err) < 0)
        return NULL;
    return out.size ? buf_take(&out) : base_strdup("");
}

int plan_expand_words(const struct planner *p,
                      const struct plan_stage *s,
                      struct view word,
                      struct dockerfile_strings *out,
                      struct error *err)
{
    const struct dockerfile_expand how = how_to(p, &s->env, 0);

    return dockerfile_expand_words(word, &how, out, err);
}

int plan_expand_mount(const struct planner *p,
                      const struct plan_stage *s,
                      struct dockerfile_word value,
                      struct dockerfile_mount *out,
                      struct error *err)
{
    const struct dockerfile_expand how = how_to(p, &s->env, 0);

    return dockerfile_mount_parse(value, &how, out, err);
}

char *plan_expand(const struct planner *p,
                  struct plan_stage *s,
                  struct view word,
                  struct error *err)
{
    return plan_expand_in(p, word, &s->env, 0, err);
}

static void set_platform(struct plan_env *e,
                         const char *prefix,
                         const struct registry_platform *p)
{
    const struct registry_platform_text whole = registry_platform_format(p);
    const struct {
        const char *suffix;
        const char *value;
    } parts[] = {{"PLATFORM", whole.text},
                 {"OS", p->os},
                 {"OSVERSION", p->os_version},
                 {"ARCH", p->architecture},
                 {"VARIANT", p->variant}};

    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        char *name = base_format("%s%s", prefix, parts[i].suffix);

        plan_env_set(e, view_of(name), view_of(parts[i].value));
        free(name);
    }
}

/* --build-arg wins over what is predefined. */
static void override(struct planner *p)
{
    for (size_t i = 0; i < p->globals.count; i++) {
        struct view value;

        if (!plan_env_get(&p->build_args, view_of(p->globals.items[i].name), &value))
            continue;
        free(p->globals.items[i].value);
        p->globals.items[i].value = view_dup(value);
    }
}

static int add_global(struct planner *p,
                      const struct dockerfile_pair *pair,
                      struct error *err)
{
    struct view given;
    char *value;

    if (plan_env_get(&p->build_args, pair->name.text, &given)) {
        plan_env_set(&p->globals, pair->name.text, given);
        return 0;
    }
    if (!dockerfile_word_given(pair->value))
        return 0;
    value = plan_expand_in(p, pair->value.text, &p->globals, 0, err);
    if (!value)
        return -1;
    plan_env_set(&p->globals, pair->name.text, view_of(value));
    free(value);
    return plan_env_check(&p->globals, err);
}

int plan_globals(struct planner *p, const char *target, struct error *err)
{
    set_platform(&p->globals, "BUILD", &p->build_platform);
    set_platform(&p->globals, "TARGET", &p->plan->platform);
    plan_env_set(&p->globals, VIEW_LIT("TARGETSTAGE"),
                 view_of(*target ? target : "default"));
    override(p);
    for (size_t i = 0; i < p->file->global_count; i++) {
        const struct dockerfile_instruction *in = &p->file->instructions[i];

        if (in->kind != DOCKERFILE_ARG)
            continue;
        for (size_t k = 0; k < in->arg->count; k++)
            if (add_global(p, &in->arg->pairs[k], err) < 0)
                return error_locate(err, in->pos);
    }
    return 0;
}
