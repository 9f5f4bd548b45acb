/*
 * What bounds a RUN step: ulimits, cgroups.
 */
#include "builder/step_run_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "builder/step_shared.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <sys/resource.h>

/* In a user namespace the capability counts for nothing here. */
static bool may_raise(const struct step_run *r)
{
    return !sandbox_helper_is_nested(r->n->solver->env->sandbox) &&
           fs_capable(CAP_SYS_RESOURCE);
}

/* The sandbox gives what it can; here the user is told that this is less than was asked. */
static void tell_clamped(struct step_run *r, const struct build_ulimit *u)
{
    struct rlimit own;
    char *text;

    if (getrlimit((__rlimit_resource_t)u->resource, &own) < 0 || u->hard <= own.rlim_max ||
        may_raise(r))
        return;
    text = base_format("--ulimit %s: steps get %ju, which is what cooper itself may have; "
                       "more would need CAP_SYS_RESOURCE",
                       build_ulimit_name(u->resource), (uintmax_t)own.rlim_max);
    step_shared_note(r->n->solver->shared, text);
    free(text);
}

static void set_ulimits(struct step_run *r)
{
    r->rlimits = base_alloc_array(r->op->ulimit_count + 1, sizeof *r->rlimits);
    for (size_t i = 0; i < r->op->ulimit_count; i++) {
        const struct build_ulimit *u = &r->op->ulimits[i];

        tell_clamped(r, u);
        r->rlimits[i] = (struct sandbox_rlimit){u->resource, u->soft, u->hard};
    }
}

int step_limits_open(struct step_run *r, struct error *err)
{
    set_ulimits(r);
    return build_cgroups_step(step_shared_cgroups(r->n->solver->shared), &r->cgroup, err);
}
