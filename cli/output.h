/*
 * Data on standard output: tables for people, JSON for programs, bytes for files and pipes.
 */
#pragma once

#include "base/buf.h"
#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>

enum cli_output_format { CLI_OUTPUT_TABLE, CLI_OUTPUT_JSON };

/* "table", "json"; NULL is table. ERROR_USAGE for others; Go templates are named. */
MUST_CHECK int cli_output_format_parse(const char *text,
                                       enum cli_output_format *out,
                                       struct error *err);
/* Writes a document and a line end. */
void cli_output_doc(const struct doc *doc, enum doc_write_flags flags);
void cli_output_buf(const struct buf *text);

/*
 * A file that appears whole or not at all: what is written has no name (or, where the file
 * system cannot do that, a temporary one) until cli_output_file_commit renames it. "-",
 * NULL, and what exists and is no regular file (/dev/null, a pipe) are written to directly;
 * a terminal is refused (ERROR_USAGE).
 */
struct cli_output_file {
    int fd;
    const char *path; /* borrowed */
    char *temporary;  /* a name beside it; NULL: written directly */
    bool is_unnamed;  /* does not have that name yet */
};
MUST_CHECK int cli_output_file_open(struct cli_output_file *f,
                                    const char *path,
                                    struct error *err);
MUST_CHECK int cli_output_file_commit(struct cli_output_file *f, struct error *err);
void cli_output_file_release(
    struct cli_output_file *f); /* removes what was not committed */
