#include "cli/session.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/userns.h"
#include "builder/trust.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "parser/yaml.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Registries that are spoken to without TLS, separated by commas. */
#define ENV_INSECURE "COOPER_INSECURE_REGISTRIES"
/* Seconds after which a transfer that stands still ends. */
#define ENV_STALL   "COOPER_STALL_TIMEOUT"
#define STALL_MAX_S 3600u
/* Blobs, and parts of them, at once. */
#define ENV_TRANSFERS "COOPER_TRANSFERS"
#define TRANSFERS_MAX 64u

void cli_session_init(struct cli_session *s)
{
    *s = (struct cli_session){.real_uid = getuid()};
}

void cli_session_tidy(struct cli_session *s)
{
    if (s->store != NULL && !cli_interrupted())
        cli_storage_tidy(s->store, &s->storage_budget);
}

void cli_session_release(struct cli_session *s)
{
    registry_client_freep(&s->registry);
    free(s->ca_file);
    s->ca_file = NULL;
    if (s->ca_fd > 0)
        close(s->ca_fd);
    s->ca_fd = 0;
    sandbox_helper_stopp(&s->sandbox);
    cas_limit_end(&s->limit);
    cas_store_closep(&s->store);
    cli_texts_release(&s->insecure_registries);
    free(s->insecure_text);
    s->insecure_text = NULL;
}

int cli_session_isolate(struct cli_session *s, const char *isolation, struct error *err)
{
    return isolation == NULL ? 0 : sandbox_isolation_parse(isolation, &s->isolation, err);
}

int cli_session_enter(struct cli_session *s, struct error *err)
{
    const int grade = sandbox_userns_enter(s->isolation, &s->grade_why, err);

    if (grade < 0)
        return -1;
    s->grade = (enum sandbox_grade)grade;
    log_debug("session: isolation: %s", sandbox_grade_name(s->grade));
    if (s->grade_why != NULL)
        log_debug("session: %s", s->grade_why);
    return 0;
}

int cli_session_enter_sandbox(struct cli_session *s, bool required, struct error *err)
{
    if (cli_session_enter(s, err) < 0)
        return -1;
    if (s->grade == SANDBOX_GRADE_NONE && s->isolation != SANDBOX_ISOLATION_NONE)
        (void)error_set(err, ERROR_UNSUPPORTED, "%s",
                        s->grade_why != NULL ? s->grade_why : "no namespace can be had");
    else
        s->sandbox = sandbox_helper_start(s->grade, err);
    if (s->sandbox != NULL)
        return 0;
    if (required || err->code != ERROR_UNSUPPORTED)
        return -1;
    cli_message_warning("no command can be run here: %s; cooper doctor tells more",
                        error_text(err));
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
    if (s->store != NULL &&
        cli_storage_hold_limit(s->store, &s->storage_limit, &s->limit, err) < 0)
        cas_store_closep(&s->store);
    return s->store;
}

/* What libcurl would take by itself is replaced by a file that one names. */
static void trusted_read(struct buf *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* the system's, then */
    const char *const given = getenv("SSL_CERT_FILE");

    if (given != NULL && given[0] != '\0' &&
        fs_read_file_at(AT_FDCWD, given, out, &ignored) == 0)
        return;
    buf_clear(out);
    build_trust_system(out);
}

int cli_session_trust(struct cli_session *s, struct view ca, struct error *err)
{
    CLEANUP(buf_release) struct buf trusted = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf all = BUF_INIT(LIMIT_TEXT_SIZE);

    if (ca.size == 0)
        return 0;
    trusted_read(&trusted);
    build_trust_join(buf_view(&trusted), ca, &all);
    s->ca_fd = memfd_create("cooper-ca", MFD_CLOEXEC);
    if (s->ca_fd < 0)
        return error_sys(err, "memfd_create");
    s->ca_file = base_format("/proc/self/fd/%d", s->ca_fd);
    if (buf_ok(&all, "the certificates", err) < 0)
        return -1;
    return fs_write_all(s->ca_fd, all.data, all.size, err);
}

/* A number from 1 to `max` of this variable; 0: the default. */
static uint32_t env_number(const char *variable, uint32_t max, const char *unit)
{
    const char *const given = getenv(variable);
    uint64_t number = 0;

    if (given == NULL || given[0] == '\0')
        return 0;
    if (view_to_u64(view_of(given), &number) && number >= 1 && number <= max)
        return (uint32_t)number;
    cli_message_warning("%s is not from 1 to %u%s: its default is used", variable, max,
                        unit);
    return 0;
}

/* The texts are borrowed by whoever gets them: they last as long as the session. */
static void insecure_read(struct cli_session *s)
{
    char *next;

    if (s->insecure_text != NULL || getenv(ENV_INSECURE) == NULL)
        return;
    next = s->insecure_text = base_strdup(getenv(ENV_INSECURE));
    while (next != NULL && *next != '\0')
        cli_texts_add(&s->insecure_registries, strsep(&next, ","));
}

void cli_session_insecure(struct cli_session *s, struct cli_texts *out)
{
    insecure_read(s);
    for (size_t i = 0; i < s->insecure_registries.count; i++)
        cli_texts_add(out, s->insecure_registries.items[i]);
}

struct registry_client *cli_session_registry(struct cli_session *s)
{
    CLEANUP(cli_texts_release) struct cli_texts insecure = {0};

    if (s->registry != NULL)
        return s->registry;
    cli_session_insecure(s, &insecure);
    const struct registry_client_options options = {
        .hosts = {.reads_files = true, .parse_yaml = yaml_doc_parse},
        .http =
            {
                .insecure_hosts = insecure.items,
                .insecure_host_count = insecure.count,
                .ca_file = s->ca_file,
                .stall_timeout_ms = env_number(ENV_STALL, STALL_MAX_S, " (seconds)") * 1000,
                .cancelled = cli_interrupt_atomic(),
            },
        .parallel = env_number(ENV_TRANSFERS, TRANSFERS_MAX, ""),
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
