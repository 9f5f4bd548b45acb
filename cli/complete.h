/*
 * Completion of command lines, for the scripts of `cooper completion`: they pass on the
 * words that were typed and show what they get. All that is known of options comes from the
 * tables by which they are read, so it is never older than the program.
 *
 *     cooper __complete WORD... CURRENT
 *
 * prints one candidate a line, the whole word, with a tab and a description where there is
 * one, and at last what the shell is to do:
 *
 *     :           nothing more
 *     :nospace    the candidates go on: type no space behind one
 *     :files N    complete file names instead, after the first N bytes of CURRENT
 *
 * It never fails because of what was typed, makes no store and asks no network.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cli/session.h"

#include <stddef.h>

#define CLI_COMPLETE_WORD "__complete"

MUST_CHECK int cli_complete(struct cli_session *session,
                            const char *const *words,
                            size_t count,
                            struct error *err);
