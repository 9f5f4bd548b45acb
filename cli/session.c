#include "cli/session.h"

#include "base/alloc.h"
#include "base/log.h"
#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/userns.h"
#include "cli/interrupt.h"
#include "cli/message.h"

#include <unistd.h>

/* Registries that are spoken to without TLS, separated by commas. */
#define ENV_INSECURE "COOPER_INSECURE_REGISTRIES"

void cli_session_init(struct cli_session *s)
{
    *s = (struct cli_session){.real_uid = getuid()};
}

void cli_session_release(struct cli_session *s)
{
    registry_client_freep(&s->registry);
    sandbox_helper_stopp(&s->sandbox);
    cas_store_closep(&s->store);
    cli_texts_release(&s->insecure_registries);
}

int cli_session_enter(struct cli_session *s, struct error *err)
{
    const char *why = NULL;
    const int grade = sandbox_userns_enter(&why, err);

    (void)s;
    if (grade < 0)
        return -1;
    log_debug("session: %s", sandbox_grade_name((enum sandbox_grade)grade));
    if (grade == SANDBOX_GRADE_SINGLE_ID && why != NULL)
        log_debug("session: %s", why);
    return 0;
}

int cli_session_enter_sandbox(struct cli_session *s, bool required, struct error *err)
{
    if (cli_session_enter(s, err) < 0)
        return -1;
    s->sandbox = sandbox_helper_start(err);
    if (s->sandbox != NULL)
        return 0;
    if (required || err->code != ERROR_UNSUPPORTED)
        return -1;
    cli_message_warning("no command can be run here: %s", error_text(err));
    error_clear(err);
    return 0;
}

struct cas_store *cli_session_store(struct cli_session *s, struct error *err)
{
    CLEANUP(base_freep) char *path = NULL;

    if (s->store != NULL)
        return s->store;
    path = s->root != NULL ? base_strdup(s->root) : cas_store_default_path(s->real_uid);
    s->store = cas_store_open(path, CAS_STORE_OPEN_DEFAULT, err);
    return s->store;
}

struct registry_client *cli_session_registry(struct cli_session *s)
{
    CLEANUP(cli_texts_release) struct cli_texts insecure = {0};
    CLEANUP(base_freep) char *listed = base_strdup(getenv(ENV_INSECURE));
    char *next = listed;

    if (s->registry != NULL)
        return s->registry;
    for (size_t i = 0; i < s->insecure_registries.count; i++)
        cli_texts_add(&insecure, s->insecure_registries.items[i]);
    while (next != NULL && *next != '\0')
        cli_texts_add(&insecure, strsep(&next, ","));

    const struct registry_client_options options = {
        .http =
            {
                .insecure_hosts = insecure.items,
                .insecure_host_count = insecure.count,
                .cancelled = cli_interrupt_atomic(),
            },
    };
    s->registry = registry_client_new(&options);
    return s->registry;
}

int cli_session_environment(struct cli_session *s,
                            struct event_sink sink,
                            struct build_environment *out,
                            struct error *err)
{
    struct cas_store *const store = cli_session_store(s, err);

    if (store == NULL)
        return -1;
    *out = (struct build_environment){
        .store = store,
        .registry = cli_session_registry(s),
        .sandbox = s->sandbox,
        .sink = sink,
    };
    return 0;
}
