/* cooper debug [BUILD [COMMAND...]] */
#include "cli/command.h"

#include "builder/debug.h"
#include "cli/build_run.h"
#include "cli/build_value.h"
#include "cli/interrupt.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct debug_options {
    struct cli_texts secrets;
    struct cli_texts ssh;
};

#define FIELD(name) offsetof(struct debug_options, name)

static const struct cli_option options[] = {
    {0, "secret", CLI_OPTION_TEXTS, "id=ID[,src=FILE|,env=NAME]",
     "A secret that the step mounts: it is not kept with the state", FIELD(secrets)},
    {0, "ssh", CLI_OPTION_TEXTS, "default|ID[=SOCKET|=KEY[,KEY]]",
     "An agent for the step's ssh mounts", FIELD(ssh)},
};

static void note_print(void *context, const struct event *event)
{
    (void)context;
    if (event->type == EVENT_NOTE && event->text != NULL)
        fprintf(stderr, "cooper: %s\n", event->text);
}

static int debug_run(struct cli_session *session,
                     const void *opaque,
                     const struct cli_texts *arguments,
                     struct error *err)
{
    const struct debug_options *const o = opaque;
    CLEANUP(cli_secrets_release) struct cli_secrets secrets = {0};
    CLEANUP(cli_agents_release) struct cli_agents agents = {0};
    struct build_environment env;
    size_t first = arguments->count > 0 ? 1 : 0;

    if (first < arguments->count && strcmp(arguments->items[first], "--") == 0)
        first++;
    if (cli_build_secrets(&o->secrets, &secrets, err) < 0 ||
        cli_build_agents(&o->ssh, &agents, err) < 0 ||
        cli_session_enter_sandbox(session, true, err) < 0 ||
        cli_session_environment(session, (struct event_sink){note_print, NULL}, &env, err) <
            0)
        return -1;
    const struct build_debug_options how = {
        .build = arguments->count > 0 ? arguments->items[0] : NULL,
        .argv = arguments->items + first,
        .argc = arguments->count - first,
        .secrets = secrets.items,
        .secret_count = secrets.count,
        .ssh = agents.items,
        .ssh_count = agents.count,
        .tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO),
        .cancel = cli_interrupt_flag(),
    };
    return build_debug(&env, &how, &session->exit_code, err);
}

const struct cli_command cli_command_debug = {
    .name = "debug",
    .usage = "[OPTIONS] [BUILD [--] [COMMAND] [ARGUMENT...]]",
    .summary = "Open a shell in the state in which a step failed",
    .details =
        "BUILD is an ID of 'cooper builds' or its beginning; without it, the newest build\n"
        "that keeps a state. The shell, or COMMAND, has the files as the failed RUN left\n"
        "them, its environment, directory, user, mounts and network; of a failed COPY, "
        "ADD\n"
        "or WORKDIR, what a RUN in its place would have. An image without a shell is lent "
        "a\n"
        "static busybox of this machine. Changes are thrown away.",
    CLI_OPTIONS(options, struct debug_options),
    .argument_max = CLI_ARGUMENTS_ANY,
    .flags = CLI_ARGS_PARSE_STOP,
    .is_interruptible = true,
    .run = debug_run,
};
