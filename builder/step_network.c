/*
 * The network of a RUN step, and the names that it knows without asking: /etc/hosts.
 */
#include "builder/step_run_priv.h"

#include "builder/step_shared.h"

#include <string.h>

#define HOSTNAME_DEFAULT "buildkitsandbox"

static struct build_network_way choose(struct step_run *r)
{
    struct build_network *network = step_shared_network(r->n->solver->shared);

    switch (r->op->network) {
    case DOCKERFILE_NETWORK_DEFAULT:
        return build_network_use(network);
    case DOCKERFILE_NETWORK_HOST:
        return build_network_host(network);
    case DOCKERFILE_NETWORK_NONE:
        break;
    }
    /* The file is there all the same, as with BuildKit: it names whom it cannot reach. */
    return (struct build_network_way){.mode = SANDBOX_NETWORK_NONE,
                                      .netns_fd = -1,
                                      .resolv_conf =
                                          build_network_host(network).resolv_conf};
}

static int add_hosts(struct step_run *r, struct error *err)
{
    const struct build_request *request = r->n->solver->request;
    const char *hostname = r->op->hostname ? r->op->hostname : HOSTNAME_DEFAULT;

    buf_printf(&r->hosts,
               "127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost ip6-loopback\n",
               hostname);
    for (size_t i = 0; i < request->add_host_count; i++) {
        const struct build_pair *host = &request->add_hosts[i];
        const char *address = host->value;

        if (strcmp(address, BUILD_HOST_GATEWAY) == 0)
            address = r->network.host_gateway;
        /* A step without a network reaches nobody by any name. */
        if (!address && r->network.mode == SANDBOX_NETWORK_NONE)
            continue;
        if (!address)
            return error_set(err, ERROR_UNSUPPORTED,
                             "--add-host %s:host-gateway: this machine has no default "
                             "route; --network=host reaches it without",
                             host->name);
        buf_printf(&r->hosts, "%s\t%s\n", address, host->name);
    }
    return buf_ok(&r->hosts, "/etc/hosts", err);
}

int step_network_open(struct step_run *r, struct error *err)
{
    r->network = choose(r);
    return add_hosts(r, err);
}
