#include "builder/network.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/resolver.h"
#include "builder/service.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* pasta takes 5 ms; a machine under load may take a thousand times as long. */
enum { READY_TIMEOUT_MS = 15000, ARGS_MAX = 32 };

/* Where pasta is asked for names if this machine asks itself: link-local, of nobody. */
#define DNS_ADDRESS "169.254.1.1"

enum network_state {
    NETWORK_UNUSED,   /* -> STARTING, HOST */
    NETWORK_STARTING, /* pasta configures the namespace -> READY, HOST */
    NETWORK_READY,
    NETWORK_HOST, /* no namespace of its own can be had */
};

struct build_network {
    struct build_network_options options;
    pthread_mutex_t lock; /* guards all below */
    enum network_state state;
    struct build_service service;
    int netns_fd;
    bool resolver_read;
    bool dns_forwarded;     /* this machine's resolver listens on a loopback address */
    struct buf host_resolv; /* as this machine has it */
    struct buf own_resolv;  /* as steps of the namespace have it */
    char *gateway;
};

struct build_network *build_network_new(const struct build_network_options *options)
{
    struct build_network *n = base_alloc(sizeof *n);

    n->options = *options;
    n->netns_fd = -1;
    n->service = (struct build_service)BUILD_SERVICE_INIT;
    buf_init(&n->host_resolv, LIMIT_TEXT_SIZE);
    buf_init(&n->own_resolv, LIMIT_TEXT_SIZE);
    pthread_mutex_init(&n->lock, NULL);
    return n;
}

void build_network_free(struct build_network *n)
{
    if (!n)
        return;
    /* The end of a network namespace takes 15 ms, in which the image can be published. */
    build_service_abandon(&n->service);
    fd_closep(&n->netns_fd);
    buf_release(&n->host_resolv);
    buf_release(&n->own_resolv);
    free(n->gateway);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

/* The host's network it is, and why. */
static void fall_back(struct build_network *n, const char *why)
{
    CLEANUP(base_freep)
    char *text = base_format("network of the steps: this machine's own, as %s", why);

    n->state = NETWORK_HOST;
    fd_closep(&n->netns_fd);
    build_service_stop(&n->service);
    event_send(n->options.sink, (struct event){.type = EVENT_NOTE, .text = text});
}

/* A directory to be covered in pasta's mount namespace. Not /run: systemd-resolved has
 * resolv.conf there, and pasta reads it. */
static const char *place(void)
{
    static const char *const places[] = {"/tmp/netns", "/mnt/netns", "/srv/netns"};

    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        CLEANUP(base_freep) char *directory = view_dup(path_dir(view_of(places[i])));

        if (access(directory, X_OK) == 0)
            return places[i];
    }
    return NULL;
}

static void read_resolver(struct build_network *n)
{
    if (n->resolver_read)
        return;
    n->resolver_read = true;
    build_resolver_read(&n->host_resolv);
    n->dns_forwarded =
        build_resolver_translate(buf_view(&n->host_resolv), DNS_ADDRESS, &n->own_resolv);
    if (n->options.host_gateway)
        n->gateway = build_resolver_gateway();
}

static int start(struct build_network *n, const char *path, struct error *err)
{
    /* Nothing of the namespace is forwarded to this machine's ports, nor the other way. */
    const char *argv[ARGS_MAX] = {
        "pasta",
        "--foreground",
        "--quiet",
        "--config-net",
        "--no-netns-quit",
        "--tcp-ports",
        "none",
        "-u",
        "none",
        "--tcp-ns",
        "none",
        "--udp-ns",
        "none",
        "--no-dhcp",
        "--no-dhcpv6",
        "--no-ra",
        "--pid",
        "/proc/self/fd/1", /* written when it is ready */
        "--netns",
        path,
    };
    size_t count = 20;

    /* Only where it is asked: answers of this machine's resolver come from that address
     * then, whoever was asked, and libc drops what comes from another than it asked. */
    if (n->dns_forwarded) {
        argv[count++] = "--dns-forward";
        argv[count++] = DNS_ADDRESS;
    }
    if (!n->options.host_gateway)
        argv[count++] = "--no-map-gw";
    /* It would become "nobody", who may not enter the namespace; it gives up all rights
     * but those that it needs in any case. */
    if (!sandbox_helper_is_nested(n->options.helper)) {
        argv[count++] = "--runas";
        argv[count++] = "0";
    }
    return build_service_start(&n->service, n->options.helper, argv, -1, path, err);
}

static void begin(struct build_network *n)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const char *const path = place();

    if (sandbox_helper_is_plain(n->options.helper)) {
        n->state = NETWORK_HOST; /* it was said with the isolation */
        return;
    }
    if (!build_service_exists("pasta")) {
        fall_back(n, "pasta (package passt) is not installed");
        return;
    }
    if (!path) {
        fall_back(n, "there is no /tmp to show it to pasta in");
        return;
    }
    read_resolver(n);
    if (start(n, path, &err) < 0) {
        fall_back(n, error_text(&err));
        return;
    }
    n->state = NETWORK_STARTING;
}

static void finish(struct build_network *n)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (build_service_wait(&n->service, READY_TIMEOUT_MS, NULL, NULL, &err) == 0) {
        n->netns_fd = sandbox_service_network(n->service.process, &err);
        n->state = NETWORK_READY;
    }
    if (n->netns_fd < 0) {
        CLEANUP(base_freep) char *why = base_format("pasta says: %s", error_text(&err));

        fall_back(n, why);
    }
}

static const char *text_or_null(const struct buf *b)
{
    return b->size > 0 ? buf_text(b) : NULL;
}

void build_network_prepare(struct build_network *n)
{
    pthread_mutex_lock(&n->lock);
    if (n->state == NETWORK_UNUSED)
        begin(n);
    pthread_mutex_unlock(&n->lock);
}

struct build_network_way build_network_host(struct build_network *n)
{
    pthread_mutex_lock(&n->lock);
    read_resolver(n);
    pthread_mutex_unlock(&n->lock);
    return (struct build_network_way){.mode = SANDBOX_NETWORK_HOST,
                                      .netns_fd = -1,
                                      .resolv_conf = text_or_null(&n->host_resolv),
                                      .host_gateway = "127.0.0.1"};
}

struct build_network_way build_network_use(struct build_network *n)
{
    bool own;

    pthread_mutex_lock(&n->lock);
    if (n->state == NETWORK_UNUSED)
        begin(n);
    if (n->state == NETWORK_STARTING)
        finish(n);
    read_resolver(n);
    own = n->state == NETWORK_READY;
    pthread_mutex_unlock(&n->lock);
    if (!own)
        return build_network_host(n);
    return (struct build_network_way){.mode = SANDBOX_NETWORK_JOIN,
                                      .netns_fd = n->netns_fd,
                                      .resolv_conf = text_or_null(&n->own_resolv),
                                      .host_gateway = n->gateway};
}
