#include "release/publish_priv.h"

#include "base/alloc.h"

#include <stdlib.h>

/* Where a tag pointed before a run that was killed moved it, as far as the history tells.
 */
static bool was_moved_unrecorded(const struct release_request *r,
                                 const struct release_plan *plan,
                                 const struct release_step *step,
                                 struct digest *from)
{
    CLEANUP(release_states_release) struct release_states states = {0};

    *from = (struct digest){0};
    release_log_states(&plan->log, step->tag, &r->digest, &states);
    if (states.items[0].record)
        return false;
    if (states.count > 1)
        *from = states.items[1].digest;
    return true;
}

static void record_step(const struct release_request *r,
                        const struct release_plan *plan,
                        const struct release_step *step,
                        struct release_record *out)
{
    struct digest from = step->from;

    if (!step->template)
        release_record_add(out, step->tag, &(struct digest){0}, &r->digest);
    else if (step->action == RELEASE_MAKE || step->action == RELEASE_MOVE ||
             (step->action == RELEASE_KEEP && was_moved_unrecorded(r, plan, step, &from)))
        release_record_add(out, step->tag, &from, &r->digest);
}

static int record(const struct release_request *r,
                  const struct release_plan *plan,
                  struct error *err)
{
    CLEANUP(release_record_release)
    struct release_record one = {
        .sequence = release_log_next(&plan->log),
        .who = base_strdup(r->who),
        .command = base_strdup(r->command),
        .version = base_strdup(r->version->tag),
        .message = base_strdup(r->message),
        .source = base_strdup(r->source),
        .annotations = r->annotations ? doc_copy(r->annotations) : NULL,
    };

    release_record_stamp(&one);
    for (size_t i = 0; i < plan->count; i++)
        record_step(r, plan, &plan->steps[i], &one);
    return release_log_write(r->place, &one, err);
}

int release_plan_run(const struct release_request *r,
                     struct release_plan *plan,
                     struct error *err)
{
    CLEANUP(release_manifest_release) struct release_manifest m = {0};

    if (plan->is_recorded)
        return 0;
    if (r->bring(r->context, err) < 0 ||
        release_place_get(r->place, &r->digest, &m, err) < 0 ||
        release_place_check(r->place, &m, err) < 0 ||
        release_place_prepare(r->place, err) < 0 ||
        release_publish_version(r, plan, &m, err) < 0 ||
        release_publish_moves(r, plan, &m, err) < 0)
        return -1;
    return record(r, plan, err);
}
