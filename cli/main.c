/* The program: global options, one command, one exit code. */
#include "base/alloc.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/version.h"
#include "cli/command.h"
#include "cli/complete.h"
#include "cli/globals.h"
#include "cli/interrupt.h"
#include "cli/message.h"

static void print_help(void)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    buf_append_text(&text, "Usage: cooper [OPTIONS] COMMAND\n\n"
                           "Builds container images: no daemon, no root\n\nCommands:\n");
    for (size_t i = 0; i < cli_command_count; i++)
        buf_printf(&text, "  %-16s%s\n", cli_commands[i]->name, cli_commands[i]->summary);
    buf_printf(&text, "  %-16s%s\n\nOptions:\n", "help", "Print the help of a command");
    cli_args_describe(cli_global_options, cli_global_option_count, &text);
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
    if (strcmp(arguments->items[0], CLI_COMPLETE_WORD) == 0)
        return cli_complete(session, arguments->items + 1, arguments->count - 1, err);
    *command = cli_command_find(arguments->items[0], err);
    if (*command == NULL)
        return -1;
    /* Everything from the command's name on is at the end of argv. */
    return cli_command_execute(*command, session, count - 1, argv + 1, err);
}

static int start(struct cli_session *session,
                 struct cli_globals *globals,
                 int argc,
                 char **argv,
                 const struct cli_command **command,
                 struct error *err)
{
    CLEANUP(cli_texts_release) struct cli_texts arguments = {0};
    bool help = false;

    if (cli_args_parse(cli_global_options, cli_global_option_count, CLI_ARGS_PARSE_STOP,
                       argc - 1, argv + 1, globals, &arguments, &help, err) < 0)
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
    struct cli_globals globals = {0};
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
    cli_args_release(cli_global_options, cli_global_option_count, &globals);
    cli_session_release(&session);
    return status;
}
