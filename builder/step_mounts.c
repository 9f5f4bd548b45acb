/*
 * What a RUN step has mounted: bind, cache, tmpfs and secret mounts, and its script.
 */
#include "builder/step_run_priv.h"

#include "base/alloc.h"
#include "builder/secret.h"

#include <stdlib.h>
#include <string.h>

static int add_secret(struct step_run *r, size_t i, struct error *err)
{
    const struct build_mount *m = &r->op->mounts[i];
    bool found;

    if (build_secret_find(r->n->solver->request, m->id, &found, &r->secrets[i], err) < 0)
        return -1;
    if (!found && m->required)
        return error_set(err, ERROR_NOT_FOUND,
                         "secret %s: not found: give it with --secret id=%s,src=FILE",
                         m->id, m->id);
    /* As BuildKit has it: without the secret the variable is there, and empty. */
    if (m->env)
        step_env_set(r, m->env, buf_text(&r->secrets[i]));
    if (!m->as_file || !found)
        return 0;
    step_run_mount(r, (struct sandbox_mount){.type = SANDBOX_MOUNT_FILE,
                                             .target = m->target,
                                             .readonly = true,
                                             .content = buf_view(&r->secrets[i]),
                                             .mode = m->mode,
                                             .uid = m->uid,
                                             .gid = m->gid});
    return 0;
}

static int add_bind(struct step_run *r, size_t i, struct error *err)
{
    const struct build_mount *m = &r->op->mounts[i];
    const struct solve_node *from = m->from ? solve_of(r->n->solver, m->from) : NULL;

    r->snapshots[i] = cas_snapshot_new(r->n->solver->env->store, from ? from->layers : NULL,
                                       from ? from->count : 0, CAS_SNAPSHOT_AUTO, err);
    if (!r->snapshots[i])
        return -1;
    step_run_mount(r,
                   (struct sandbox_mount){.type = SANDBOX_MOUNT_SNAPSHOT,
                                          .target = m->target,
                                          .readonly = m->read_only,
                                          .snapshot = cas_snapshot_mount(r->snapshots[i]),
                                          .source = m->source});
    return 0;
}

struct named_cache {
    char *name;
    size_t at; /* which of the mounts */
    const struct solve_node *from;
};

static int compare_caches(const void *a, const void *b)
{
    const struct named_cache *x = a;
    const struct named_cache *y = b;
    const int order = strcmp(x->name, y->name);

    return order ? order : (x->at > y->at) - (x->at < y->at);
}

/* Finds the cache mounts and what they are called. */
static int name_caches(const struct step_run *r,
                       struct named_cache *out,
                       size_t *count,
                       struct error *err)
{
    for (size_t i = 0; i < r->op->mount_count; i++) {
        const struct build_mount *m = &r->op->mounts[i];
        const struct solve_node *from = m->from ? solve_of(r->n->solver, m->from) : NULL;

        if (m->type != DOCKERFILE_MOUNT_CACHE)
            continue;
        for (size_t k = 0; from && k < from->count; k++)
            if (cas_layer_wait(from->layers[k], err) < 0)
                return -1;
        out[(*count)++] = (struct named_cache){
            build_cache_mount_name(m, from ? from->layers : NULL, from ? from->count : 0),
            i, from};
    }
    if (*count > 1)
        qsort(out, *count, sizeof *out, compare_caches);
    return 0;
}

static int open_cache(struct step_run *r,
                      const struct named_cache *c,
                      const struct named_cache *previous,
                      struct error *err)
{
    const struct build_mount *m = &r->op->mounts[c->at];
    const struct build_cache_wait wait = {step_run_is_cancelled, r};
    int status;

    if (previous && strcmp(previous->name, c->name) == 0)
        status =
            build_cache_mount_share(&r->caches[previous->at], m, &r->caches[c->at], err);
    else
        status = build_cache_mount_open(
            r->n->solver->env->store, m, c->from ? c->from->layers : NULL,
            c->from ? c->from->count : 0, &wait, &r->caches[c->at], err);
    return status < 0 ? error_wrap(err, "cache mount %s", m->id) : 0;
}

/* In the order of their names, so that no two steps wait for each other's locks. */
static int open_caches(struct step_run *r, struct error *err)
{
    struct named_cache *caches = base_alloc_array(r->op->mount_count + 1, sizeof *caches);
    size_t count = 0;
    int status = name_caches(r, caches, &count, err);

    for (size_t i = 0; status == 0 && i < count; i++)
        status = open_cache(r, &caches[i], i > 0 ? &caches[i - 1] : NULL, err);
    for (size_t i = 0; i < count; i++)
        free(caches[i].name);
    free(caches);
    return status;
}

static void add_cache(struct step_run *r, size_t i)
{
    const struct build_mount *m = &r->op->mounts[i];

    step_run_mount(r, (struct sandbox_mount){.type = SANDBOX_MOUNT_BIND,
                                             .target = m->target,
                                             .readonly = m->read_only,
                                             .source_fd = r->caches[i].dir_fd});
}

static int add_mount(struct step_run *r, size_t i, struct error *err)
{
    const struct build_mount *m = &r->op->mounts[i];

    switch (m->type) {
    case DOCKERFILE_MOUNT_BIND:
        return add_bind(r, i, err);
    case DOCKERFILE_MOUNT_CACHE:
        add_cache(r, i);
        return 0;
    case DOCKERFILE_MOUNT_TMPFS:
        step_run_mount(r, (struct sandbox_mount){.type = SANDBOX_MOUNT_TMPFS,
                                                 .target = m->target,
                                                 .readonly = m->read_only,
                                                 .size = (uint64_t)m->size});
        return 0;
    case DOCKERFILE_MOUNT_SECRET:
        return add_secret(r, i, err);
    case DOCKERFILE_MOUNT_SSH:
        return step_ssh_add(r, m, err);
    }
    return 0;
}

static void add_script(struct step_run *r)
{
    if (!r->op->script)
        return;
    r->script_target = base_format("/dev/pipes/%s", r->op->script_name);
    step_run_mount(r, (struct sandbox_mount){.type = SANDBOX_MOUNT_FILE,
                                             .target = r->script_target,
                                             .readonly = true,
                                             .content = view_of(r->op->script),
                                             .mode = 0755});
}

int step_mounts_open(struct step_run *r, struct error *err)
{
    if (open_caches(r, err) < 0)
        return -1;
    for (size_t i = 0; i < r->op->mount_count; i++)
        if (add_mount(r, i, err) < 0)
            return -1;
    add_script(r);
    return 0;
}
