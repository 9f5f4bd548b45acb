/*
 * --ca: what a RUN step trusts besides what its image trusts. The bundle is a file in
 * memory, named by variables and put over the image's own bundle where it has one; neither
 * is part of the layer, and none of it is part of the key.
 */
#include "builder/step_run_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/trust.h"
#include "cas/tree.h"

#include <stdlib.h>
#include <string.h>

/* In the step's own /dev, where no image has anything. */
#define BUNDLE_PATH "/dev/cooper/ca-certificates.crt"

/* A bundle of the image: its content, if it is the first, and where it really lies. */
static int look(struct step_run *r,
                struct cas_tree *tree,
                const char *path,
                struct buf *content,
                struct error *err)
{
    CLEANUP(base_freep) char *resolved = NULL;
    CLEANUP(base_freep) char *real = NULL;
    struct cas_tree_entry entry;
    bool found = false;

    if (cas_tree_find(tree, view_of(path), CAS_TREE_FOLLOW, &found, &entry, &resolved,
                      err) < 0)
        return -1;
    if (!found || entry.entry.type != CAS_ENTRY_FILE)
        return 0;
    real = path_join(VIEW_LIT("/"), view_of(resolved));
    for (size_t i = 0; i < r->bundle_count; i++)
        if (strcmp(r->bundles[i], real) == 0)
            return 0;
    if (r->bundle_count == 0 &&
        cas_tree_read(tree, view_of(path), content, &found, err) < 0)
        return -1;
    r->bundles = base_realloc_array(r->bundles, r->bundle_count + 1, sizeof(char *));
    r->bundles[r->bundle_count++] = base_strdup(real);
    return 0;
}

static int look_at_all(struct step_run *r, struct buf *content, struct error *err)
{
    const struct solve_node *base =
        r->n->node->base ? solve_of(r->n->solver, r->n->node->base) : NULL;
    CLEANUP(cas_tree_freep)
    struct cas_tree *tree =
        cas_tree_new(base ? base->layers : NULL, base ? base->count : 0);

    for (size_t i = 0; build_trust_bundle_at(i); i++)
        if (look(r, tree, build_trust_bundle_at(i), content, err) < 0)
            return error_wrap(err, "look for certificates in the image");
    /* Programs that bring their own would find nothing else: this machine's, then. */
    if (r->bundle_count == 0)
        build_trust_system(content);
    return 0;
}

static void add_file(struct step_run *r, const char *target)
{
    step_run_mount(r, (struct sandbox_mount){.type = SANDBOX_MOUNT_FILE,
                                             .target = target,
                                             .readonly = true,
                                             .content = buf_view(&r->bundle),
                                             .mode = 0444});
}

int step_trust_open(struct step_run *r, struct error *err)
{
    const struct view ca = r->n->solver->request->ca;
    CLEANUP(buf_release) struct buf content = BUF_INIT(LIMIT_TEXT_SIZE);

    if (ca.size == 0)
        return 0;
    if (look_at_all(r, &content, err) < 0)
        return -1;
    build_trust_join(buf_view(&content), ca, &r->bundle);
    if (buf_ok(&r->bundle, "the certificates", err) < 0)
        return -1;
    add_file(r, BUNDLE_PATH);
    for (size_t i = 0; i < r->bundle_count; i++)
        add_file(r, r->bundles[i]);
    for (size_t i = 0; build_trust_variable_at(i); i++)
        if (!step_env_has(r, build_trust_variable_at(i)))
            step_env_set(r, build_trust_variable_at(i), BUNDLE_PATH);
    return 0;
}
