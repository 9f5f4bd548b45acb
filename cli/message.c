#include "cli/message.h"

#include "base/alloc.h"
#include "cli/interrupt.h"

#include <stdarg.h>
#include <string.h>

/* Lines shown around what is marked, as buildx: more around a single line. */
#define LINES_AROUND_ONE  4u
#define LINES_AROUND_MANY 2u
/* Of one construct; a here-document may be of any length. */
#define LINES_MAX 40u
/* Of one line, in bytes. */
#define LINE_SIZE_MAX ((size_t)400)

/* C1 controls are "\xc2\x80" to "\xc2\x9f" in UTF-8. */
void cli_message_clean(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const unsigned char byte = (unsigned char)text[i];

        if (byte == 0xc2 && i + 1 < size && ((unsigned char)text[i + 1] & 0xe0) == 0x80)
            text[i++] = '?';
        else if ((byte >= ' ' && byte != 0x7f) || byte == '\n' || byte == '\t')
            continue;
        text[i] = '?';
    }
}

static char *printable(const char *text)
{
    char *const copy = base_strdup(text);

    cli_message_clean(copy, strlen(copy));
    return copy;
}

void cli_message_error(const struct error *err, const char *command)
{
    CLEANUP(base_freep) char *text = printable(error_text(err));

    fprintf(stderr, "cooper: error: %s\n", text);
    if (err->code != ERROR_USAGE)
        return;
    if (command != NULL)
        fprintf(stderr, "See 'cooper %s --help'.\n", command);
    else
        fputs("See 'cooper --help'.\n", stderr);
}

void cli_message_warning(const char *format, ...)
{
    va_list args;
    char *line = NULL;

    va_start(args, format);
    if (vasprintf(&line, format, args) >= 0) {
        CLEANUP(base_freep) char *text = printable(line);

        fprintf(stderr, "cooper: warning: %s\n", text);
    }
    va_end(args);
    free(line);
}

int cli_message_status(const struct error *err)
{
    if (err->code == ERROR_USAGE)
        return 2;
    return err->code == ERROR_CANCELLED || cli_interrupted() ? 130 : 1;
}

/* --- The excerpt -------------------------------------------------------------------- */

/* The number of the last line, of those up to `limit`, if `rest` begins with line `line`.
 */
static unsigned last_line(struct view rest, unsigned line, unsigned limit)
{
    size_t at;

    while (line < limit && view_find(rest, '\n', &at)) {
        rest = view_sub(rest, at + 1, rest.size);
        line++;
    }
    return line;
}

/* Moves the cursor to a line, or the last one before it. */
static void cursor_move(struct cli_message_cursor *cursor, struct view text, unsigned line)
{
    size_t at;

    if (cursor->line == 0 || cursor->line > line)
        *cursor = (struct cli_message_cursor){0, 1};
    while (cursor->line < line &&
           view_find(view_sub(text, cursor->offset, text.size), '\n', &at)) {
        cursor->offset += at + 1;
        cursor->line++;
    }
}

static void line_append(struct buf *out, struct view line)
{
    const size_t size = line.size < LINE_SIZE_MAX ? line.size : LINE_SIZE_MAX;

    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)line.data[i];

        if (c == '\r' && i + 1 == line.size)
            continue;
        buf_append_char(out, (c < ' ' && c != '\t') || c == 0x7f ? '?' : (char)c);
    }
    if (size < line.size)
        buf_append_text(out, " ...");
}

/* Spreads [*first, *last] by `room` lines, alternately up and down, within [1, end]. */
static void range_spread(unsigned *first, unsigned *last, unsigned end, unsigned room)
{
    for (unsigned used = 0; used < room; used++) {
        if (*first > 1) {
            --*first;
            used++;
        }
        if (*last < end) {
            ++*last;
            used++;
        }
    }
}

/* Carets below the word that begins at `column` (in bytes, from one). */
static void underline_append(struct buf *out, struct view line, unsigned column)
{
    const size_t start = column - 1;

    line = view_sub(line, 0, LINE_SIZE_MAX);
    if (column == 0 || start >= line.size)
        return;
    buf_append_text(out, "     |     ");
    for (size_t i = 0; i < line.size; i++) {
        const unsigned char c = (unsigned char)line.data[i];
        const bool is_blank = c == ' ' || c == '\t' || c == '\r';

        if (i > start && is_blank)
            break;
        if ((c & 0xc0) == 0x80) /* within a character */
            continue;
        if (i < start)
            buf_append_char(out, c == '\t' ? '\t' : ' ');
        else
            buf_append_char(out, '^');
    }
    buf_append_char(out, '\n');
}

void cli_message_excerpt_at(struct cli_message_cursor *cursor,
                            struct view text,
                            const char *name,
                            struct source_pos pos,
                            struct buf *out)
{
    unsigned marked_last = pos.line_end > pos.line ? pos.line_end : pos.line;

    if (pos.line == 0)
        return;
    cursor_move(cursor, text,
                pos.line > LINES_AROUND_ONE ? pos.line - LINES_AROUND_ONE : 1);
    struct view rest = view_sub(text, cursor->offset, text.size);
    const unsigned end = last_line(rest, cursor->line, marked_last + LINES_AROUND_ONE);
    if (pos.line > end)
        return;
    if (marked_last > end)
        marked_last = end;

    unsigned first = pos.line;
    unsigned last = marked_last;
    range_spread(&first, &last, end,
                 pos.line == marked_last ? LINES_AROUND_ONE : LINES_AROUND_MANY);

    struct view line;
    buf_printf(out, "%s:%u", name, pos.line);
    if (pos.column > 0)
        buf_printf(out, ":%u", pos.column);
    buf_append_text(out, "\n--------------------\n");
    for (unsigned i = cursor->line; i <= last; i++) {
        view_cut(rest, '\n', &line, &rest);
        if (i < first)
            continue;
        if (i - first >= LINES_MAX) {
            buf_append_text(out, " ... |\n");
            break;
        }
        buf_printf(out, " %3u | %s ", i, i >= pos.line && i <= marked_last ? ">>>" : "   ");
        line_append(out, line);
        buf_append_char(out, '\n');
        if (i == pos.line)
            underline_append(out, line, pos.column);
    }
    buf_append_text(out, "--------------------\n");
}

void cli_message_excerpt(struct view text,
                         const char *name,
                         struct source_pos pos,
                         struct buf *out)
{
    struct cli_message_cursor cursor = {0, 0};

    cli_message_excerpt_at(&cursor, text, name, pos, out);
}
