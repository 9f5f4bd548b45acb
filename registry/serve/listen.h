/*
 * Where a server listens: "HOST:PORT", "[ADDRESS]:PORT", ":PORT" (every address) or "PORT"
 * (127.0.0.1).
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

struct serve_listener {
    int fd;
    char *address; /* "127.0.0.1:5000", with the port that was given */
    uint16_t port;
    bool is_loopback; /* only this machine can connect */
};

/* ERROR_INVALID for text that is no such place; ERROR_SYSTEM if it cannot be had. */
MUST_CHECK int serve_listen(const char *text,
                            struct serve_listener *out,
                            struct error *err);
void serve_listener_release(struct serve_listener *l); /* idempotent */
