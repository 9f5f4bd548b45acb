/* cooper serve: the embedded registry on the store. */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/storage.h"
#include "registry/serve/server.h"

#include <fcntl.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#define LISTEN_DEFAULT  "127.0.0.1:5000"
#define GRACE_DEFAULT_S 30u
#define TTL_DEFAULT_S   60u
/* A signal ends the wait; the rest has seconds of time. */
#define LOOK_EVERY_MS 250

struct serve_options {
    const char *listen;
    const char *name;
    bool readonly;
    bool pushed_only;
    bool no_sparse;
    const char *tls_cert;
    const char *tls_key;
    const char *auth;
    struct cli_texts immutable;
    const char *upstream;
    const char *upstream_ttl; /* a text, as 0 is a value of its own */
    uint64_t max_upload;
    unsigned upload_expiry;
    const char *access_log;
    unsigned grace;
};

static const struct cli_option options[] = {
    {'l', "listen", CLI_OPTION_TEXT, "HOST:PORT", "Where to listen (127.0.0.1:5000)",
     offsetof(struct serve_options, listen)},
    {0, "name", CLI_OPTION_TEXT, "HOST[:PORT]",
     "What images of this registry are called (localhost:PORT)",
     offsetof(struct serve_options, name)},
    {0, "readonly", CLI_OPTION_SWITCH, NULL, "Allow pulls only",
     offsetof(struct serve_options, readonly)},
    {0, "pushed-only", CLI_OPTION_SWITCH, NULL,
     "Do not show images of the store that were not pushed",
     offsetof(struct serve_options, pushed_only)},
    {0, "no-sparse", CLI_OPTION_SWITCH, NULL,
     "Refuse manifests that name images or layers that are not there",
     offsetof(struct serve_options, no_sparse)},
    {0, "tls-cert", CLI_OPTION_TEXT, "FILE", "Speak TLS with this certificate chain (PEM)",
     offsetof(struct serve_options, tls_cert)},
    {0, "tls-key", CLI_OPTION_TEXT, "FILE", "The certificate's private key (PEM)",
     offsetof(struct serve_options, tls_key)},
    {0, "auth", CLI_OPTION_TEXT, "HTPASSWD",
     "Ask for a password; the file has USER:BCRYPT lines",
     offsetof(struct serve_options, auth)},
    {0, "immutable", CLI_OPTION_TEXTS, "PATTERN",
     "Tags, or REPOSITORY:TAG, that may be made but never moved (repeatable)",
     offsetof(struct serve_options, immutable)},
    {0, "upstream", CLI_OPTION_TEXT, "URL",
     "Fetch what is not here from this registry, and keep it",
     offsetof(struct serve_options, upstream)},
    {0, "upstream-ttl", CLI_OPTION_TEXT, "SECONDS",
     "Ask again where its tags point after so long (60)",
     offsetof(struct serve_options, upstream_ttl)},
    {0, "max-upload", CLI_OPTION_BYTES, "SIZE", "Largest blob that is taken (1t)",
     offsetof(struct serve_options, max_upload)},
    {0, "upload-expiry", CLI_OPTION_COUNT, "SECONDS",
     "End uploads that nobody goes on with (3600)",
     offsetof(struct serve_options, upload_expiry)},
    {0, "access-log", CLI_OPTION_TEXT, "FILE",
     "Append a line of JSON for each request; '-' is standard error",
     offsetof(struct serve_options, access_log)},
    {0, "grace", CLI_OPTION_COUNT, "SECONDS", "When stopped, time for requests to end (30)",
     offsetof(struct serve_options, grace)},
};

static void complain(void *context, const char *text)
{
    (void)context;
    cli_message_warning("%s", text);
}

/* -1 is none; with err set, a failure. */
static int open_log(const char *path, struct error *err)
{
    if (!path)
        return -1;
    if (strcmp(path, "-") == 0) {
        const int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
        return fd >= 0 ? fd : error_sys(err, "write the access log to standard error");
    }
    const int fd = fs_open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0640, err);
    return fd >= 0 ? fd : error_wrap(err, "access log %s", path);
}

