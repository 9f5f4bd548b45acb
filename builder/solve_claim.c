/*
 * The same step in two builds at once runs once: whoever claims its definition first runs
 * it, the others wait until its record is there. Should the holder fail or die, the claim
 * is free, there is no record, and the next one runs the step itself.
 *
 * A node that waits holds no claim, and one that holds a claim waits for nobody else's: it
 * has its inputs, and gives the claim back when its record is stored or it has failed. So
 * nobody waits in a circle.
 */
#include "builder/solve_priv.h"

#include <time.h>

/* How often one looks, and for how long: a holder that was stopped holds its claim. */
enum { LOOK_MS = 20, LOOKS_MAX = 2 * 60 * 60 * 1000 / LOOK_MS };

static void nap(void)
{
    const struct timespec t = {.tv_nsec = LOOK_MS * 1000000};

    nanosleep(&t, NULL);
}

static int wait_for_claim(struct solve_node *n, struct error *err)
{
    struct cas_store *store = n->solver->env->store;

    for (unsigned i = 0; i < LOOKS_MAX; i++) {
        if (solve_is_cancelled(n->solver))
            return error_set(err, ERROR_CANCELLED, "interrupted");
        if (cas_claim_try(store, &n->definition, &n->claim, err) < 0)
            return -1;
        if (n->claim)
            return 0;
        if (i == 0)
            solve_event(n, EVENT_NOTE, "waiting for the same step in another build");
        nap();
    }
    return 0;
}

int solve_claim(struct solve_node *n, struct error *err)
{
    if (n->node->no_cache || !digest_is_set(&n->definition))
        return 0;
    /* Somebody may have finished between the look-up and the claim. */
    if (wait_for_claim(n, err) < 0 || solve_lookup_again(n, err) < 0)
        return -1;
    if (n->is_hit)
        solve_unclaim(n);
    return 0;
}

void solve_unclaim(struct solve_node *n)
{
    cas_claim_release(n->claim);
    n->claim = NULL;
}
