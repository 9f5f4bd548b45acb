/*
 * The door between registry/http.c and the module libcooper-http.so, which is all that
 * knows libcurl (see base/module.h). It moves bytes: redirects, limits and rules are
 * decided on this side.
 */
#pragma once

#include "base/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGISTRY_HTTP_MODULE_FILE    "libcooper-http.so"
#define REGISTRY_HTTP_MODULE_SYMBOL  "registry_http_curl_module"
#define REGISTRY_HTTP_MODULE_VERSION 6u

struct registry_http_engine;

struct registry_http_engine_options {
    const char *user_agent;
    const char *ca_file;     /* or NULL */
    const char *unix_socket; /* or NULL */
    uint32_t connect_timeout_ms;
    uint32_t stall_timeout_ms;
    const atomic_bool *cancelled; /* or NULL */
};

/* One request and where its answer goes. All callbacks run on the calling thread; those
 * that return int end the transfer (ERROR_FAILED) with anything but 0. */
struct registry_http_transfer {
    const char *method;
    const char *url;
    const char *origin; /* scheme, host and port: a connection to it is used again */
    const char *const *headers; /* all of them, the secret one included */
    size_t header_count;
    bool head;             /* the answer has no body */
    bool has_body;         /* body_size bytes come from read_at */
    bool direct;           /* never through a proxy */
    bool public_only;      /* no connection to an address of a private network */
    bool unverified;       /* the peer's certificate is not checked */
    const char *ca_file;   /* in place of the engine's, or NULL */
    const char *cert_file; /* what we show, or NULL */
    const char *key_file;
    uint64_t deadline_ms;    /* in all; 0: none */
    uint64_t body_size;      /* UINT64_MAX: until read_at gives 0; sent in chunks */
    const atomic_bool *stop; /* or NULL: ends the transfer, as the engine's flag does */
    void *context;
    ptrdiff_t (*read_at)(void *context, uint64_t offset, void *out, size_t size);
    /* One header line as it came, with its line end; status lines too. */
    int (*header)(void *context, const char *line, size_t size);
    int (*body)(void *context, const char *data, size_t size);
    void (*progress)(void *context, uint64_t sent, uint64_t received);
};

struct registry_http_module {
    unsigned version;
    struct registry_http_engine *(*engine_new)(
        const struct registry_http_engine_options *options, struct error *err);
    void (*engine_free)(struct registry_http_engine *e);
    /* May be called by many threads at once. *status is the last answer's; *is_public: it
     * came from an address of no private network. */
    int (*perform)(struct registry_http_engine *e,
                   const struct registry_http_transfer *transfer,
                   int *status,
                   bool *is_public,
                   struct error *err);
};

/* Loads the module; NULL with ERROR_UNSUPPORTED. (registry/http_load.c, not part of the
 * module.) */
const struct registry_http_module *registry_http_module_load(struct error *err);
