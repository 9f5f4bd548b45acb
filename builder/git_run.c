#include "builder/git_run.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "builder/build.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What git says when it fails is a few lines; a server may add to it. */
#define SAID_MAX ((size_t)64 << 10)
#define POLL_MS  100

/* --- The environment --- */

struct texts {
    char **items;
    size_t count;
    size_t capacity;
};

static void texts_release(struct texts *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->items[i])
            explicit_bzero(t->items[i], strlen(t->items[i]));
        free(t->items[i]);
    }
    free(t->items);
}

/* Takes `text`; NULL ends the list. */
static void add(struct texts *t, char *text)
{
    t->items = base_grow(t->items, t->count, &t->capacity, sizeof(char *));
    t->items[t->count++] = text;
}

static void pass_on(struct texts *t, const char *name)
{
    const char *value = getenv(name);

    if (value)
        add(t, base_format("%s=%s", name, value));
}

/* In single quotes, for the shell that git hands the command to. */
static char *quoted(const char *text)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    buf_append_char(&out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_append_text(&out, "'\\''");
        else
            buf_append_char(&out, *text);
    }
    buf_append_char(&out, '\'');
    return buf_take(&out);
}

/* --ssh default: another agent, or key files that are used alone. */
static void add_identity(struct texts *t, const struct build_ssh *ssh, struct buf *command)
{
    struct stat st;

    if (!ssh || ssh->path_count == 0) {
        pass_on(t, "SSH_AUTH_SOCK");
    } else if (stat(ssh->paths[0], &st) == 0 && S_ISSOCK(st.st_mode)) {
        add(t, base_format("SSH_AUTH_SOCK=%s", ssh->paths[0]));
    } else {
        buf_append_text(command, " -o IdentitiesOnly=yes");
        for (size_t i = 0; i < ssh->path_count; i++) {
            CLEANUP(base_freep) char *path = quoted(ssh->paths[i]);

            buf_printf(command, " -i %s", path);
        }
    }
}

/* The user's agent and known hosts, but not his configuration, which could run commands. A
 * host that nobody knows is believed the first time and remembered in the store; one whose
 * key changed is refused. */
static void add_ssh(struct texts *t, const struct build_git_env *env)
{
    const char *home = getenv("HOME");
    CLEANUP(base_freep)
    char *user = home ? base_format("%s/.ssh/known_hosts", home) : base_strdup("");
    CLEANUP(base_freep)
    char *files = base_format("UserKnownHostsFile=\"%s\" \"%s\"",
                              env->known_hosts ? env->known_hosts : "/dev/null", user);
    CLEANUP(base_freep) char *option = quoted(files);

    CLEANUP(buf_release) struct buf command = BUF_INIT(LIMIT_TEXT_SIZE);

    buf_printf(&command,
               "GIT_SSH_COMMAND=ssh -F /dev/null -o BatchMode=yes "
               "-o StrictHostKeyChecking=accept-new -o %s",
               option);
    add_identity(t, env->ssh, &command);
    add(t, buf_take(&command));
}

/* Values that belong to a configuration, where other users cannot see them. */
static void add_config(struct texts *t, const struct build_git_env *env)
{
    static const char *const always[][2] = {
        {"core.hooksPath", "/dev/null"},  {"init.defaultBranch", "master"},
        {"advice.detachedHead", "false"}, {"gc.auto", "0"},
        {"maintenance.auto", "false"},
    };
    size_t count = 0;

    for (; count < ARRAY_COUNT(always); count++) {
        add(t, base_format("GIT_CONFIG_KEY_%zu=%s", count, always[count][0]));
        add(t, base_format("GIT_CONFIG_VALUE_%zu=%s", count, always[count][1]));
    }
    if (env->credentials && env->scope) {
        add(t, base_format("GIT_CONFIG_KEY_%zu=http.%s.extraHeader", count, env->scope));
        add(t,
            base_format("GIT_CONFIG_VALUE_%zu=Authorization: %s", count, env->credentials));
        count++;
    }
    add(t, base_format("GIT_CONFIG_COUNT=%zu", count));
}

static void make_environment(struct texts *t, const struct build_git_env *env)
{
    static const char *const names[] = {
        "PATH",       "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",  "ALL_PROXY",
        "http_proxy", "no_proxy",   "https_proxy", "all_proxy", "TMPDIR",
    };
    const char *ca = env->ca_file ? env->ca_file : getenv("SSL_CERT_FILE");

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        pass_on(t, names[i]);
    add(t, base_strdup("LC_ALL=C"));
    add(t, base_strdup("HOME=/dev/null"));
    add(t, base_strdup("GIT_CONFIG_NOSYSTEM=1"));
    add(t, base_strdup("GIT_CONFIG_GLOBAL=/dev/null"));
    add(t, base_strdup("GIT_ATTR_NOSYSTEM=1"));
    add(t, base_strdup("GIT_TERMINAL_PROMPT=0"));
    /* A repository's submodules must not be able to name files of this machine. */
    add(t,
        base_format("GIT_ALLOW_PROTOCOL=http:https:git:ssh%s", env->local ? ":file" : ""));
    if (ca && *ca)
        add(t, base_format("GIT_SSL_CAINFO=%s", ca));
    add_ssh(t, env);
    add_config(t, env);
    add(t, NULL);
}

/* --- The process --- */

