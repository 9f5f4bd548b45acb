#include "release/prune.h"

#include "base/alloc.h"
#include "registry/referrers.h"
#include "release/place.h"
#include "release/prune_priv.h"

#include <stdlib.h>
#include <string.h>

const char *release_prune_action_name(enum release_prune_action action)
{
    switch (action) {
    case RELEASE_PRUNE_KEEP:
        return "keep";
    case RELEASE_PRUNE_DELETE:
        return "delete";
    case RELEASE_PRUNE_UNTAG:
        return "untag";
    }
    return "";
}

void release_prune_plan_release(struct release_prune_plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->tags[i].tag);
        free(p->tags[i].why);
        free(p->tags[i].left);
    }
    free(p->tags);
    free(p->digests);
    *p = (struct release_prune_plan){0};
}

static int read_tags(struct registry_client *client,
                     const struct registry_reference *repository,
                     struct release_names *out,
                     struct error *err)
{
    struct release_place place;
    int result;

    release_place_init(&place, client, repository);
    result = release_place_tags(&place, out, err);
    release_place_release(&place);
    return result;
}

/* --- Deciding ------------------------------------------------------------------------ */

/* "sha256-HEX", "sha256-HEX.sig": what is kept for the manifest of that digest. */
static bool subject_of(const char *tag, struct digest *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(base_freep) char *text = base_strdup(tag);

    if (strlen(text) < 71 || strncmp(text, "sha256-", 7) != 0)
        return false;
    text[6] = ':';
    return digest_parse((struct view){text, 71}, out, &ignored) == 0;
}

static void decide(const struct release_policy *policy,
                   const struct prune_graph *g,
                   int64_t now,
                   struct release_prune_plan *plan)
{
    CLEANUP(base_freep)
    struct release_retained *tags = base_alloc_array(plan->count + 1, sizeof *tags);

    for (size_t i = 0; i < plan->count; i++) {
        const struct prune_node *const n = prune_graph_find(g, &plan->tags[i].digest);

        tags[i] = (struct release_retained){
            .tag = plan->tags[i].tag,
            .has_created = n != NULL && n->has_created,
            .created = n != NULL ? n->created : 0,
        };
    }
    release_policy_decide(policy, tags, plan->count, now);
    for (size_t i = 0; i < plan->count; i++) {
        struct release_prune_tag *const t = &plan->tags[i];

        t->kind = tags[i].kind;
        t->has_created = tags[i].has_created;
        t->created = tags[i].created;
        t->action = tags[i].is_kept ? RELEASE_PRUNE_KEEP : RELEASE_PRUNE_DELETE;
        t->why = tags[i].why;
    }
}

/* Tags that stand for a digest follow it, whatever their image is: signatures of what goes
 * are of no use, and those of what stays are not to go. */
static void decide_attached(struct release_prune_plan *plan,
                            const struct digest_set *going,
                            const struct digest_set *staying)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct release_prune_tag *const t = &plan->tags[i];
        struct digest subject;

        if (t->kind != RELEASE_TAG_INTERNAL || !subject_of(t->tag, &subject) ||
            !digest_set_has(going, &subject) || digest_set_has(staying, &subject))
            continue;
        t->action = RELEASE_PRUNE_DELETE;
        free(t->why);
        t->why = base_strdup("what it belongs to goes");
    }
}

/* What is to stay: what the tags lead to that do, and what a tagged artifact is about. Tags
 * that follow another manifest keep nothing by themselves before that is decided. */
static void reach_kept(const struct release_prune_plan *plan,
                       const struct prune_graph *g,
                       bool attached,
                       struct digest_set *out)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct release_prune_tag *const t = &plan->tags[i];
        const struct prune_node *const n = prune_graph_find(g, &t->digest);
        struct digest subject;

        if (t->action != RELEASE_PRUNE_KEEP)
            continue;
        if (t->kind == RELEASE_TAG_INTERNAL && subject_of(t->tag, &subject)) {
            if (attached)
                prune_graph_reach(g, &t->digest, out);
            continue;
        }
        prune_graph_reach(g, &t->digest, out);
        if (n != NULL && n->has_subject)
            prune_graph_reach(g, &n->subject, out);
    }
}

