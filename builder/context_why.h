/*
 * What a build context holds, and which line of .dockerignore leaves out or takes back each
 * of its files.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "cas/entry.h"
#include "parser/ignore.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUILD_CONTEXT_NO_RULE SIZE_MAX

/* A file, link or device; directories only stand around them. */
struct build_context_file {
    struct view path; /* borrowed from the report */
    uint64_t size;    /* bytes; of a file with several names each counts */
    enum cas_entry_type type;
    bool is_sent;
    size_t rule; /* which of `rules` decided, or BUILD_CONTEXT_NO_RULE */
};

struct build_context_rule {
    struct dockerfile_ignore_rule rule; /* line, pattern; source is the report's */
    uint64_t files;                     /* that it left out, or took back */
    uint64_t size;
    char **tops; /* the first paths of these, directories with a slash at the end */
    size_t top_count;
    uint64_t tops_in_all;
};

struct build_context_report {
    char *context;                    /* as typed, without secrets */
    char *ignore_name;                /* NULL: there is no .dockerignore */
    struct build_context_file *files; /* in the order of paths */
    size_t count;
    struct build_context_rule *rules; /* in the order of the file */
    size_t rule_count;
    uint64_t sent_files;
    uint64_t sent_size;
    uint64_t ignored_files;
    uint64_t ignored_size;
    void *owned; /* what all of it borrows from */
};

void build_context_report_release(struct build_context_report *r); /* idempotent */

/* Reads all of the request's context. `env` needs a store, and a registry for contexts that
 * are elsewhere. */
MUST_CHECK int build_context_report_make(const struct build_environment *env,
                                         const struct build_request *request,
                                         struct build_context_report *out,
                                         struct error *err);