/* Of its own process group: git starts others, and all of them are to end together. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, defaults;

    (void)sigemptyset(&none);
    (void)sigemptyset(&defaults);
    (void)sigaddset(&defaults, SIGPIPE);
    (void)sigaddset(&defaults, SIGINT);
    (void)sigaddset(&defaults, SIGTERM);
    (void)posix_spawnattr_setsigmask(attributes, &none);
    (void)posix_spawnattr_setsigdefault(attributes, &defaults);
    (void)posix_spawnattr_setpgroup(attributes, 0);
    return posix_spawnattr_setflags(
        attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int spawn(char *const *argv, char *const *envp, int out, int said, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&actions);

    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = set_attributes(&attributes);
        if (rc == 0)
            rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                                  O_RDONLY, 0);
        if (rc == 0)
            rc = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        if (rc == 0)
            rc = posix_spawn_file_actions_adddup2(&actions, said, STDERR_FILENO);
        if (rc == 0)
            rc = posix_spawnp(pid, "git", &actions, &attributes, argv, envp);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* Kills the whole group and reaps it; *pid becomes 0. For CLEANUP. */
static void killp(pid_t *pid)
{
    if (*pid <= 0)
        return;
    (void)kill(-*pid, SIGKILL);
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    *pid = 0;
}

/* What does not fit is read and dropped: git must not wait for us. False at the end. */
static bool drain(int fd, struct buf *into)
{
    char chunk[16384];
    const ssize_t got = read(fd, chunk, sizeof chunk);
    size_t room;

    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    if (into) {
        room = into->max - into->size;
        buf_append(into, chunk, (size_t)got < room ? (size_t)got : room);
    }
    return got > 0;
}

bool build_git_is_cancelled(const struct build_git_env *env)
{
    return env->cancel && __atomic_load_n(env->cancel, __ATOMIC_RELAXED);
}

static int pump(const struct build_git_env *env,
                int out_fd,
                int said_fd,
                struct buf *out,
                struct buf *said,
                struct error *err)
{
    struct pollfd fds[] = {{.fd = out_fd, .events = POLLIN},
                           {.fd = said_fd, .events = POLLIN}};

    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, ARRAY_COUNT(fds), POLL_MS) < 0 && errno != EINTR)
            return error_sys(err, "wait for git");
        if (build_git_is_cancelled(env))
            return error_set(err, ERROR_CANCELLED, "interrupted");
        if (fds[0].fd >= 0 && fds[0].revents && !drain(fds[0].fd, out))
            fds[0].fd = -1;
        if (fds[1].fd >= 0 && fds[1].revents && !drain(fds[1].fd, said))
            fds[1].fd = -1;
    }
    return 0;
}

static int reap(pid_t *pid, int *status, struct error *err)
{
    while (waitpid(*pid, status, 0) < 0) {
        if (errno != EINTR)
            return error_sys(err, "wait for git");
    }
    *pid = 0;
    return 0;
}

/* --- What it says --- */

static bool is_password(const struct build_git_env *env, struct view said)
{
    return env->scope && !env->credentials &&
           (memmem(said.data, said.size, "could not read Username", 23) ||
            memmem(said.data, said.size, "Authentication failed", 21));
}

/* Its lines without "fatal: " and the like, joined. */
static int failed(const struct build_git_env *env,
                  const struct buf *said,
                  int status,
                  struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(SAID_MAX * 2);
    struct view line, rest = view_trim(buf_view(said));

    if (is_password(env, rest))
        return error_set(err, ERROR_DENIED,
                         "the server asks for credentials: give them with --secret "
                         "id=GIT_AUTH_TOKEN,env=NAME");
    while (rest.size > 0) {
        (void)view_cut(rest, '\n', &line, &rest);
        line = view_trim(line);
        if (view_starts(line, "fatal: "))
            line = view_sub(line, 7, line.size);
        if (line.size == 0 || view_starts(line, "warning: ") ||
            view_starts(line, "Cloning into "))
            continue;
        buf_printf(&text, "%s%.*s", text.size ? "; " : "", VIEW_ARG(line));
    }
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < ' ')
            text.data[i] = ' ';
    if (text.size == 0)
        buf_printf(&text, WIFSIGNALED(status) ? "ended by signal %d" : "exit code %d",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return error_set(err, ERROR_FAILED, "git: %s", buf_text(&text));
}

static int run(const struct build_git_env *env,
               char *const *argv,
               char *const *envp,
               struct buf *out,
               struct error *err)
{
    CLEANUP(buf_release) struct buf said = BUF_INIT(SAID_MAX);
    int outs[2], errs[2];
    int status;

    if (pipe2(outs, O_CLOEXEC) < 0)
        return error_sys(err, "create a pipe");
    CLEANUP(fd_closep) int out_from = outs[0];
    CLEANUP(fd_closep) int out_to = outs[1];
    if (pipe2(errs, O_CLOEXEC) < 0)
        return error_sys(err, "create a pipe");
    CLEANUP(fd_closep) int said_from = errs[0];
    CLEANUP(fd_closep) int said_to = errs[1];
    CLEANUP(killp) pid_t pid = 0;
    const int rc = spawn(argv, envp, out_to, said_to, &pid);
    if (rc == ENOENT)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the program git is needed for it: install the package git");
    if (rc != 0) {
        errno = rc;
        return error_sys(err, "start git");
    }
    fd_closep(&out_to);
    fd_closep(&said_to);
    if (pump(env, out_from, said_from, out, &said, err) < 0 || reap(&pid, &status, err) < 0)
        return -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return failed(env, &said, status, err);
}

int build_git_run(const struct build_git_env *env,
                  const char *const *args,
                  struct buf *out,
                  struct error *err)
{
    CLEANUP(texts_release) struct texts envp = {0};
    CLEANUP(texts_release) struct texts argv = {0};

    add(&argv, base_strdup("git"));
    for (size_t i = 0; args[i]; i++)
        add(&argv, base_strdup(args[i]));
    add(&argv, NULL);
    make_environment(&envp, env);
    log_debug("git: %s %s", args[0], env->shown);
    return run(env, argv.items, envp.items, out, err);
}