static void plan_digest(struct release_prune_plan *plan, const struct digest *d)
{
    for (size_t i = 0; i < plan->digest_count; i++) {
        if (digest_eq(&plan->digests[i], d))
            return;
    }
    plan->digests =
        base_realloc_array(plan->digests, plan->digest_count + 1, sizeof *plan->digests);
    plan->digests[plan->digest_count++] = *d;
}

/* Before what it leads to: nothing names what is gone. */
static void plan_reach(struct release_prune_plan *plan,
                       const struct prune_graph *g,
                       const struct digest *from,
                       const struct digest_set *staying,
                       struct digest_set *done)
{
    const struct prune_node *const n = prune_graph_find(g, from);

    /* What is not there need not go. */
    if (n == NULL || digest_set_has(staying, from) || !digest_set_add(done, from))
        return;
    plan_digest(plan, from);
    for (size_t i = 0; i < n->child_count; i++)
        plan_reach(plan, g, &n->children[i], staying, done);
    for (size_t i = 0; i < n->referrer_count; i++)
        plan_reach(plan, g, &n->referrers[i], staying, done);
}

static void plan_deletions(struct release_prune_plan *plan,
                           const struct prune_graph *g,
                           const struct digest_set *staying)
{
    struct digest_set done = {0};

    for (size_t i = 0; i < plan->count; i++) {
        struct release_prune_tag *const t = &plan->tags[i];

        if (t->action != RELEASE_PRUNE_DELETE)
            continue;
        if (digest_set_has(staying, &t->digest))
            t->action = RELEASE_PRUNE_UNTAG;
        else
            plan_reach(plan, g, &t->digest, staying, &done);
    }
    digest_set_release(&done);
}

/* Bytes that only what goes has. */
static void plan_size(struct release_prune_plan *plan,
                      const struct prune_graph *g,
                      const struct digest_set *staying)
{
    struct digest_set needed = {0};

    for (size_t i = 0; i < g->count; i++) {
        for (size_t b = 0; b < g->nodes[i].blob_count; b++) {
            if (digest_set_has(staying, &g->nodes[i].digest))
                (void)digest_set_add(&needed, &g->nodes[i].blobs[b].digest);
        }
    }
    for (size_t i = 0; i < plan->digest_count; i++) {
        const struct prune_node *const n = prune_graph_find(g, &plan->digests[i]);

        for (size_t b = 0; n != NULL && b < n->blob_count; b++) {
            if (digest_set_add(&needed, &n->blobs[b].digest))
                plan->size += n->blobs[b].size;
        }
    }
    digest_set_release(&needed);
}

static void plan_tags(struct release_prune_plan *plan,
                      const struct release_names *tags,
                      const struct digest *roots)
{
    plan->tags = base_alloc_array(tags->count + 1, sizeof *plan->tags);
    for (size_t i = 0; i < tags->count; i++) {
        plan->tags[i].tag = base_strdup(tags->items[i]);
        plan->tags[i].digest = roots[i];
    }
    plan->count = tags->count;
}

static void plan_make(struct release_prune_plan *plan, const struct prune_graph *g)
{
    struct digest_set going = {0}, staying = {0};

    reach_kept(plan, g, false, &staying);
    for (size_t i = 0; i < plan->count; i++) {
        const struct release_prune_tag *const t = &plan->tags[i];

        if (t->action == RELEASE_PRUNE_DELETE && !digest_set_has(&staying, &t->digest))
            prune_graph_reach(g, &t->digest, &going);
    }
    decide_attached(plan, &going, &staying);
    digest_set_release(&staying);
    reach_kept(plan, g, true, &staying);
    plan_deletions(plan, g, &staying);
    plan_size(plan, g, &staying);
    digest_set_release(&going);
    digest_set_release(&staying);
}

int release_prune_plan(struct registry_client *client,
                       const struct registry_reference *repository,
                       const struct release_policy *policy,
                       int64_t now,
                       struct release_prune_plan *out,
                       struct error *err)
{
    CLEANUP(release_names_release) struct release_names tags = {0};
    CLEANUP(prune_graph_release)
    struct prune_graph g = {.client = client,
                            .repository = repository,
                            .needs_age = release_policy_needs_age(policy)};

