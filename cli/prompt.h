/*
 * Questions to the person at the terminal, whatever standard input is.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>

/*
 * Shows `question` on the controlling terminal and reads one line, malloc'ed, without its
 * line end. With `is_secret` what is typed is not shown; a signal that ends the program
 * finds the terminal as it was. NULL on error: ERROR_NOT_FOUND there is no terminal;
 * ERROR_CANCELLED it ended without a line.
 */
MUST_CHECK char *cli_prompt(const char *question, bool is_secret, struct error *err);
