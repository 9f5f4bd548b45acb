/* cooper login [SERVER], cooper logout [SERVER] */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cli/message.h"
#include "cli/prompt.h"
#include "registry/config.h"
#include "registry/credential.h"

#include <stddef.h>
#include <unistd.h>

#define HUB_HOST "docker.io"

struct login_options {
    const char *username;
    bool password_stdin;
};

static const struct cli_option options[] = {
    {'u', "username", CLI_OPTION_TEXT, "NAME", "The user (default: asked for)",
     offsetof(struct login_options, username)},
    {0, "password-stdin", CLI_OPTION_SWITCH, NULL,
     "Read the password or token from standard input",
     offsetof(struct login_options, password_stdin)},
};

/* --- The server ---------------------------------------------------------------------- */

static bool is_hub(struct view host)
{
    return view_eq_text(host, "index.docker.io") ||
           view_eq_text(host, "registry-1.docker.io") || view_eq_text(host, HUB_HOST);
}

/* "https://HOST[:PORT]/v2/" and "HOST[:PORT]" as references name it; malloc'ed. */
static char *server_parse(const struct cli_texts *arguments, struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference reference = {0};
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* ours says more */
    struct view rest = view_of(arguments->count > 0 ? arguments->items[0] : HUB_HOST);
    struct view host, path;

    if (view_starts(rest, "https://"))
        rest = view_sub(rest, 8, rest.size);
    else if (view_starts(rest, "http://"))
        rest = view_sub(rest, 7, rest.size);
    (void)view_cut(rest, '/', &host, &path);
    if (is_hub(host))
        return base_strdup(HUB_HOST);
    if (path.size > 0 && path.data[path.size - 1] == '/')
        path.size--;
    CLEANUP(base_freep) char *text = base_format("%.*s/x", VIEW_ARG(host));
    if ((path.size > 0 && !view_eq_text(path, "v1") && !view_eq_text(path, "v2")) ||
        registry_reference_parse(view_of(text), &reference, &ignored) < 0 ||
        !view_eq_text(host, reference.host)) {
        (void)error_set(err, ERROR_USAGE,
                        "'%s' is no registry: HOST[:PORT], such as registry.example.org",
                        arguments->items[0]);
        return NULL;
    }
    return view_dup(host);
}

/* --- What is typed ------------------------------------------------------------------- */

static void secret_release(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->capacity);
    buf_release(b);
}

/* Everything, without the line end that echo adds; malloc'ed. */
static char *password_read(struct error *err)
{
    CLEANUP(secret_release) struct buf text = BUF_INIT(LIMIT_SECRET_SIZE);

    if (fs_read_all(STDIN_FILENO, &text, err) < 0) {
        (void)error_wrap(err, "standard input");
        return NULL;
    }
    struct view v = buf_view(&text);
    if (v.size > 0 && v.data[v.size - 1] == '\n')
        v.size--;
    if (v.size > 0 && v.data[v.size - 1] == '\r')
        v.size--;
    if (v.size == 0 || memchr(v.data, '\0', v.size) != NULL) {
        (void)error_set(err, ERROR_USAGE, "standard input holds no password");
        return NULL;
    }
    return view_dup(v);
}

static char *ask(const char *question, bool is_secret, struct error *err)
{
    char *const answer = cli_prompt(question, is_secret, err);

    if (answer == NULL && error_is(err, ERROR_NOT_FOUND))
        (void)error_set(err, ERROR_USAGE,
                        "there is no terminal to ask at: use --username and "
                        "--password-stdin");
    if (answer == NULL || answer[0] != '\0')
        return answer;
    free(answer);
    (void)error_set(err, ERROR_USAGE, "an empty answer");
    return NULL;
}

static int credential_read(const struct login_options *o,
                           struct registry_credential *out,
                           struct error *err)
{
    if (o->password_stdin && o->username == NULL)
        return error_set(err, ERROR_USAGE, "--password-stdin needs --username");
    out->username =
        o->username != NULL ? base_strdup(o->username) : ask("Username: ", false, err);
    if (out->username == NULL)
        return -1;
    if (out->username[0] == '\0' || strchr(out->username, ':') != NULL)
        return error_set(err, ERROR_USAGE, "a user name is not empty and has no colon");
    out->password = o->password_stdin ? password_read(err) : ask("Password: ", true, err);
    return out->password != NULL ? 0 : -1;
}

