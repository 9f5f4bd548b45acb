/*
 * The environment of a RUN step.
 */
#include "builder/step_run_priv.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void step_env_set(struct step_run *r, const char *name, const char *value)
{
    const size_t size = strlen(name);

    for (size_t i = 0; i < r->env_count; i++) {
        if (strncmp(r->env[i], name, size) != 0 || r->env[i][size] != '=')
            continue;
        explicit_bzero(r->env[i], strlen(r->env[i]));
        free(r->env[i]);
        r->env[i] = base_format("%s=%s", name, value);
        return;
    }
    /* Room for the NULL at the end is kept. */
    r->env = base_grow(r->env, r->env_count + 1, &r->env_room, sizeof(char *));
    r->env[r->env_count++] = base_format("%s=%s", name, value);
    r->env[r->env_count] = NULL;
}

/* NULL where it is not set. */
static const char *find(const struct step_run *r, const char *name)
{
    const size_t size = strlen(name);

    for (size_t i = 0; i < r->env_count; i++)
        if (strncmp(r->env[i], name, size) == 0 && r->env[i][size] == '=')
            return r->env[i] + size + 1;
    return NULL;
}

bool step_env_has(const struct step_run *r, const char *name)
{
    return find(r, name) != NULL;
}

void step_env_init(struct step_run *r)
{
    r->env_room = r->op->env_count + r->op->proxy_env_count + r->op->mount_count + 3;
    r->env = base_alloc_array(r->env_room, sizeof(char *));
    for (size_t i = 0; i < r->op->env_count; i++)
        r->env[r->env_count++] = base_strdup(r->op->env[i]);
    for (size_t i = 0; i < r->op->proxy_env_count; i++) {
        struct view name, value;

        view_cut(view_of(r->op->proxy_env[i]), '=', &name, &value);
        CLEANUP(base_freep) char *text = view_dup(name);

        step_env_set(r, text, value.data); /* over what the image says */
    }
    const char *const home = find(r, "HOME");

    if (!home || !*home) /* as runc: an empty one counts as none */
        step_env_set(r, "HOME", r->user.home);
}
