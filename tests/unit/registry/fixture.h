/*
 * What tests of this room share: a directory with a store, images made by hand, a registry
 * of Debian's (docker-registry) on a free loopback port, and a registry that plays a
 * script.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/view.h"
#include "cas/descriptor.h"
#include "cas/store.h"
#include "registry/client.h"
#include "registry/reference.h"

#include <stdbool.h>
#include <sys/types.h>

struct fixture {
    char *dir; /* removed with everything in it */
    struct cas_store *store;
    struct registry_client *client;
    struct error err;
    pid_t registry; /* docker-registry, or 0 */
    int port;
};

int fixture_setup(
    void **state); /* directory and store, and a client that reads no one's files */
int fixture_teardown(void **state); /* ends docker-registry too */

/* Another store in the same directory; cas_store_close. */
struct cas_store *fixture_store(struct fixture *f, const char *name);
/* "DIR/name"; malloc'ed. */
char *fixture_path(const struct fixture *f, const char *name);
void fixture_write(const struct fixture *f, const char *name, const char *text);

/* Starts docker-registry and waits until it answers. `extra` is YAML to be added, or "". */
void fixture_start_registry(struct fixture *f, const char *extra);
/* A port that nobody uses now. */
int fixture_free_port(void);

/* "127.0.0.1:PORT/name", parsed. */
struct registry_reference fixture_reference(const struct fixture *f, const char *name);
struct registry_reference parse_reference(const char *text);

/* An image of `layers` layers made of pseudo-random bytes that differ with `seed`, in the
 * store. */
void make_image(struct cas_store *s,
                unsigned seed,
                size_t layers,
                size_t layer_size,
                struct descriptor *out);
/* An index of two such images, linux/amd64 and linux/arm64. */
void make_index(struct cas_store *s, unsigned seed, struct descriptor *out);
void put_blob(struct cas_store *s,
              const char *media_type,
              struct view bytes,
              struct descriptor *out);
/* Regular files below blobs/ in the store. */
size_t count_blobs(const struct cas_store *s);

/* ---- A registry that plays a script ---- */

struct fake_route {
    const char *method;
    const char *path;          /* without the query; with "*" at the end a prefix */
    const char *authorization; /* matches only with this header; NULL: any */
    unsigned times;            /* 0: for ever */
    int status;
    const char *headers[4]; /* "Name: value"; "@" in a value becomes host:port */
    const char *body;
    size_t body_size; /* 0: that of the text */
    size_t cut_after; /* breaks the connection after so many bytes of the body, if > 0 */
    unsigned delay_ms;
};

struct fake;
/* The routes are borrowed; the first that fits and has times left answers, else 404. */
struct fake *fake_start(const struct fake_route *routes, size_t count);
void fake_stop(struct fake *f);
int fake_port(const struct fake *f);
/* "GET /v2/x?y range=bytes=5-\n"... since the start, with authorization=... where sent. */
char *fake_log(struct fake *f);
size_t count_text(const char *text, const char *part);
struct registry_reference fake_reference(const struct fake *f, const char *name);

/* Fails with the error's text if `rc` is no success. */
void ok_(int rc, const struct error *err, const char *file, int line);
#define OK(rc, err) ok_((rc), (err), __FILE__, __LINE__)
