/*
 * A request at the places that may answer it: mirrors in their order, then the registry. A
 * mirror that has not what is asked for, or refuses, or fails, is as if it was not there.
 */
#include "registry/client_priv.h"

#include "base/log.h"

#include <string.h>

/* Notes whether any byte was passed on: then nobody else can answer in the mirror's place.
 */
struct watched_sink {
    const struct registry_http_sink *sink;
    bool is_used;
};

static int write_watched(void *context, const void *data, size_t size)
{
    struct watched_sink *w = context;

    w->is_used = true;
    return w->sink->write(w->sink->context, data, size);
}

/* *served: the answer is the mirror's. -1 only for what nobody could better. */
static int ask_mirror(struct registry_client *c,
                      const struct registry_call *call,
                      const struct registry_reference *there,
                      struct registry_http_response *response,
                      bool *served,
                      struct error *err)
{
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    struct watched_sink watched = {.sink = &call->sink};
    struct registry_call one = *call;

    one.repository = there;
    if (call->sink.write)
        one.sink = (struct registry_http_sink){write_watched, &watched};
    *served = false;
    if (registry_hosts_is_lost(registry_client_hosts(c), there->host))
        return 0;
    const int rc = registry_call_there(c, &one, response, &failure);
    *served = rc == 0 && response->status >= 200 && response->status < 300;
    if (rc < 0 && (watched.is_used || error_is(&failure, ERROR_CANCELLED)))
        return error_move(err, &failure);
    if (!*served)
        log_debug("mirror %s: %s", there->host,
                  rc < 0 ? error_text(&failure) : "it does not have it");
    if (rc < 0 && error_is(&failure, ERROR_NETWORK))
        registry_hosts_lose(registry_client_hosts(c), there->host);
    return 0;
}

static enum registry_hosts_use use_of(const struct registry_call *call)
{
    if (call->access != REGISTRY_ACCESS_PULL || !call->path)
        return REGISTRY_HOSTS_PUSH;
    /* "blobs/ALG:HEX", "manifests/TAG" */
    return strchr(call->path, ':') ? REGISTRY_HOSTS_PULL_IMMUTABLE
                                   : REGISTRY_HOSTS_PULL_TAG;
}

/* What a call names by its URL is at the place that gave the URL. */
static const struct registry_reference *place_of_url(struct registry_client *c,
                                                     const struct registry_call *call,
                                                     const struct registry_endpoints *e)
{
    for (size_t i = 0; i < e->count; i++) {
        struct registry_call one = *call;

        one.repository = &e->items[i].repository;
        if (registry_call_is_there(c, &one))
            return one.repository;
    }
    return &e->items[e->count - 1].repository;
}

int registry_call_once(struct registry_client *c,
                       const struct registry_call *call,
                       struct registry_http_response *response,
                       struct error *err)
{
    CLEANUP(registry_endpoints_release) struct registry_endpoints places = {0};
    struct registry_call one = *call;
    bool served = false;

    if (registry_hosts_find(registry_client_hosts(c), call->repository, use_of(call),
                            &places, err) < 0)
        return -1;
    one.repository = &places.items[places.count - 1].repository;
    if (call->url)
        one.repository = place_of_url(c, call, &places);
    for (size_t i = 0; !call->url && i + 1 < places.count; i++) {
        if (ask_mirror(c, call, &places.items[i].repository, response, &served, err) < 0)
            return -1;
        if (served)
            return 0;
    }
    return registry_call_there(c, &one, response, err);
}
