#include "release/publish_priv.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

const char *release_action_name(enum release_action action)
{
    static const char *const names[] = {[RELEASE_MAKE] = "make",
                                        [RELEASE_MOVE] = "move",
                                        [RELEASE_KEEP] = "keep",
                                        [RELEASE_LEAVE] = "leave"};

    return names[action];
}

void release_plan_release(struct release_plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->steps[i].tag);
        free(p->steps[i].template);
        free(p->steps[i].owner);
    }
    free(p->steps);
    release_names_release(&p->tags);
    release_log_release(&p->log);
    *p = (struct release_plan){0};
}

bool release_plan_is_done(const struct release_plan *p)
{
    return p->is_recorded;
}

int release_refuse_other(const struct release_request *r,
                         const struct digest *now,
                         struct error *err)
{
    CLEANUP(base_freep) char *name = release_place_name(r->place);

    return error_set(err, ERROR_EXISTS,
                     "%s:%s is %s already, not %s; a version never changes: release this "
                     "image under another one",
                     name, r->version->tag, digest_format(now).text,
                     digest_format(&r->digest).text);
}

static struct release_step *step_add(struct release_plan *plan, char *tag)
{
    plan->steps = base_grow(plan->steps, plan->count, &plan->capacity, sizeof *plan->steps);
    struct release_step *const step = &plan->steps[plan->count++];
    *step = (struct release_step){.tag = tag};
    return step;
}

static int plan_version(const struct release_request *r,
                        struct release_plan *plan,
                        struct error *err)
{
    struct release_step *const step = step_add(plan, base_strdup(r->version->tag));

    if (release_place_digest(r->place, step->tag, &step->from, err) < 0)
        return -1;
    if (digest_eq(&step->from, &r->digest)) {
        step->action = RELEASE_KEEP;
        return 0;
    }
    if (digest_is_set(&step->from))
        return release_refuse_other(r, &step->from, err);
    const char *const newer =
        r->is_backport ? NULL : release_line_newest(r->version, &plan->tags);
    if (newer)
        return error_set(err, ERROR_INVALID,
                         "%s is older than %s, which is released: if that is meant, say "
                         "--backport",
                         r->version->tag, newer);
    return 0;
}

/* Was this release completed, its entry written? */
static bool is_recorded(const struct release_request *r, const struct release_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        const struct release_record *const one = &log->items[i];
        const struct release_move *const m =
            one->version && strcmp(one->version, r->version->tag) == 0
                ? release_record_find(one, one->version)
                : NULL;

        if (m && digest_eq(&m->to, &r->digest))
            return true;
    }
    return false;
}

static bool has_step(const struct release_plan *plan, const char *tag)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (strcmp(plan->steps[i].tag, tag) == 0)
            return true;
    }
    return false;
}

static int plan_move(const struct release_request *r,
                     struct release_plan *plan,
                     const char *template,
                     struct error *err)
{
    char *const tag = release_move_render(template, r->version);

    if (!tag || has_step(plan, tag)) {
        free(tag);
        return 0;
    }
    struct release_step *const step = step_add(plan, tag);
    const char *const owner = release_move_owner(template, r->version, &plan->tags);
    step->template = base_strdup(template);
    if (release_place_digest(r->place, tag, &step->from, err) < 0)
        return -1;
    if (digest_eq(&step->from, &r->digest))
        step->action = RELEASE_KEEP;
    else if (owner || plan->is_recorded)
        step->action = RELEASE_LEAVE;
    else
        step->action = digest_is_set(&step->from) ? RELEASE_MOVE : RELEASE_MAKE;
    step->owner = step->action == RELEASE_LEAVE ? base_strdup(owner) : NULL;
    return 0;
}

int release_plan_make(const struct release_request *r,
                      struct release_plan *out,
                      struct error *err)
{
    if (release_place_tags(r->place, &out->tags, err) < 0 ||
        plan_version(r, out, err) < 0 ||
        release_log_read(r->place, &out->tags, &out->log, err) < 0)
        return -1;
    out->is_recorded = out->steps[0].action == RELEASE_KEEP && is_recorded(r, &out->log);
    for (size_t i = 0; i < r->moves->count; i++) {
        if (plan_move(r, out, r->moves->items[i], err) < 0)
            return -1;
    }
    return 0;
}
