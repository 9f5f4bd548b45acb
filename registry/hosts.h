/*
 * What is configured about registries: where a name is really served, by which mirrors, how
 * far it is to be trusted.
 *
 * Read, each where it is there:
 *
 *     $COOPER_REGISTRIES, else ~/.config/cooper/registries.yaml
 *     /etc/cooper/registries.yaml
 *     $CONTAINERS_REGISTRIES_CONF, else ~/.config/containers/registries.conf, else
 *         /etc/containers/registries.conf; and the files of registries.conf.d beside both
 *     docker's daemon.json in ~/.config/docker, else in /etc/docker
 *     certs.d/HOST[:PORT] in ~/.config/containers, /etc/containers, ~/.config/docker,
 *         /etc/docker: *.crt are authorities, NAME.cert and NAME.key are ours
 *
 * Of rules whose prefix fits a name, the longest counts; of equal ones the first in this
 * order. Files are read when a registry is first spoken to. May be shared between threads.
 *
 * Spec: containers-registries.conf(5), version 2; containers-certs.d(5); dockerd(8).
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "registry/reference.h"

#include <stdbool.h>
#include <stddef.h>

struct registry_hosts;

struct registry_hosts_options {
    bool reads_files; /* false: nothing is configured */
    const char *etc;  /* NULL: "/etc" */
    const char *home; /* in place of $XDG_CONFIG_HOME (else ~/.config); or NULL */
    /* Reads YAML, which this room cannot; NULL: files in YAML are not read. */
    struct doc *(*parse_yaml)(struct view text, struct error *err);
};

/* `options` may be NULL. Reads nothing yet. */
struct registry_hosts *registry_hosts_new(const struct registry_hosts_options *options);
void registry_hosts_free(struct registry_hosts *h); /* NULL is fine */

/* One place where a repository may be had. */
struct registry_endpoint {
    struct registry_reference repository; /* host and path there */
    bool is_mirror;
};

/* In the order in which they are to be tried; the last one is no mirror. */
struct registry_endpoints {
    struct registry_endpoint *items;
    size_t count;
};
void registry_endpoints_release(struct registry_endpoints *e); /* idempotent; CLEANUP */

enum registry_hosts_use {
    REGISTRY_HOSTS_PUSH,           /* no mirror */
    REGISTRY_HOSTS_PULL_TAG,       /* something by a name that may move */
    REGISTRY_HOSTS_PULL_IMMUTABLE, /* something by its digest */
};

/* Where the repository of `ref` is. ERROR_DENIED: it is blocked. ERROR_INVALID: a file that
 * cannot be read, by name and line. */
MUST_CHECK int registry_hosts_find(struct registry_hosts *h,
                                   const struct registry_reference *ref,
                                   enum registry_hosts_use use,
                                   struct registry_endpoints *out,
                                   struct error *err);

/* How a host ("host" or "host:port") is to be spoken to. Borrowed until the end of `h`. */
struct registry_host_trust {
    bool is_insecure;      /* http, and unverified certificates, are fine */
    const char *ca_file;   /* further authorities, or NULL */
    const char *cert_file; /* what we show, or NULL */
    const char *key_file;
};
/* Nothing is what a host has that no file speaks of; what cannot be read is told by
 * registry_hosts_find. */
void registry_hosts_trust(struct registry_hosts *h,
                          struct view host,
                          struct registry_host_trust *out);

/* A mirror that gave no answer at all is left alone for the rest of this process: each
 * request would wait for it. */
void registry_hosts_lose(struct registry_hosts *h, const char *host);
bool registry_hosts_is_lost(struct registry_hosts *h, const char *host);