static int announce(const struct serve_options *o,
                    const struct registry_server *server,
                    const char *store,
                    struct error *err)
{
    if (registry_server_is_exposed(server))
        cli_message_warning("%s can be reached by other machines without %s: whoever can "
                            "connect may %s",
                            registry_server_address(server),
                            o->tls_cert ? "a password (--auth)"
                            : !o->auth
                                ? "TLS and a password (--tls-cert, --tls-key, --auth)"
                                : "TLS (--tls-cert, --tls-key)",
                            o->auth       ? "read passwords on the way"
                            : o->readonly ? "pull every image"
                                          : "pull, push and delete images");
    printf("Serving %s at %s://%s as %s\n", store, o->tls_cert ? "https" : "http",
           registry_server_address(server), registry_server_name(server));
    return fflush(stdout) == 0 ? 0 : error_sys(err, "write to standard output");
}

static void serve_until_stopped(struct registry_server *server)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};

    for (unsigned n = 1; !cli_interrupted(); n++) {
        nanosleep(&pause, NULL);
        if (n % (1000 / LOOK_EVERY_MS) == 0)
            registry_server_maintain(server);
    }
}

/* --- The store's size --- */

static void adopt(void *context, struct cas_store *store)
{
    struct cli_session *session = context;
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    cas_limit_end(&session->limit);
    if (store != NULL && session->storage_limit.given &&
        cli_storage_hold_limit(store, &session->storage_limit, &session->limit, &err) < 0)
        cli_message_warning("--storage-limit: %s", error_text(&err));
}

static void tidy(void *context, struct cas_store *store)
{
    const struct cli_session *session = context;

    cli_storage_tidy(store, &session->storage_budget);
}

/* --- The command --- */

static int read_ttl(const struct serve_options *o, unsigned *out, struct error *err)
{
    uint64_t value = TTL_DEFAULT_S;

    if (o->upstream_ttl &&
        (!view_to_u64(view_of(o->upstream_ttl), &value) || value > UINT32_MAX))
        return error_set(err, ERROR_USAGE, "--upstream-ttl: '%s' is no number of seconds",
                         o->upstream_ttl);
    if (o->upstream_ttl && !o->upstream)
        return error_set(err, ERROR_USAGE, "--upstream-ttl needs --upstream");
    *out = (unsigned)value;
    return 0;
}

static int serve_run(struct cli_session *session,
                     const void *opaque,
                     const struct cli_texts *arguments,
                     struct error *err)
{
    const struct serve_options *const o = opaque;
    CLEANUP(base_freep)
    char *store = session->root ? base_strdup(session->root)
                                : cas_store_default_path(session->real_uid);
    CLEANUP(cli_texts_release) struct cli_texts insecure = {0};
    unsigned ttl_s;

    (void)arguments;
    if (read_ttl(o, &ttl_s, err) < 0)
        return -1;
    cli_session_insecure(session, &insecure);
    CLEANUP(fd_closep) int log = open_log(o->access_log, err);
    const struct registry_server_options server_options = {
        .store = store,
        .listen = o->listen ? o->listen : LISTEN_DEFAULT,
        .name = o->name,
        .tls_cert = o->tls_cert,
        .tls_key = o->tls_key,
        .htpasswd = o->auth,
        .is_readonly = o->readonly,
        .is_pushed_only = o->pushed_only,
        .is_whole_only = o->no_sparse,
        .immutable = o->immutable.items,
        .immutable_count = o->immutable.count,
        .upstream = o->upstream,
        .upstream_ttl_s = ttl_s,
        .insecure_hosts = (const char *const *)insecure.items,
        .insecure_host_count = insecure.count,
        .ca_file = session->ca_file,
        .adopt = adopt,
        .tidy = tidy,
        .storage_context = session,
        .upload_size_max = o->max_upload,
        .upload_expiry_s = o->upload_expiry,
        .access_log_fd = log,
        .complain = complain,
    };

    if (o->access_log && log < 0)
        return -1;
    struct registry_server *server = registry_server_start(&server_options, err);
    if (!server)
        return -1;
    const int result = announce(o, server, store, err);
    if (result == 0)
        serve_until_stopped(server);
    registry_server_stop(server, 1000 * (o->grace ? o->grace : GRACE_DEFAULT_S));
    return result;
}

const struct cli_command cli_command_serve = {
    .name = "serve",
    .usage = "[OPTIONS]",
    .summary = "Serve the store as a registry",
    .details =
        "Any client of registries can push to it and pull from it. What is pushed as\n"
        "localhost:5000/app:1 is the image localhost:5000/app:1 of the store; and images\n"
        "of the store can be pulled without having been pushed: app:1 as\n"
        "localhost:5000/app:1. SIGTERM and SIGINT end it when requests are done.",
    CLI_OPTIONS(options, struct serve_options),
    .is_interruptible = true,
    .run = serve_run,
};
