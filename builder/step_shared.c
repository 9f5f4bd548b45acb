#include "builder/step_shared.h"

#include "base/alloc.h"
#include "builder/cdi.h"
#include "builder/cgroup.h"
#include "builder/network.h"
#include "builder/ssh.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct step_shared {
    const struct build_environment *env;
    struct build_network *network;
    struct build_ssh_agents *agents;
    struct build_cgroups *cgroups;
    struct build_cdi *cdi;
    pthread_mutex_t lock; /* guards the notes */
    char **notes;
    size_t note_count;
    size_t note_room;
};

static bool wants_gateway(const struct build_request *request)
{
    for (size_t i = 0; i < request->add_host_count; i++)
        if (strcmp(request->add_hosts[i].value, BUILD_HOST_GATEWAY) == 0)
            return true;
    return false;
}

struct step_shared *step_shared_new(const struct build_environment *env,
                                    const struct build_request *request)
{
    struct step_shared *s = base_alloc(sizeof *s);
    const struct build_network_options network = {
        .helper = env->sandbox, .sink = &env->sink, .host_gateway = wants_gateway(request)};

    s->env = env;
    s->network = build_network_new(&network);
    s->agents =
        build_ssh_agents_new(request->ssh, request->ssh_count, env->store, env->sandbox);
    s->cgroups = build_cgroups_new(&request->resources, request->cgroup_parent);
    s->cdi = build_cdi_new();
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void step_shared_free(struct step_shared *s)
{
    if (!s)
        return;
    build_network_free(s->network);
    build_ssh_agents_free(s->agents);
    build_cgroups_free(s->cgroups);
    build_cdi_free(s->cdi);
    for (size_t i = 0; i < s->note_count; i++)
        free(s->notes[i]);
    free(s->notes);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct build_network *step_shared_network(struct step_shared *s)
{
    return s->network;
}

struct build_ssh_agents *step_shared_agents(struct step_shared *s)
{
    return s->agents;
}

struct build_cgroups *step_shared_cgroups(struct step_shared *s)
{
    return s->cgroups;
}

struct build_cdi *step_shared_cdi(struct step_shared *s)
{
    return s->cdi;
}

static bool remember(struct step_shared *s, const char *text)
{
    for (size_t i = 0; i < s->note_count; i++)
        if (strcmp(s->notes[i], text) == 0)
            return false;
    s->notes = base_grow(s->notes, s->note_count, &s->note_room, sizeof *s->notes);
    s->notes[s->note_count++] = base_strdup(text);
    return true;
}

void step_shared_note(struct step_shared *s, const char *text)
{
    bool is_new;

    pthread_mutex_lock(&s->lock);
    is_new = remember(s, text);
    pthread_mutex_unlock(&s->lock);
    if (is_new)
        event_send(&s->env->sink, (struct event){.type = EVENT_NOTE, .text = text});
}
