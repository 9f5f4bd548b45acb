/*
 * A command: a row in the table of commands, with the table of its options. Dispatch, usage
 * errors and help are the same for all; a command only sees values that were read.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cli/args.h"
#include "cli/session.h"

#include <stdbool.h>
#include <stddef.h>

struct cli_command {
    const char *name;
    const char *usage;   /* what follows the name: "[OPTIONS] PATH" */
    const char *summary; /* one line */
    const char *details; /* further paragraphs of the help, or NULL */
    const struct cli_option *options;
    size_t option_count;
    size_t options_size; /* of the struct that the options point into */
    size_t argument_min; /* positional arguments */
    size_t argument_max;
    enum cli_args_parse_flags flags;
    bool is_interruptible; /* looks at cli_interrupt_flag; else a signal just ends it */
    /* `options` is that struct, zeroed and filled in. Returns 0, or -1 with err; the exit
     * code is the session's where it is not to be 0. */
    int (*run)(struct cli_session *session,
               const void *options,
               const struct cli_texts *arguments,
               struct error *err);
};

#define CLI_ARGUMENTS_ANY ((size_t)-1)

/* For the rows: CLI_OPTIONS(table, struct build_options). */
#define CLI_OPTIONS(table, type)                                                           \
    .options = (table), .option_count = ARRAY_COUNT(table), .options_size = sizeof(type)

extern const struct cli_command cli_command_build;
extern const struct cli_command cli_command_builds;
extern const struct cli_command cli_command_check;
extern const struct cli_command cli_command_completion;
extern const struct cli_command cli_command_context;
extern const struct cli_command cli_command_copy;
extern const struct cli_command cli_command_debug;
extern const struct cli_command cli_command_delete;
extern const struct cli_command cli_command_df;
extern const struct cli_command cli_command_diff;
extern const struct cli_command cli_command_doctor;
extern const struct cli_command cli_command_explain;
extern const struct cli_command cli_command_fmt;
extern const struct cli_command cli_command_fsck;
extern const struct cli_command cli_command_history;
extern const struct cli_command cli_command_images;
extern const struct cli_command cli_command_import;
extern const struct cli_command cli_command_index;
extern const struct cli_command cli_command_inspect;
extern const struct cli_command cli_command_load;
extern const struct cli_command cli_command_log;
extern const struct cli_command cli_command_login;
extern const struct cli_command cli_command_logout;
extern const struct cli_command cli_command_logs;
extern const struct cli_command cli_command_parse;
extern const struct cli_command cli_command_promote;
extern const struct cli_command cli_command_prune;
extern const struct cli_command cli_command_prune_registry;
extern const struct cli_command cli_command_pull;
extern const struct cli_command cli_command_push;
extern const struct cli_command cli_command_rebuild;
extern const struct cli_command cli_command_release;
extern const struct cli_command cli_command_rmi;
extern const struct cli_command cli_command_rollback;
extern const struct cli_command cli_command_run;
extern const struct cli_command cli_command_save;
extern const struct cli_command cli_command_serve;
extern const struct cli_command cli_command_tag;
extern const struct cli_command cli_command_tags;
extern const struct cli_command cli_command_version;

/* The table, in the order of the help. */
extern const struct cli_command *const cli_commands[];
extern const size_t cli_command_count;

/* ERROR_USAGE with a near name if there is no such command. */
MUST_CHECK const struct cli_command *cli_command_find(const char *name, struct error *err);
/* Reads the command's arguments and runs it. */
MUST_CHECK int cli_command_execute(const struct cli_command *command,
                                   struct cli_session *session,
                                   int argc,
                                   char **argv,
                                   struct error *err);
/* Prints the command's help on standard output. */
void cli_command_help(const struct cli_command *command);
