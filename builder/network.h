/*
 * The network of a build's steps: one namespace for all of them, made when the first step
 * that wants a network is about to run, and connected by pasta, without privilege. Where
 * that cannot be had, the host's; one note tells which and why.
 *
 * Steps then reach what this machine reaches, and nothing that listens on its loopback
 * addresses or abstract sockets. May be shared between threads.
 */
#pragma once

#include "base/event.h"
#include "base/macros.h"
#include "builder/sandbox/sandbox.h"

#include <stdbool.h>

struct build_network;

struct build_network_options {
    struct sandbox_helper *helper; /* borrowed */
    const struct event_sink *sink; /* borrowed */
    /* Steps can reach this machine, loopback addresses included, by build_network_way's
     * host_gateway: --add-host NAME:host-gateway. */
    bool host_gateway;
};

struct build_network *build_network_new(const struct build_network_options *options);
void build_network_free(struct build_network *n); /* NULL is fine */

/* How a step gets its network. Texts are borrowed from the network. */
struct build_network_way {
    enum sandbox_network mode; /* HOST or JOIN */
    int netns_fd;              /* JOIN */
    const char *resolv_conf;   /* NULL: this machine has none */
    const char *host_gateway;  /* an address; NULL: there is none */
};

/* Begins to make the namespace and returns at once; the first call only. */
void build_network_prepare(struct build_network *n);
/* Waits until it is ready. Never fails: at worst it is the host's. */
struct build_network_way build_network_use(struct build_network *n);
/* The host's network, as --network=host has it. */
struct build_network_way build_network_host(struct build_network *n);
