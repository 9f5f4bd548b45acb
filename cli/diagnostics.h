/*
 * What is wrong with a Dockerfile, told all at once: syntax errors and the findings of
 * checks, collected while it is read and printed in one of four forms.
 *
 *     text     as buildx: rule, message, the lines with the word underlined
 *     json     as BuildKit's lint results ("docker build --call=check,format=json"), with
 *              "errors": all syntax errors
 *     sarif    SARIF 2.1.0, for code scanning
 *     github   workflow commands: annotations of a GitHub Actions run
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cli/message.h"
#include "parser/check/check.h"

#include <stdbool.h>
#include <stddef.h>

struct cli_diagnostic {
    const struct dockerfile_rule_info *rule; /* NULL: a syntax error */
    bool fixable;
    char *text;
    struct source_pos pos; /* its `source` is not to be used */
    size_t order;          /* in which they came */
};

struct cli_diagnostics {
    struct cli_diagnostic *items;
    size_t count;
    size_t capacity;
};

void cli_diagnostics_release(struct cli_diagnostics *d); /* idempotent */
void cli_diagnostics_clear(struct cli_diagnostics *d);

/* Callbacks for the parser and the checks; `context` is the list. */
void cli_diagnostics_error(void *context, const struct error *error);
void cli_diagnostics_finding(void *context, const struct dockerfile_finding *finding);

/* By line; what stands in one line stays in order. */
void cli_diagnostics_sort(struct cli_diagnostics *d);

enum cli_diagnostics_format {
    CLI_DIAGNOSTICS_TEXT,
    CLI_DIAGNOSTICS_JSON,
    CLI_DIAGNOSTICS_SARIF,
    CLI_DIAGNOSTICS_GITHUB,
};
/* "text", "json", "sarif", "github"; NULL is text. ERROR_USAGE. */
MUST_CHECK int cli_diagnostics_format_parse(const char *text,
                                            enum cli_diagnostics_format *out,
                                            struct error *err);

/* The file that is talked about. */
struct cli_diagnostics_source {
    const char *name; /* "Dockerfile", in texts */
    const char *path; /* as it was opened, for other programs */
    struct view text;
    struct cli_message_cursor cursor; /* zero */
};

/* Appends the whole report. */
void cli_diagnostics_print(const struct cli_diagnostics *d,
                           enum cli_diagnostics_format format,
                           struct cli_diagnostics_source *source,
                           struct buf *out);
/* Appends one, as text. */
void cli_diagnostic_print(const struct cli_diagnostic *item,
                          struct cli_diagnostics_source *source,
                          struct buf *out);
