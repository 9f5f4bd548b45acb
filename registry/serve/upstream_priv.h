/* Within registry/serve/upstream*.c. */
#pragma once

#include "registry/client.h"
#include "registry/reference.h"
#include "registry/serve/upstream.h"

#include <pthread.h>
#include <stdatomic.h>

/* A question to the upstream that is under way: whoever has the same one waits. */
struct upstream_question {
    struct upstream_question *next;
    const char *text; /* the asker's */
};

struct serve_upstream {
    struct registry_client *client;
    char *host; /* as in references: "docker.io", "localhost:5000" */
    bool is_hub;
    unsigned ttl_s;
    void (*complain)(void *context, const char *text);
    void *complain_context;
    atomic_bool cancelled;
    atomic_uint_fast64_t manifests;
    atomic_uint_fast64_t blobs;
    atomic_uint_fast64_t bytes;
    atomic_uint_fast64_t failures;
    pthread_mutex_t lock;   /* guards everything below */
    pthread_cond_t changed; /* a question or a download ended */
    struct upstream_question *questions;
    struct serve_download *downloads; /* that go on */
    unsigned download_count;          /* their threads */
    bool is_down;
    int64_t retry_s; /* not asked before that, if there is another way */
};

/* The repository as the upstream calls it. To be released. */
void upstream_reference(const struct serve_upstream *u,
                        const char *repository,
                        struct registry_reference *out);
int64_t upstream_now_s(void);
