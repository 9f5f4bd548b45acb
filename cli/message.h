/*
 * How a failure is told: the tail of the failed step's output, the lines of the Dockerfile,
 * then one line "cooper: error: ...". Everything goes to standard error, once.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/view.h"

/* Texts quote what comes from outside, names in archives and images, words of registries:
 * they must not speak to the terminal. Control characters but newline and tab become "?".
 */
void cli_message_clean(char *text, size_t size);

/* "cooper: error: TEXT"; a further hint line for usage errors of `command` (may be NULL).
 */
void cli_message_error(const struct error *err, const char *command);
void cli_message_warning(const char *format, ...) PRINTF_LIKE(1, 2);

/*
 * Appends the lines around a position as buildx shows them:
 *
 *     Dockerfile:4:1
 *     --------------------
 *        3 |
 *        4 | >>> RUN exit 3
 *          |     ^^^
 *        5 |
 *     --------------------
 *
 * The word at the position is underlined; without a column no word is.
 * Nothing, if the text has no such line. Control characters are shown as "?": a Dockerfile
 * is not to steer the terminal.
 */
void cli_message_excerpt(struct view text,
                         const char *name,
                         struct source_pos pos,
                         struct buf *out);

/* The same, one after the other: where the last one was found is remembered, so that
 * excerpts in the order of lines take one walk through the text. Zeroed to begin with. */
struct cli_message_cursor {
    size_t offset;
    unsigned line;
};
void cli_message_excerpt_at(struct cli_message_cursor *cursor,
                            struct view text,
                            const char *name,
                            struct source_pos pos,
                            struct buf *out);

/* Exit status for an error: 2 wrong usage, 130 interrupted, else 1. */
int cli_message_status(const struct error *err);
