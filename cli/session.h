/*
 * What a command works with: the store, the registry client, the sandbox. Each is made when
 * it is first asked for, so that a command pays only for what it uses.
 *
 * Order matters: whoever touches files owned by subordinate ids enters the user namespace
 * first, and a helper for steps is forked before any thread. Both calls are the first thing
 * a command does.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/sandbox/userns.h"
#include "cas/store.h"
#include "cli/args.h"
#include "cli/storage.h"
#include "registry/client.h"

#include <stdbool.h>
#include <sys/types.h>

struct sandbox_helper;

struct cli_session {
    const char *root;                     /* --root, or NULL */
    struct cli_texts insecure_registries; /* --insecure-registry, and the environment's */
    char *insecure_text;                  /* what they lie in; NULL: not read yet */
    struct cli_storage_size storage_budget;
    struct cli_storage_size storage_limit;
    bool debug;
    enum sandbox_isolation isolation; /* --isolation */
    enum sandbox_grade grade;         /* of cli_session_enter */
    const char *grade_why;            /* what would give a better one; or NULL */
    uid_t real_uid;                   /* outside of any user namespace of ours */
    int exit_code;    /* of a command that succeeded: 0, but for `run` and the like */
    int failure_code; /* where not 0: in place of 1, for commands whose 1 is an answer */
    struct cas_store *store;
    struct cas_limit limit; /* of the store, where --storage-limit is given */
    struct registry_client *registry;
    char *ca_file; /* what registries' certificates are checked with; NULL: the default */
    int ca_fd;     /* the memory that it lies in; 0: none */
    struct sandbox_helper *sandbox;
};

void cli_session_init(struct cli_session *s);
void cli_session_release(struct cli_session *s); /* idempotent */
/* When all is said: brings the store back to its budget if the command wrote to it. */
void cli_session_tidy(struct cli_session *s);

/* --isolation of a command, where it is given (not NULL): counts more than the global one.
 */
MUST_CHECK int cli_session_isolate(struct cli_session *s,
                                   const char *isolation,
                                   struct error *err);
/* Enters a user namespace unless this is root: for commands that unpack, delete or run. */
MUST_CHECK int cli_session_enter(struct cli_session *s, struct error *err);
/* The same, and starts the process that runs steps. Where this machine allows none it is an
 * error only if one is required: a build without RUN needs none. */
MUST_CHECK int cli_session_enter_sandbox(struct cli_session *s,
                                         bool required,
                                         struct error *err);
/* Borrowed from the session. */
MUST_CHECK struct cas_store *cli_session_store(struct cli_session *s, struct error *err);
/* Hosts that may be spoken to without verified TLS: of the option and of the environment.
 * *out is empty, and to be released; its texts last as long as the session. */
void cli_session_insecure(struct cli_session *s, struct cli_texts *out);
struct registry_client *cli_session_registry(struct cli_session *s);
/* Trusts these PEM certificates, besides what is trusted anyway: for registries. Before
 * cli_session_registry. */
MUST_CHECK int cli_session_trust(struct cli_session *s, struct view ca, struct error *err);
/* Store, registry and sandbox (if it was started) as the builder takes them. */
MUST_CHECK int cli_session_environment(struct cli_session *s,
                                       struct event_sink sink,
                                       struct build_environment *out,
                                       struct error *err);
