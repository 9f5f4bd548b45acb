/* Reading a Dockerfile that is named as such, and writing it back. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

struct dockerfile;

/*
 * Reads and parses FILE: NULL is Dockerfile in the working directory, "-" standard input, a
 * directory means the Dockerfile in it. *path gets the file's path (malloc'ed; "-").
 * Syntax errors are printed with their lines, all of them, on standard error.
 * Errors: what kept it from being read; the first syntax error.
 */
MUST_CHECK struct dockerfile *cli_dockerfile_read(const char *file,
                                                  struct buf *text,
                                                  char **path,
                                                  struct error *err);
/* Replaces the file's content at once, keeping its mode. */
MUST_CHECK int cli_dockerfile_replace(const char *path,
                                      struct view text,
                                      struct error *err);
