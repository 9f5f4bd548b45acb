/* cooper run IMAGE [COMMAND...] */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/run.h"
#include "cli/build_value.h"
#include "cli/image.h"
#include "cli/interrupt.h"

#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

struct run_options {
    const char *entrypoint;
    const char *hostname;
    const char *network;
    const char *isolation;
    const char *user;
    const char *workdir;
    struct cli_texts env;
    struct cli_texts env_files;
    struct cli_texts tmpfs;
    struct cli_texts volumes;
    bool interactive;
    bool read_only;
    bool rm;
    bool tty;
};

#define FIELD(name) offsetof(struct run_options, name)

static const struct cli_option options[] = {
    {0, "entrypoint", CLI_OPTION_TEXT, "COMMAND",
     "In place of the image's entrypoint and command", FIELD(entrypoint)},
    {'e', "env", CLI_OPTION_TEXTS, "NAME[=VALUE]",
     "A variable (default: from the environment)", FIELD(env)},
    {0, "env-file", CLI_OPTION_TEXTS, "FILE", "Variables, one a line", FIELD(env_files)},
    {'h', "hostname", CLI_OPTION_TEXT, "NAME", "The host name inside", FIELD(hostname)},
    {'i', "interactive", CLI_OPTION_SWITCH, NULL, "Attach standard input",
     FIELD(interactive)},
    {0, "isolation", CLI_OPTION_TEXT, "auto|root|subids|single|none",
     "How the command is shut in (default auto)", FIELD(isolation)},
    {0, "network", CLI_OPTION_TEXT, "MODE", "default, host or none", FIELD(network)},
    {0, "read-only", CLI_OPTION_SWITCH, NULL, "Mount the root file system read-only",
     FIELD(read_only)},
    {0, "rm", CLI_OPTION_SWITCH, NULL,
     "What happens in any case: nothing is left afterwards", FIELD(rm)},
    {0, "tmpfs", CLI_OPTION_TEXTS, "TARGET[:size=SIZE,mode=MODE]",
     "A file system in memory", FIELD(tmpfs)},
    {'t', "tty", CLI_OPTION_SWITCH, NULL, "Give the command a terminal", FIELD(tty)},
    {'u', "user", CLI_OPTION_TEXT, "USER[:GROUP]", "Run as this user", FIELD(user)},
    {'v', "volume", CLI_OPTION_TEXTS, "SOURCE:TARGET[:ro]",
     "Mount a file or directory of this machine", FIELD(volumes)},
    {'w', "workdir", CLI_OPTION_TEXT, "DIR", "The working directory inside",
     FIELD(workdir)},
};

/* What the options borrow from. */
struct run_values {
    struct cli_pairs env;
    struct cli_pairs volumes;
    struct cli_pairs tmpfs;
};

static void values_release(struct run_values *v)
{
    cli_pairs_release(&v->env);
    cli_pairs_release(&v->volumes);
    cli_pairs_release(&v->tmpfs);
}

/* NAME=VALUE; NAME alone: as it is in our own environment, if it is there. */
static int env_add(const char *flag,
                   struct view text,
                   struct cli_pairs *out,
                   struct error *err)
{
    CLEANUP(base_freep) char *copy = view_dup(text);
    struct view name;
    struct view value;

    if (view_cut(text, '=', &name, &value)) {
        if (name.size == 0)
            return error_set(err, ERROR_USAGE, "%s %s: the name is missing", flag, copy);
        cli_pairs_add(out, name, copy + name.size + 1);
    } else if (getenv(copy) != NULL) {
        cli_pairs_add(out, name, getenv(copy));
    }
    return 0;
}

/* docker's env files: a variable a line, # starts a comment line. */
static int env_file_read(const char *path, struct cli_pairs *out, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct view rest;
    struct view line;

    if (fs_read_file_at(AT_FDCWD, path, &text, err) < 0)
        return error_wrap(err, "--env-file");
    rest = buf_view(&text);
    while (rest.size > 0) {
        view_cut(rest, '\n', &line, &rest);
        while (line.size > 0 && strchr(" \t\r", line.data[0]) != NULL)
            line = view_sub(line, 1, line.size - 1);
        if (line.size > 0 && line.data[line.size - 1] == '\r')
            line.size--;
        if (line.size > 0 && line.data[0] != '#' &&
            env_add("--env-file", line, out, err) < 0)
            return -1;
    }
    return 0;
}

