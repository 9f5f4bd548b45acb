/*
 * What values an option takes, as far as that can be listed:
 *
 *     auto|plain|tty          one of these words; "a=" goes on
 *     @files @images @builds  file names; names of the store; builds of the journal
 *     ,type=a|b,dest=@files   keys and their values, several with commas between
 *
 * NULL where nothing is known.
 */
#pragma once

#include "cli/args.h"
#include "cli/command.h"

/* Of an option of this command (NULL: a global one). Static, or borrowed from the option.
 */
const char *cli_complete_values(const struct cli_command *command,
                                const struct cli_option *option);
/* Of positional arguments, by the command's usage; the commands within it ("rm") are among
 * them only for the first. Static texts are joined into `out`, separated by "|". */
struct buf;
void cli_complete_positionals(const struct cli_command *command,
                              bool is_first,
                              struct buf *out);

/* The rows of the table, for its test: an option that no command has is a mistake. */
struct cli_complete_rule {
    const char *command; /* NULL: of all */
    const char *option;
    const char *values;
};
extern const struct cli_complete_rule cli_complete_rules[];
extern const size_t cli_complete_rule_count;
