/*
 * Parts of the module libcooper-serve.so (registry/serve/http_module.h).
 *
 * The guard ends connections of those who hold them without using them: libmicrohttpd's own
 * time-out begins anew with every byte, so one byte a minute would keep a connection, its
 * thread and its memory for ever ("slow loris").
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct serve_guard;
struct serve_guarded; /* a connection */

struct serve_guard *serve_guard_new(unsigned header_s, uint64_t body_rate_min);
/* All connections have left. NULL is fine. */
void serve_guard_free(struct serve_guard *g);

struct serve_guarded *serve_guard_join(struct serve_guard *g, int fd);
/* Before the descriptor is closed. */
void serve_guard_leave(struct serve_guard *g, struct serve_guarded *c);
unsigned serve_guard_count(struct serve_guard *g);

enum serve_guard_state {
    SERVE_GUARD_WAITING, /* for a request's header to be whole */
    SERVE_GUARD_BODY,    /* for the rest of a body */
    SERVE_GUARD_ANSWER,  /* the handler, or the answer's way out */
};
void serve_guard_enter(struct serve_guard *g,
                       struct serve_guarded *c,
                       enum serve_guard_state state);
/* Bytes of a body came. */
void serve_guard_count_bytes(struct serve_guarded *c, uint64_t size);

/* A client on this machine gets its bytes faster. */
void serve_tune_socket(int fd);

bool serve_password_check(const char *password, const char *hash);
