/*
 * HTTP for the registry room: one blocking request at a time a thread, any number of
 * threads.
 *
 * The work is done by libcurl in a module of its own (libcooper-http.so), which is loaded
 * when the first request is made: a build that needs no network does not pay for it.
 * Connections are kept and used again.
 *
 * Rules that hold for every request:
 *  - plain http only to loopback hosts and those listed as insecure, unless the request
 * says that its user asked for it; a redirect from https to http is refused always;
 *  - a redirect leads from a public address to no private one (nor to this machine), what
 * names resolve to included, unless the host is listed as insecure;
 *  - the Authorization header is sent to the origin (scheme, host, port) of the URL that
 * was asked for and is dropped when a redirect leads elsewhere;
 *  - no request hangs: connecting is limited, a transfer that is slower than 1 KiB a second
 *    for stall_timeout_ms ends, and so does one that drips: in all a request may take five
 *    times that, and what its bytes take at 16 KiB a second;
 *  - what a server sends that nobody asked for is bounded (LIMIT_HTTP_HEADER,
 * LIMIT_HTTP_BODY_SMALL).
 *
 * This layer does not retry and knows no credentials: see registry/client.h.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct registry_http;
struct registry_hosts;

struct registry_http_options {
    struct registry_hosts *hosts;      /* how far each host is trusted; borrowed, or NULL */
    const char *const *insecure_hosts; /* "host" or "host:port": http, unverified TLS */
    size_t insecure_host_count;
    const char
        *ca_file; /* further PEM certificates; NULL: $SSL_CERT_FILE or the system's */
    const char *user_agent;      /* NULL: "cooper" */
    const char *unix_socket;     /* all requests go through it, whatever the URL's host */
    uint32_t connect_timeout_ms; /* 0: 15 s */
    uint32_t stall_timeout_ms;   /* 0: 60 s */
    const atomic_bool
        *cancelled; /* NULL or a flag that ends requests with ERROR_CANCELLED */
};

/* Copies the options. */
struct registry_http *registry_http_new(const struct registry_http_options *options);
void registry_http_free(
    struct registry_http *h); /* no request may be running; NULL is fine */
void registry_http_freep(struct registry_http **h);

enum registry_http_method {
    REGISTRY_HTTP_GET,
    REGISTRY_HTTP_HEAD,
    REGISTRY_HTTP_POST,
    REGISTRY_HTTP_PUT,
    REGISTRY_HTTP_PATCH,
    REGISTRY_HTTP_DELETE,
};

/* Where a body comes from. It can be read again from its start, so that a request may be
 * repeated. The first that is set counts: read_at, fd, bytes. */
struct registry_http_body {
    struct view bytes;
    bool has_fd;
    int fd; /* a file; [offset, offset + size) is sent with pread(2) */
    uint64_t offset;
    /* As pread: bytes read (0 only at the end), -1 on failure. Called from the requesting
     * thread. */
    ptrdiff_t (*read_at)(void *context, uint64_t offset, void *out, size_t size);
    void *context;
    uint64_t size; /* for fd and read_at; UINT64_MAX for read_at: until it gives 0 */
};

/* Where a body goes to. Returns 0, or -1 to end the transfer, having kept the reason
 * itself. */
struct registry_http_sink {
    int (*write)(void *context, const void *data, size_t size);
    void *context;
};

struct registry_http_request {
    enum registry_http_method method;
    const char *url;            /* absolute */
    const char *const *headers; /* "Name: value", without secrets */
    size_t header_count;
    const char *authorization;             /* value of that header, or NULL */
    bool plain;                            /* http:// is fine, wherever it leads */
    const struct registry_http_body *body; /* NULL: none */
    uint64_t size_expected; /* bytes that the answer may have: gives it time; 0: few */
    /* Receives the body of a 2xx answer; the body of any other goes into response->text.
     * With a NULL write every body goes there, as far as response->text.max allows. */
    struct registry_http_sink sink;
    const atomic_bool *stop; /* or NULL: a flag that ends this request (ERROR_CANCELLED) */
    void (*progress)(void *context, uint64_t sent, uint64_t received); /* or NULL */
    void *progress_context;
};

struct registry_http_response {
    int status;         /* 200 */
    struct buf headers; /* of the last answer; see registry_http_header */
    struct buf text;    /* small or error body */
    char *url;          /* that answered, after redirects */
};

#define REGISTRY_HTTP_RESPONSE_INIT(text_max)                                              \
    {                                                                                      \
        .headers = BUF_INIT(LIMIT_HTTP_HEADER), .text = BUF_INIT(text_max)                 \
    }
void registry_http_response_release(struct registry_http_response *r); /* idempotent */

/*
 * Makes one request, following redirects. An answer of any status is success here.
 * Errors: ERROR_NETWORK could not connect, broken off, stalled; ERROR_DENIED refused by the
 * rules above or by TLS verification; ERROR_CANCELLED; ERROR_FAILED the sink or the body
 * said no; ERROR_LIMIT headers or text too long; ERROR_UNSUPPORTED the module cannot be
 * loaded.
 */
MUST_CHECK int registry_http_perform(struct registry_http *h,
                                     const struct registry_http_request *request,
                                     struct registry_http_response *response,
                                     struct error *err);

/* The value of the index'th header of this name (any case), trimmed; false if there is
 * none. Borrowed from the response. */
bool registry_http_header(const struct registry_http_response *r,
                          const char *name,
                          size_t index,
                          struct view *value);

/* May this host ("host" or "host:port") be spoken to over plain http? Loopback or listed.
 */
bool registry_http_is_plain_allowed(const struct registry_http *h, struct view host);
/* Is it listed as insecure, or configured so? */
bool registry_http_is_listed(const struct registry_http *h, struct view host);
