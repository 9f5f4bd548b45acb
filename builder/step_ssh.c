/*
 * RUN --mount=type=ssh: sockets of a step, each forwarded to an agent while it runs.
 */
#include "builder/step_run_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "builder/ssh.h"
#include "builder/step_shared.h"

#include <stdlib.h>

int step_ssh_add(struct step_run *r, const struct build_mount *m, struct error *err)
{
    struct build_ssh_agents *agents = step_shared_agents(r->n->solver->shared);
    int agent;

    /* As BuildKit has it: the variable names the first socket, also if it is not there. */
    if (!step_env_has(r, "SSH_AUTH_SOCK"))
        step_env_set(r, "SSH_AUTH_SOCK", m->target);
    if (!build_ssh_agents_has(agents, m->id) && !m->required)
        return 0;
    if (!build_ssh_agents_has(agents, m->id))
        return error_set(err, ERROR_NOT_FOUND,
                         "ssh: no agent \"%s\" is forwarded to this build: give --ssh %s",
                         m->id, m->id);
    agent = build_ssh_connect(agents, m->id, err);
    if (agent < 0)
        return -1;
    r->agents = base_realloc_array(r->agents, r->agent_count + 1, sizeof *r->agents);
    r->agents[r->agent_count++] = agent;
    step_run_mount(r, (struct sandbox_mount){.type = SANDBOX_MOUNT_SOCKET,
                                             .target = m->target,
                                             .mode = m->mode & 0777,
                                             .uid = m->uid,
                                             .gid = m->gid});
    return 0;
}

int step_ssh_start(struct step_run *r, struct sandbox_process *p, struct error *err)
{
    r->forwarders = base_alloc_array(r->agent_count + 1, sizeof *r->forwarders);
    for (size_t i = 0; i < r->agent_count; i++) {
        const int listener = sandbox_listener(p, i, err);

        if (listener < 0)
            return -1;
        r->forwarders[i] = build_ssh_forward(listener, fd_take(&r->agents[i]), err);
        if (!r->forwarders[i])
            return -1;
    }
    return 0;
}

void step_ssh_end(struct step_run *r)
{
    for (size_t i = 0; r->forwarders && i < r->agent_count; i++)
        build_ssh_forwarder_stop(r->forwarders[i]);
    for (size_t i = 0; i < r->agent_count; i++)
        fd_closep(&r->agents[i]);
    free(r->forwarders);
    free(r->agents);
    r->forwarders = NULL;
    r->agents = NULL;
    r->agent_count = 0;
}
