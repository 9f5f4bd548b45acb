/*
 * What a build would do, and why, without doing it: `cooper explain`.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"

#include <stddef.h>

enum build_explained_state {
    BUILD_EXPLAINED_CACHED, /* an earlier result would be used */
    BUILD_EXPLAINED_RUNS,
    BUILD_EXPLAINED_IMAGE, /* a base image: neither */
};

struct build_explained {
    char *title; /* "[web 2/5] RUN make" */
    unsigned line;
    enum build_explained_state state;
    char *reason; /* why it is not cached; of an image: what changed; or NULL */
    /* The step because of which this one would run, NULL if of its own accord. Should that
     * step give the files that it gave before, this one is cached after all. */
    char *cause;
};

struct build_explanation {
    struct build_explained *steps; /* those that the target needs, in order */
    size_t count;
    unsigned cached;
    unsigned runs;
};

void build_explanation_release(struct build_explanation *e); /* idempotent */

/* Plans the build as build_run does (base images' configs may be asked for) and looks into
 * the cache; runs nothing, fetches no layer and changes no ref. Errors: as build_run. */
MUST_CHECK int build_explain(const struct build_environment *env,
                             const struct build_request *request,
                             struct build_explanation *out,
                             struct error *err);
