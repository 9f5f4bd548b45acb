#include "registry/credential_helper.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Secrets went through these buffers. */
static void secret_buf_release(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->capacity);
    buf_release(b);
}

/* The names come from a file; the program is looked up on the PATH and nowhere else. */
static int name_check(const char *helper, struct error *err)
{
    for (const char *c = helper; *c; c++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.",
                    *c))
            return error_set(err, ERROR_INVALID, "credential helper with a strange name");
    }
    if (!*helper)
        return error_set(err, ERROR_INVALID, "credential helper without a name");
    return 0;
}

/* A file in memory: the helper can read it at its own pace and nobody blocks or gets
 * SIGPIPE. */
static int input_open(struct view input, struct error *err)
{
    CLEANUP(fd_closep) int fd = memfd_create("credential", MFD_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "create a file in memory");
    if (fs_write_all(fd, input.data, input.size, err) < 0)
        return -1;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, "rewind a file in memory");
    return fd_take(&fd);
}

static int spawn(
    const char *program, const char *verb, int in, int out, pid_t *pid, struct error *err)
{
    char *const argv[] = {base_strdup(program), base_strdup(verb), NULL};
    posix_spawn_file_actions_t actions;
    int rc = posix_spawn_file_actions_init(&actions);

    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (rc == 0)
        rc = posix_spawnp(pid, program, &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    free(argv[0]);
    free(argv[1]);
    if (rc != 0) {
        errno = rc;
        return error_sys(err, "start %s", program);
    }
    return 0;
}

static int reap(pid_t pid, const char *program, int *status, struct error *err)
{
    while (waitpid(pid, status, 0) < 0) {
        if (errno != EINTR)
            return error_sys(err, "wait for %s", program);
    }
    return 0;
}

static int run(const char *program,
               const char *verb,
               struct view input,
               struct buf *output,
               int *status,
               struct error *err)
{
    CLEANUP(fd_closep) int in = input_open(input, err);
    CLEANUP(error_clear) struct error read_error = ERROR_INIT;
    int ends[2];
    pid_t pid;

    if (in < 0)
        return -1;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, "create a pipe");
    CLEANUP(fd_closep) int from = ends[0];
    CLEANUP(fd_closep) int to = ends[1];
    if (spawn(program, verb, in, to, &pid, err) < 0)
        return -1;
    fd_closep(&to);
    const int read = fs_read_all(from, output, &read_error);
    fd_closep(&from);
    if (reap(pid, program, status, err) < 0)
        return -1;
    return read < 0 ? error_move(err, &read_error) : 0;
}

/* What the helper said on failure, as docker shows it: its first line. */
static int helper_failed(const char *program,
                         const char *verb,
                         const struct buf *output,
                         struct error *err)
{
    struct view line, rest;

    (void)view_cut(view_trim(buf_view(output)), '\n', &line, &rest);
    return error_set(err, ERROR_DENIED, "%s %s: %.*s", program, verb,
                     VIEW_ARG(view_sub(line, 0, 200)));
}

static int call(const char *helper,
                const char *verb,
                struct view input,
                struct buf *output,
                bool *found,
                struct error *err)
{
    int status;

    if (name_check(helper, err) < 0)
        return -1;
    CLEANUP(base_freep) char *program = base_format("docker-credential-%s", helper);
    if (run(program, verb, input, output, &status, err) < 0)
        return error_wrap(err, "credential helper %s", helper);
    *found = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (*found)
        return 0;
    if (output->size && (strstr(buf_text(output), "credentials not found") ||
                         strstr(buf_text(output), "no credentials server URL")))
        return 0;
    return helper_failed(program, verb, output, err);
}

static int read_answer(struct view text, struct registry_credential *out, struct error *err)
{
    CLEANUP(error_clear)
    struct error detail = ERROR_INIT; /* would quote what it could not read */
    CLEANUP(doc_unrefp) struct doc *d = doc_parse(text, &detail);
    const char *username = doc_text(doc_get(d, "Username"));
    const char *secret = doc_text(doc_get(d, "Secret"));

    if (!username || !secret)
        return error_set(err, ERROR_INVALID, "the answer is not a user name and a secret");
    if (strcmp(username, "<token>") == 0)
        *out = (struct registry_credential){.identity_token = base_strdup(secret)};
    else
        *out = (struct registry_credential){.username = base_strdup(username),
                                            .password = base_strdup(secret)};
    return 0;
}

int registry_helper_get(const char *helper,
                        const char *server,
                        bool *found,
                        struct registry_credential *out,
                        struct error *err)
{
    CLEANUP(secret_buf_release) struct buf output = BUF_INIT(LIMIT_HTTP_BODY_SMALL);

    if (call(helper, "get", view_of(server), &output, found, err) < 0)
        return -1;
    if (*found && read_answer(buf_view(&output), out, err) < 0)
        return error_wrap(err, "credential helper %s", helper);
    return 0;
}

int registry_helper_store(const char *helper,
                          const char *server,
                          const struct registry_credential *credential,
                          struct error *err)
{
    CLEANUP(secret_buf_release) struct buf input = BUF_INIT(LIMIT_HTTP_BODY_SMALL);
    CLEANUP(secret_buf_release) struct buf output = BUF_INIT(LIMIT_HTTP_BODY_SMALL);
    CLEANUP(doc_unrefp) struct doc *d = doc_new_object();
    const bool token = credential->identity_token != NULL;
    bool done;

    doc_set_text(d, "ServerURL", server);
    doc_set_text(d, "Username", token ? "<token>" : credential->username);
    doc_set_text(d, "Secret", token ? credential->identity_token : credential->password);
    doc_write(d, DOC_WRITE_COMPACT, &input);
    if (call(helper, "store", buf_view(&input), &output, &done, err) < 0)
        return -1;
    return done ? 0
                : error_set(err, ERROR_DENIED,
                            "credential helper %s did not keep the credential", helper);
}

int registry_helper_erase(const char *helper, const char *server, struct error *err)
{
    CLEANUP(buf_release) struct buf output = BUF_INIT(LIMIT_HTTP_BODY_SMALL);
    bool found;

    if (call(helper, "erase", view_of(server), &output, &found, err) < 0)
        return -1;
    return found ? 0
                 : error_set(err, ERROR_NOT_FOUND,
                             "credential helper %s has nothing for %s", helper, server);
}