    *out = (struct release_prune_plan){0};
    if (read_tags(client, repository, &tags, err) < 0 ||
        prune_graph_read(&g, &tags, err) < 0)
        return -1;
    if (tags.count == 0)
        return error_set(err, ERROR_NOT_FOUND,
                         "there is no such repository, or it is empty");
    plan_tags(out, &tags, g.roots);
    decide(policy, &g, now, out);
    plan_make(out, &g);
    return 0;
}

/* --- Doing --------------------------------------------------------------------------- */

static void reference_to(const struct registry_reference *repository,
                         const char *tag,
                         struct digest digest,
                         struct registry_reference *out)
{
    registry_reference_copy(out, repository);
    base_freep(&out->tag);
    out->tag = base_strdup(tag);
    out->digest = digest;
}

/* Every tag points where the plan saw it, and there is no other: else what goes may be what
 * somebody has just released. */
static int look_again(struct registry_client *client,
                      const struct registry_reference *repository,
                      const struct release_prune_plan *plan,
                      struct error *err)
{
    CLEANUP(release_names_release) struct release_names tags = {0};
    struct release_place place;
    int result = 0;

    release_place_init(&place, client, repository);
    result = release_place_tags(&place, &tags, err);
    for (size_t i = 0; result == 0 && i < tags.count; i++) {
        size_t at = 0;
        struct digest now = {0};

        while (at < plan->count && strcmp(plan->tags[at].tag, tags.items[i]) != 0)
            at++;
        if (at < plan->count)
            result = release_place_digest(&place, tags.items[i], &now, err);
        if (result == 0 && (at == plan->count || !digest_eq(&now, &plan->tags[at].digest)))
            result = error_set(err, ERROR_EXISTS,
                               "tag %s was changed since the plan was made: nothing was "
                               "deleted, try again",
                               tags.items[i]);
    }
    release_place_release(&place);
    return result;
}

/* Gone already is as good. */
static int delete_one(struct registry_client *client,
                      const struct registry_reference *ref,
                      struct error *err)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    const int result = digest_is_set(&ref->digest)
                           ? registry_referrer_delete(client, ref, &why)
                           : registry_manifest_delete(client, ref, &why);

    return result == 0 || why.code == ERROR_NOT_FOUND ? 0 : error_move(err, &why);
}

static int untag(struct registry_client *client,
                 const struct registry_reference *repository,
                 struct release_prune_tag *t,
                 struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    CLEANUP(error_clear) struct error why = ERROR_INIT;

    reference_to(repository, t->tag, (struct digest){0}, &ref);
    if (delete_one(client, &ref, &why) == 0) {
        t->is_gone = true;
        return 0;
    }
    if (why.code != ERROR_UNSUPPORTED)
        return error_move(err, &why);
    t->left = base_strdup("the registry deletes images only, and this one is needed");
    return 0;
}

static int delete_digest(struct registry_client *client,
                         const struct registry_reference *repository,
                         struct release_prune_plan *plan,
                         const struct digest *digest,
                         struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};

    reference_to(repository, NULL, *digest, &ref);
    if (delete_one(client, &ref, err) < 0)
        return error_wrap(err, "delete %s", digest_format(digest).text);
    for (size_t i = 0; i < plan->count; i++) {
        if (digest_eq(&plan->tags[i].digest, digest))
            plan->tags[i].is_gone = true;
    }
    return 0;
}

int release_prune_run(struct registry_client *client,
                      const struct registry_reference *repository,
                      struct release_prune_plan *plan,
                      struct error *err)
{
    if (look_again(client, repository, plan, err) < 0)
        return -1;
    for (size_t i = 0; i < plan->count; i++) {
        struct release_prune_tag *const t = &plan->tags[i];

        if (t->action == RELEASE_PRUNE_UNTAG && untag(client, repository, t, err) < 0)
            return error_wrap(err, "remove tag %s", t->tag);
    }
    for (size_t i = 0; i < plan->digest_count; i++) {
        if (delete_digest(client, repository, plan, &plan->digests[i], err) < 0)
            return -1;
    }
    return 0;
}
