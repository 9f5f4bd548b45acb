#include "release/publish_priv.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

/* Others that move the same tags are few, and each gives way to a newer version. */
#define ROUNDS_MAX 50

/* A step is settled if the tag was moved, or needs not to be. */
struct moving {
    const struct release_request *r;
    struct release_plan *plan;
    const struct release_manifest *m;
    bool *is_settled;    /* a step each */
    bool *is_moved;      /* by this run, which answers for it */
    struct digest *held; /* where this run pointed it last */
};

static bool is_open(const struct moving *v, size_t i)
{
    return v->plan->steps[i].template && !v->is_settled[i];
}

static void leave(struct release_step *step, const char *owner)
{
    free(step->owner);
    step->owner = base_strdup(owner);
    step->action = RELEASE_LEAVE;
}

/* `now` was read before the list of tags: a version that moved the tag by then is in it. */
static int settle(struct moving *v, size_t i, const struct digest *now, struct error *err)
{
    struct release_step *const step = &v->plan->steps[i];
    const char *const owner =
        release_move_owner(step->template, v->r->version, &v->plan->tags);
    struct digest after;
    bool done;

    v->is_settled[i] = true;
    if (digest_eq(now, &v->r->digest))
        return 0;
    if (owner) {
        leave(step, owner);
        return 0;
    }
    if (release_place_set(v->r->place, step->tag, now, v->m, &done, &after, err) < 0)
        return -1;
    v->is_settled[i] = done;
    if (done) {
        v->is_moved[i] = true;
        v->held[i] = v->r->digest;
        step->from = *now;
        step->action = digest_is_set(now) ? RELEASE_MOVE : RELEASE_MAKE;
    }
    return 0;
}

static int tags_again(struct moving *v, struct error *err)
{
    release_names_release(&v->plan->tags);
    return release_place_tags(v->r->place, &v->plan->tags, err);
}

/* One look at all, then one try for each. *open: some have to be tried again. */
static int round_of_moves(struct moving *v, bool *open, struct error *err)
{
    const size_t count = v->plan->count;
    CLEANUP(base_freep) struct digest *now = base_alloc_array(count, sizeof *now);

    *open = false;
    for (size_t i = 0; i < count; i++) {
        if (is_open(v, i) &&
            release_place_digest(v->r->place, v->plan->steps[i].tag, &now[i], err) < 0)
            return -1;
    }
    if (tags_again(v, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (!is_open(v, i))
            continue;
        if (settle(v, i, &now[i], err) < 0)
            return -1;
        *open = *open || is_open(v, i);
    }
    return 0;
}

/* The tag was moved here, and then a newer version appeared: its run may have moved the tag
 * before this one did. Whoever finds it moved on has nothing to do: that run looks back. */
static int hand_over(struct moving *v, size_t i, const char *owner, struct error *err)
{
    CLEANUP(release_manifest_release) struct release_manifest m = {0};
    struct digest to, after;
    bool done;

    if (release_place_digest(v->r->place, owner, &to, err) < 0)
        return -1;
    if (!digest_is_set(&to) || digest_eq(&to, &v->held[i]))
        return 0;
    if (release_place_get(v->r->place, &to, &m, err) < 0 ||
        release_place_set(v->r->place, v->plan->steps[i].tag, &v->held[i], &m, &done,
                          &after, err) < 0)
        return -1;
    v->is_moved[i] = done;
    v->held[i] = to;
    return 0;
}

/* *again: a tag was handed over, so that it has to be looked at once more. */
static int look_back(struct moving *v, bool *again, struct error *err)
{
    *again = false;
    if (tags_again(v, err) < 0)
        return -1;
    for (size_t i = 0; i < v->plan->count; i++) {
        const char *const owner = v->is_moved[i]
                                      ? release_move_owner(v->plan->steps[i].template,
                                                           v->r->version, &v->plan->tags)
                                      : NULL;
        const struct digest before = v->held[i];

        if (owner && hand_over(v, i, owner, err) < 0)
            return -1;
        *again = *again || !digest_eq(&before, &v->held[i]);
    }
    return 0;
}

static int move_all(struct moving *v, struct error *err)
{
    bool open = true;

    for (size_t i = 0; open && i < ROUNDS_MAX; i++) {
        if (round_of_moves(v, &open, err) < 0)
            return -1;
    }
    if (open)
        return error_set(err, ERROR_NETWORK,
                         "somebody else keeps moving the tags: run this again");
    open = v->r->place->conditions == RELEASE_CONDITIONS_NONE;
    for (size_t i = 0; open && i < ROUNDS_MAX; i++) {
        if (look_back(v, &open, err) < 0)
            return -1;
    }
    return 0;
}

int release_publish_moves(const struct release_request *r,
                          struct release_plan *plan,
                          const struct release_manifest *m,
                          struct error *err)
{
    CLEANUP(base_freep) bool *settled = base_alloc_array(plan->count, sizeof *settled);
    CLEANUP(base_freep) bool *moved = base_alloc_array(plan->count, sizeof *moved);
    CLEANUP(base_freep)
    struct digest *held = base_alloc_array(plan->count, sizeof *held);
    struct moving v = {.r = r,
                       .plan = plan,
                       .m = m,
                       .is_settled = settled,
                       .is_moved = moved,
                       .held = held};

    return plan->count > 1 ? move_all(&v, err) : 0;
}