/* --- Login --------------------------------------------------------------------------- */

/* What is there already still serves? *done: then there is nothing to ask for. */
static int login_again(struct registry_client *c,
                       const char *host,
                       bool *done,
                       struct error *err)
{
    CLEANUP(registry_credential_release) struct registry_credential stored = {0};
    CLEANUP(error_clear) struct error refused = ERROR_INIT;
    bool found = false;

    if (registry_config_find(registry_client_config(c), host, NULL, &found, &stored, err) <
        0)
        return -1;
    if (!found)
        return 0;
    *done = registry_client_ping(c, host, NULL, &refused) == 0;
    return *done || error_is(&refused, ERROR_DENIED) ? 0 : error_move(err, &refused);
}

static int login_keep(struct registry_client *c,
                      const char *host,
                      const struct registry_credential *credential,
                      struct error *err)
{
    CLEANUP(registry_credential_release) struct registry_credential keep = {0};
    CLEANUP(base_freep) char *place = NULL;
    bool is_plain = false;

    if (registry_client_login(c, host, credential, &keep, err) < 0 ||
        registry_config_store(registry_client_config(c), host, &keep, err) < 0 ||
        registry_config_place(registry_client_config(c), host, &place, &is_plain, err) < 0)
        return -1;
    if (is_plain && keep.identity_token == NULL)
        cli_message_warning("the password is in %s as it is; a credential helper "
                            "(\"credsStore\" there) would keep it better",
                            place);
    return 0;
}

static int login_run(struct cli_session *session,
                     const void *opaque,
                     const struct cli_texts *arguments,
                     struct error *err)
{
    const struct login_options *const o = opaque;
    CLEANUP(registry_credential_release) struct registry_credential credential = {0};
    CLEANUP(base_freep) char *host = server_parse(arguments, err);
    struct registry_client *const c = cli_session_registry(session);
    bool done = false;

    if (host == NULL)
        return -1;
    if (o->username == NULL && !o->password_stdin && login_again(c, host, &done, err) < 0)
        return error_wrap(err, "login to %s", host);
    if (!done && credential_read(o, &credential, err) < 0)
        return -1;
    if (!done && login_keep(c, host, &credential, err) < 0)
        return error_wrap(err, "login to %s", host);
    puts("Login Succeeded");
    return 0;
}

const struct cli_command cli_command_login = {
    .name = "login",
    .usage = "[OPTIONS] [SERVER]",
    .summary = "Keep a user name and password for a registry",
    .details =
        "SERVER is HOST[:PORT]; without it Docker Hub. The registry is asked whether it\n"
        "accepts them. They are kept where docker keeps them: in the credential helper "
        "that\n"
        "its config.json names, else in that file, or in $REGISTRY_AUTH_FILE. A password "
        "is\n"
        "never an argument, as every user of the machine can read those.",
    CLI_OPTIONS(options, struct login_options),
    .argument_min = 0,
    .argument_max = 1,
    .run = login_run,
};

/* --- Logout -------------------------------------------------------------------------- */

static int logout_run(struct cli_session *session,
                      const void *opaque,
                      const struct cli_texts *arguments,
                      struct error *err)
{
    CLEANUP(base_freep) char *host = server_parse(arguments, err);
    struct registry_config *const config =
        registry_client_config(cli_session_registry(session));

    (void)opaque;
    if (host == NULL || registry_config_erase(config, host, err) < 0)
        return -1;
    printf("Removed login credentials for %s\n", host);
    return 0;
}

const struct cli_command cli_command_logout = {
    .name = "logout",
    .usage = "[SERVER]",
    .summary = "Forget what 'cooper login' keeps for a registry",
    .argument_min = 0,
    .argument_max = 1,
    .run = logout_run,
};