static int volume_read(const char *text, struct cli_pairs *out, struct error *err)
{
    struct view source;
    struct view target;

    if (!view_cut(view_of(text), ':', &source, &target) || source.size == 0 ||
        target.size == 0 || target.data[0] != '/')
        return error_set(err, ERROR_USAGE, "--volume is SOURCE:TARGET[:ro], not '%s'",
                         text);
    if (memchr(source.data, '/', source.size) == NULL && source.data[0] != '.')
        return error_set(err, ERROR_USAGE,
                         "--volume %s: there are no named volumes: SOURCE is a path", text);
    cli_pairs_add(out, source, target.data);
    return 0;
}

static int values_read(const struct run_options *o, struct run_values *v, struct error *err)
{
    for (size_t i = 0; i < o->env_files.count; i++) {
        if (env_file_read(o->env_files.items[i], &v->env, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < o->env.count; i++) {
        if (env_add("--env", view_of(o->env.items[i]), &v->env, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < o->volumes.count; i++) {
        if (volume_read(o->volumes.items[i], &v->volumes, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < o->tmpfs.count; i++) {
        struct view target;
        struct view rest;

        const bool has_rest = view_cut(view_of(o->tmpfs.items[i]), ':', &target, &rest);
        if (target.size == 0 || target.data[0] != '/')
            return error_set(err, ERROR_USAGE, "--tmpfs is an absolute path, not '%s'",
                             o->tmpfs.items[i]);
        cli_pairs_add(&v->tmpfs, target, has_rest ? rest.data : NULL);
    }
    return 0;
}

static int options_check(const struct run_options *o, struct error *err)
{
    const char *const network = o->network;

    if (network != NULL && strcmp(network, "default") != 0 &&
        strcmp(network, "host") != 0 && strcmp(network, "none") != 0)
        return error_set(err, ERROR_USAGE, "--network is default, host or none, not '%s'",
                         network);
    if (o->tty && o->interactive && !isatty(STDIN_FILENO))
        return error_set(err, ERROR_USAGE, "--tty: standard input is no terminal");
    return 0;
}

static void note_print(void *context, const struct event *event)
{
    (void)context;
    if (event->type == EVENT_NOTE && event->text != NULL)
        fprintf(stderr, "cooper: %s\n", event->text);
}

/*
 * The builder takes references, whole digests too, and pulls a reference that the store
 * does not have; the short forms of an ID are known here only. malloc'ed.
 */
static char *image_name(struct cas_store *store, const char *typed, struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    char *name = NULL;

    if (cli_image_resolve(store, typed, &name, &root, &why) == 0)
        return name != NULL ? name : base_strdup(digest_format(&root.digest).text);
    if (why.code == ERROR_NOT_FOUND)
        return base_strdup(typed);
    error_move(err, &why);
    return NULL;
}

static int run_run(struct cli_session *session,
                   const void *opaque,
                   const struct cli_texts *arguments,
                   struct error *err)
{
    const struct run_options *const o = opaque;
    CLEANUP(values_release) struct run_values values = {0};
    CLEANUP(base_freep) char *image = NULL;
    struct build_environment env;

    if (options_check(o, err) < 0 || values_read(o, &values, err) < 0 ||
        cli_session_isolate(session, o->isolation, err) < 0 ||
        cli_session_enter_sandbox(session, true, err) < 0 ||
        cli_session_environment(session, (struct event_sink){note_print, NULL}, &env, err) <
            0)
        return -1;
    image = image_name(env.store, arguments->items[0], err);
    if (image == NULL)
        return -1;

    const struct build_run_options run = {
        .image = image,
        .argv = arguments->items + 1,
        .argc = arguments->count - 1,
        .entrypoint = o->entrypoint,
        .env = values.env.items,
        .env_count = values.env.count,
        .user = o->user,
        .workdir = o->workdir,
        .hostname = o->hostname,
        .network = o->network,
        .volumes = values.volumes.items,
        .volume_count = values.volumes.count,
        .tmpfs = values.tmpfs.items,
        .tmpfs_count = values.tmpfs.count,
        .read_only = o->read_only,
        .tty = o->tty,
        .interactive = o->interactive,
        .cancel = cli_interrupt_flag(),
    };
    return build_run_image(&env, &run, &session->exit_code, err);
}

const struct cli_command cli_command_run = {
    .name = "run",
    .usage = "[OPTIONS] IMAGE [COMMAND] [ARGUMENT...]",
    .summary = "Try an image out in the sandbox of RUN steps",
    .details =
        "The exit status is the command's; 127 if it cannot be found, 126 if it cannot be\n"
        "executed, 128 plus the number of the signal that ended it. Changes to the root\n"
        "file system are thrown away. An image that the store lacks is pulled.",
    CLI_OPTIONS(options, struct run_options),
    .argument_min = 1,
    .argument_max = CLI_ARGUMENTS_ANY,
    .flags = CLI_ARGS_PARSE_STOP,
    .is_interruptible = true,
    .run = run_run,
};
