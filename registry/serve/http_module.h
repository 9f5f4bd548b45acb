/*
 * The door between the embedded registry and the module libcooper-serve.so, which is all
 * that knows libmicrohttpd and libcrypt (see base/module.h). It moves bytes: what a request
 * means and what is answered is decided on this side.
 *
 * Each connection has a thread of its own, so a handler may wait for a disk. All callbacks
 * of one request come from one thread, in this order: begin, body (any number of times),
 * finish, end; after begin anything may be left out but end.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SERVE_HTTP_MODULE_FILE    "libcooper-serve.so"
#define SERVE_HTTP_MODULE_SYMBOL  "serve_http_module"
#define SERVE_HTTP_MODULE_VERSION 2u

#define SERVE_HTTP_HEADERS_MAX  16
#define SERVE_HTTP_SIZE_UNKNOWN UINT64_MAX

/* Borrowed by `begin`; the texts live until `end`. */
struct serve_http_request {
    const char *method;
    const char *target; /* path and query as they came: nothing is decoded */
    const char *peer;   /* "127.0.0.1", "::1" */
    uint64_t body_size; /* SERVE_HTTP_SIZE_UNKNOWN: sent in chunks */
    void *connection;   /* for `header` */
    /* The first header of that name, NULL if there is none. */
    const char *(*header)(void *connection, const char *name);
};

struct serve_http_header {
    const char *name; /* static */
    char *value;      /* owned */
};

/* The body is either `fd` (from `offset` on, `size` bytes; sent by sendfile(2) where there
 * is no TLS), or what `read` gives of `source`, or `size` bytes at `data`. */
struct serve_http_response {
    int status;
    struct serve_http_header headers[SERVE_HTTP_HEADERS_MAX];
    size_t header_count;
    char *data; /* owned */
    int fd;     /* owned; -1: none */
    /* Waits for bytes at `offset` and copies some of them; -1 breaks the answer off. */
    ssize_t (*read)(void *source, uint64_t offset, char *out, size_t size);
    void (*close)(void *source);
    void *source; /* owned, by `close`; NULL: there is no such body */
    uint64_t offset;
    uint64_t size;
};

/* Headers, data, descriptor, source; idempotent. */
void serve_http_response_release(struct serve_http_response *r);

struct serve_http_handler {
    void *context;
    /* The headers are complete. Never NULL. */
    void *(*begin)(void *context, const struct serve_http_request *request);
    /* May be answered without reading the body: what comes of it is not wanted. */
    bool (*is_decided)(const void *exchange);
    /* Must take everything. */
    void (*body)(void *exchange, const char *data, size_t size);
    /* The whole body has come, or is not wanted. Borrowed until `end`; the module may take
     * `fd`, leaving -1, and `source`, leaving NULL. */
    struct serve_http_response *(*finish)(void *exchange);
    /* `sent`: the answer went out whole. */
    void (*end)(void *exchange, bool sent);
};

struct serve_http_options {
    int listen_fd;        /* becomes the module's, also on failure */
    const char *tls_cert; /* PEM texts; NULL: plain HTTP */
    const char *tls_key;
    unsigned connections_max;
    unsigned idle_s;        /* a connection that neither sends nor takes anything */
    unsigned header_s;      /* from a connection's last answer to its next whole header */
    uint64_t body_rate_min; /* bytes a second, averaged over header_s */
    uint64_t unwanted_body_max; /* read and thrown away, so that the answer is heard */
};

struct serve_http;

struct serve_http_module {
    unsigned version;
    struct serve_http *(*start)(const struct serve_http_options *options,
                                const struct serve_http_handler *handler,
                                struct error *err);
    /* No new connections; requests that were begun go on. */
    void (*quiesce)(struct serve_http *h);
    unsigned (*connections)(struct serve_http *h);
    /* Ends all connections, waits for their threads, frees. */
    void (*stop)(struct serve_http *h);
    /* Does `hash` (crypt(5)) belong to `password`? In constant time for one method and
     * cost. */
    bool (*check_password)(const char *password, const char *hash);
};

/* Loads the module; NULL with ERROR_UNSUPPORTED. (registry/serve/http_load.c, not part of
 * the module.) */
const struct serve_http_module *serve_http_module_load(struct error *err);
