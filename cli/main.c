/* The program: global options, one command, one exit code. */
#include "base/alloc.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/version.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/message.h"

#define COUNT_GLOBAL ARRAY_COUNT(global_options)

struct globals {
    const char *root;
    const char *storage_budget;
    const char *storage_limit;
    struct cli_texts insecure_registries;
    const char *isolation;
    bool debug;
    bool version;
};

static const struct cli_option global_options[] = {
    {0, "root", CLI_OPTION_TEXT, "DIR",
     "The store (default $COOPER_ROOT, else below $XDG_DATA_HOME)",
     offsetof(struct globals, root)},
    {0, "insecure-registry", CLI_OPTION_TEXTS, "HOST[:PORT]",
     "Speak plain HTTP or unverified TLS to this registry",
     offsetof(struct globals, insecure_registries)},
    {0, "storage-budget", CLI_OPTION_TEXT, "SIZE|PERCENT%|none",
     "What is used least recently is removed beyond this (default 10% of the disk)",
     offsetof(struct globals, storage_budget)},
    {0, "storage-limit", CLI_OPTION_TEXT, "SIZE|PERCENT%",
     "A build that would make the store larger than this is ended",
     offsetof(struct globals, storage_limit)},
    {0, "isolation", CLI_OPTION_TEXT, "auto|root|subids|single|none",
     "How steps are shut in, and whose ids they have (default auto)",
     offsetof(struct globals, isolation)},
    {'D', "debug", CLI_OPTION_SWITCH, NULL, "Log to standard error",
     offsetof(struct globals, debug)},
    {'v', "version", CLI_OPTION_SWITCH, NULL, "Print the version",
     offsetof(struct globals, version)},
};

static void print_help(void)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    buf_append_text(&text, "Usage: cooper [OPTIONS] COMMAND\n\n"
                           "Builds container images: no daemon, no root\n\nCommands:\n");
    for (size_t i = 0; i < cli_command_count; i++)
        buf_printf(&text, "  %-10s%s\n", cli_commands[i]->name, cli_commands[i]->summary);
    buf_printf(&text, "  %-10s%s\n\nOptions:\n", "help", "Print the help of a command");
    cli_args_describe(global_options, COUNT_GLOBAL, &text);
    buf_printf(&text, "%-34s%s\n", "      --help", "Print this");
    buf_append_text(&text, "\n'cooper COMMAND --help' tells more about a command.\n");
    fputs(buf_text(&text), stdout);
}

/* `cooper help [COMMAND]` */
static int run_help(const struct cli_texts *arguments, struct error *err)
{
    const struct cli_command *command;

    if (arguments->count == 1) {
        print_help();
        return 0;
    }
    if (arguments->count > 2)
        return error_set(err, ERROR_USAGE, "help needs at most 1 argument");
    command = cli_command_find(arguments->items[1], err);
    if (command == NULL)
        return -1;
    cli_command_help(command);
    return 0;
}

static int flush_output(struct error *err)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return error_sys(err, "write to standard output");
    return 0;
}

static int run(struct cli_session *session,
               const struct cli_texts *arguments,
               char **argv,
               const struct cli_command **command,
               struct error *err)
{
    const int count = (int)arguments->count;

    if (strcmp(arguments->items[0], "help") == 0)
        return run_help(arguments, err);
    *command = cli_command_find(arguments->items[0], err);
    if (*command == NULL)
        return -1;
    /* Everything from the command's name on is at the end of argv. */
    return cli_command_execute(*command, session, count - 1, argv + 1, err);
}

static int start(struct cli_session *session,
                 struct globals *globals,
                 int argc,
                 char **argv,
                 const struct cli_command **command,
                 struct error *err)
{
    CLEANUP(cli_texts_release) struct cli_texts arguments = {0};
    bool help = false;

    if (cli_args_parse(global_options, COUNT_GLOBAL, CLI_ARGS_PARSE_STOP, argc - 1,
                       argv + 1, globals, &arguments, &help, err) < 0)
        return -1;
    if (globals->version) {
        puts("cooper version " COOPER_VERSION);
        return 0;
    }
    if (help) {
        print_help();
        return 0;
    }
    if (arguments.count == 0) {
        print_help();
        return error_set(err, ERROR_USAGE, "a command is missing");
    }
    const char *const debug = getenv("COOPER_DEBUG");
    log_init(globals->debug || (debug != NULL && strcmp(debug, "1") == 0));
    session->root = globals->root;
    if (cli_storage_size_read(globals->storage_budget, CLI_ENV_STORAGE_BUDGET,
                              "--storage-budget", &session->storage_budget, err) < 0 ||
        cli_storage_size_read(globals->storage_limit, CLI_ENV_STORAGE_LIMIT,
                              "--storage-limit", &session->storage_limit, err) < 0 ||
        cli_session_isolate(session, globals->isolation, err) < 0)
        return -1;
    session->insecure_registries = globals->insecure_registries;
    globals->insecure_registries = (struct cli_texts){0};
    return run(session, &arguments, argv + argc - arguments.count, command, err);
}

int main(int argc, char **argv)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct cli_command *command = NULL;
    struct globals globals = {0};
    struct cli_session session;
    int status;

    base_alloc_tune();
    cli_interrupt_init();
    cli_session_init(&session);
    if (start(&session, &globals, argc, argv, &command, &err) < 0 ||
        flush_output(&err) < 0) {
        cli_message_error(&err, command != NULL ? command->name : NULL);
        status = cli_message_status(&err);
        if (status == 1 && session.failure_code != 0)
            status = session.failure_code;
    } else {
        status = session.exit_code;
    }
    fflush(stdout);
    cli_session_tidy(&session);
    cli_args_release(global_options, COUNT_GLOBAL, &globals);
    cli_session_release(&session);
    return status;
}
