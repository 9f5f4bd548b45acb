#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/interrupt.h"
#include "parser/suggest.h"

const struct cli_command *const cli_commands[] = {
    &cli_command_build,
    &cli_command_explain,
    &cli_command_rebuild,
    &cli_command_builds,
    &cli_command_logs,
    &cli_command_debug,
    &cli_command_context,
    &cli_command_check,
    &cli_command_fmt,
    &cli_command_parse,
    &cli_command_import,
    &cli_command_push,
    &cli_command_pull,
    &cli_command_tag,
    &cli_command_images,
    &cli_command_rmi,
    &cli_command_df,
    &cli_command_prune,
    &cli_command_fsck,
    &cli_command_index,
    &cli_command_inspect,
    &cli_command_history,
    &cli_command_diff,
    &cli_command_save,
    &cli_command_load,
    &cli_command_run,
    &cli_command_serve,
    &cli_command_copy,
    &cli_command_tags,
    &cli_command_delete,
    &cli_command_prune_registry,
    &cli_command_login,
    &cli_command_logout,
    &cli_command_release,
    &cli_command_rollback,
    &cli_command_promote,
    &cli_command_log,
    &cli_command_doctor,
    &cli_command_completion,
    &cli_command_version,
};
const size_t cli_command_count = ARRAY_COUNT(cli_commands);

const struct cli_command *cli_command_find(const char *name, struct error *err)
{
    const char *names[ARRAY_COUNT(cli_commands) + 1] = {0};
    const char *near;

    for (size_t i = 0; i < ARRAY_COUNT(cli_commands); i++) {
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
        names[i] = cli_commands[i]->name;
    }
    names[ARRAY_COUNT(cli_commands)] = "help";
    near = dockerfile_suggest(view_of(name), names, ARRAY_COUNT(names), true);
    if (near != NULL)
        error_set(err, ERROR_USAGE, "unknown command: %s (did you mean %s?)", name, near);
    else
        error_set(err, ERROR_USAGE, "unknown command: %s", name);
    return NULL;
}

static int count_check(const struct cli_command *command, size_t count, struct error *err)
{
    const size_t min = command->argument_min;
    const size_t max = command->argument_max;

    if (count >= min && count <= max)
        return 0;
    return error_set(err, ERROR_USAGE, "%s needs %s %zu argument%s, not %zu", command->name,
                     min == max    ? "exactly"
                     : count < min ? "at least"
                                   : "at most",
                     count < min ? min : max, (count < min ? min : max) == 1 ? "" : "s",
                     count);
}

static int command_call(const struct cli_command *command,
                        struct cli_session *session,
                        int argc,
                        char **argv,
                        void *options,
                        struct cli_texts *arguments,
                        struct error *err)
{
    bool help = false;

    if (cli_args_parse(command->options, command->option_count, command->flags, argc, argv,
                       options, arguments, &help, err) < 0)
        return -1;
    if (help) {
        cli_command_help(command);
        return 0;
    }
    if (count_check(command, arguments->count, err) < 0)
        return -1;
    if (command->is_interruptible)
        cli_interrupt_catch();
    return command->run(session, options, arguments, err);
}

int cli_command_execute(const struct cli_command *command,
                        struct cli_session *session,
                        int argc,
                        char **argv,
                        struct error *err)
{
    CLEANUP(base_freep) char *options = base_alloc(command->options_size + 1);
    CLEANUP(cli_texts_release) struct cli_texts arguments = {0};
    const int result = command_call(command, session, argc, argv, options, &arguments, err);

    cli_args_release(command->options, command->option_count, options);
    return result;
}

void cli_command_help(const struct cli_command *command)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    buf_printf(&text, "Usage: cooper %s %s\n\n%s\n", command->name, command->usage,
               command->summary);
    if (command->details != NULL)
        buf_printf(&text, "\n%s\n", command->details);
    buf_append_text(&text, "\nOptions:\n");
    cli_args_describe(command->options, command->option_count, &text);
    buf_printf(&text, "%-34s%s\n", "      --help", "Print this");
    fputs(buf_text(&text), stdout);
}
