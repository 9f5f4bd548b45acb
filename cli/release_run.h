/*
 * What `cooper release` and `cooper promote` have in common: options, the plan and how it
 * is shown, the run.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cli/args.h"
#include "cli/session.h"
#include "registry/reference.h"
#include "release/publish.h"

#include <stdbool.h>
#include <stddef.h>

struct cli_release_options {
    const char *scheme;
    const char *move;
    const char *message;
    const char *format;
    const char *progress;
    struct cli_texts annotations;
    struct cli_texts write_digest;
    bool backport;
    bool dry_run;
    bool quiet;
};

/* Rows of the table of options for a command whose struct is `struct type` and has these as
 * its member `common`. */
#define CLI_RELEASE_OPTIONS(type)                                                          \
    {0,                                                                                    \
     "scheme",                                                                             \
     CLI_OPTION_TEXT,                                                                      \
     "SCHEME",                                                                             \
     "semver (default), calver or any",                                                    \
     offsetof(struct type, common.scheme)},                                                \
        {0,                                                                                \
         "move",                                                                           \
         CLI_OPTION_TEXT,                                                                  \
         "TAG,...",                                                                        \
         "Tags that follow (default {major}.{minor},{major},latest), or none",             \
         offsetof(struct type, common.move)},                                              \
        {0,                                                                                \
         "backport",                                                                       \
         CLI_OPTION_SWITCH,                                                                \
         NULL,                                                                             \
         "May be older than the newest version of its line",                               \
         offsetof(struct type, common.backport)},                                          \
        {'m',                                                                              \
         "message",                                                                        \
         CLI_OPTION_TEXT,                                                                  \
         "TEXT",                                                                           \
         "Why, for the history",                                                           \
         offsetof(struct type, common.message)},                                           \
        {0,                                                                                \
         "annotation",                                                                     \
         CLI_OPTION_TEXTS,                                                                 \
         "KEY=VALUE",                                                                      \
         "For the history's entry",                                                        \
         offsetof(struct type, common.annotations)},                                       \
        {0,                                                                                \
         "write-digest",                                                                   \
         CLI_OPTION_TEXTS,                                                                 \
         "[FORM=]FILE",                                                                    \
         "Write the digest; forms: ref, kustomize, helm",                                  \
         offsetof(struct type, common.write_digest)},                                      \
        {0,                                                                                \
         "dry-run",                                                                        \
         CLI_OPTION_SWITCH,                                                                \
         NULL,                                                                             \
         "Show what would be done",                                                        \
         offsetof(struct type, common.dry_run)},                                           \
        {0,                                                                                \
         "format",                                                                         \
         CLI_OPTION_TEXT,                                                                  \
         "FORMAT",                                                                         \
         "table (default) or json",                                                        \
         offsetof(struct type, common.format)},                                            \
        {0,                                                                                \
         "progress",                                                                       \
         CLI_OPTION_TEXT,                                                                  \
         "MODE",                                                                           \
         "auto, plain, tty, quiet or rawjson",                                             \
         offsetof(struct type, common.progress)},                                          \
    {                                                                                      \
        'q', "quiet", CLI_OPTION_SWITCH, NULL, "Print only REPOSITORY@DIGEST",             \
            offsetof(struct type, common.quiet)                                            \
    }

/* What is released, and how it gets there. */
struct cli_release {
    const char *command; /* "release", "promote" */
    const struct cli_release_options *options;
    const struct registry_reference *target; /* the repository */
    const char *version;                     /* as typed */
    struct digest digest;
    const char *source;       /* what was named, for the history; or NULL */
    const struct doc *known;  /* annotations; may be NULL */
    const struct doc *config; /* for annotations; may be NULL */
    bool is_from_here;        /* see cli/release_facts.h */
    /* Brings it to `to`, the repository with the digest. */
    int (*bring)(void *context,
                 const struct registry_reference *to,
                 const struct event_sink *sink,
                 struct error *err);
    void *context;
};

/* Wrong usage is found before anything is asked. */
MUST_CHECK int cli_release_check(const struct cli_release_options *o, struct error *err);
MUST_CHECK int cli_release_run(struct cli_session *session,
                               const struct cli_release *release,
                               struct error *err);

/* "1.4.2 (3f2a9c01b7e4)", or the digest alone; "-" if it is not set. malloc'ed. */
char *cli_release_state(const struct release_log *log, const struct digest *digest);
/* Text that came from a registry, for a terminal: control characters become "?". malloc'ed;
 * NULL is "". */
char *cli_release_clean(const char *text);

/* Does the name have a registry in it ("localhost:5000/app", "ghcr.io/x"), so that one may
 * be asked? */
bool cli_release_has_host(const char *text);
