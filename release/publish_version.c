#include "release/publish_priv.h"

#include "base/alloc.h"
#include "release/claim.h"

static int refuse_claimed(const struct release_request *r,
                          const struct digest *winner,
                          struct error *err)
{
    CLEANUP(base_freep) char *name = release_place_name(r->place);

    return error_set(err, ERROR_EXISTS,
                     "%s:%s is being released as %s, not %s; the first wins: release this "
                     "image under another version (if that release was given up, its "
                     "tags " RELEASE_TAG_CLAIM "%s.* are in the way)",
                     name, r->version->tag, digest_format(winner).text,
                     digest_format(&r->digest).text, r->version->tag);
}

/* Among those who release at once, this one is let in; or it is the version already. */
static int win(const struct release_request *r, bool *is_there, struct error *err)
{
    const struct release_claiming claiming = {
        .place = r->place,
        .version = r->version,
        .digest = &r->digest,
        .cancelled = r->cancelled,
        .who = r->who,
    };
    struct digest winner = {0};
    struct digest now;
    bool won = true;

    if (r->place->conditions == RELEASE_CONDITIONS_NONE &&
        release_claim(&claiming, &won, &winner, err) < 0)
        return -1;
    /* Claims go when the version is there: whoever saw none looks for it afterwards. */
    if (release_place_digest(r->place, r->version->tag, &now, err) < 0)
        return -1;
    *is_there = digest_eq(&now, &r->digest);
    if (*is_there)
        return 0;
    if (digest_is_set(&now)) {
        /* Whoever made it cleared what there was before this run's claim. */
        if (r->place->conditions == RELEASE_CONDITIONS_NONE)
            release_claims_clear(r->place, r->version);
        return release_refuse_other(r, &now, err);
    }
    if (won)
        return 0;
    if (digest_is_set(&winner))
        return refuse_claimed(r, &winner, err);
    return error_set(err, ERROR_NETWORK,
                     "claims to %s vanished, and it is not there: try again",
                     r->version->tag);
}

static int make(const struct release_request *r,
                const struct release_manifest *m,
                struct error *err)
{
    static const struct digest absent = {0};
    struct digest now;
    bool is_there, done;

    if (win(r, &is_there, err) < 0)
        return -1;
    if (is_there)
        return 0;
    if (release_place_set(r->place, r->version->tag, &absent, m, &done, &now, err) < 0)
        return -1;
    return done ? 0 : release_refuse_other(r, &now, err);
}

/* Did a run that was killed leave claims? */
static bool has_claims(const struct release_request *r, const struct release_plan *plan)
{
    CLEANUP(release_claims_release) struct release_claims claims = {0};

    release_claims_read(r->version, &plan->tags, &claims);
    return claims.count > 0;
}

int release_publish_version(const struct release_request *r,
                            struct release_plan *plan,
                            const struct release_manifest *m,
                            struct error *err)
{
    struct release_step *const step = &plan->steps[0];
    const bool is_new = step->action == RELEASE_MAKE;

    if (is_new && make(r, m, err) < 0)
        return -1;
    if (r->place->conditions == RELEASE_CONDITIONS_NONE && (is_new || has_claims(r, plan)))
        release_claims_clear(r->place, r->version);
    return 0;
}
