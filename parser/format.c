#include "parser/format.h"

#include "base/buf.h"
#include "parser/dockerfile.h"
#include "parser/line.h"
#include "parser/unicode.h"

#include <ctype.h>

/* The text of a trigger is kept to the last blank: it is stored in the image. */
static bool keeps_end(const struct dockerfile_instruction *instruction)
{
    return instruction->kind == DOCKERFILE_ONBUILD;
}

/* A line without white space at its end. A CR that stands before blanks stays, blanks and
 * all: at the very end it would be taken as part of the line's end. */
static struct view trim_end(struct view line)
{
    struct view trimmed = line;

    while (trimmed.size > 0 && (trimmed.data[trimmed.size - 1] == ' ' ||
                                trimmed.data[trimmed.size - 1] == '\t'))
        trimmed.size--;
    return trimmed.size > 0 && trimmed.data[trimmed.size - 1] == '\r' ? line : trimmed;
}

static void put_line(struct buf *out, struct view line, bool keep_end)
{
    buf_append_view(out, keep_end ? line : trim_end(line));
    buf_append_char(out, '\n');
}

static void put_upper(struct buf *out, struct view text)
{
    for (size_t i = 0; i < text.size; i++)
        buf_append_char(out, (char)toupper((unsigned char)text.data[i]));
}

/* Comments, directives and empty lines between instructions. */
static void put_gap(struct buf *out, struct view gap)
{
    struct dockerfile_reader reader = {.text = gap};
    struct view line;

    for (bool empty_before = false; dockerfile_reader_next(&reader, &line);) {
        const bool empty = dockerfile_space_size(line) == line.size;
        if (empty && !empty_before)
            buf_append_char(out, '\n');
        else if (!empty)
            put_line(out, line, false);
        empty_before = empty;
    }
}

/* The first line: the name in upper case and one blank. */
static void put_first_line(struct buf *out,
                           const struct dockerfile_instruction *instruction,
                           struct view line)
{
    const struct view name = instruction->name.text;
    size_t at = name.size;

    /* A name that is broken by a continuation stays as it is. */
    if (!view_eq(view_sub(line, 0, at), name) ||
        (at < line.size && line.data[at] != ' ' && line.data[at] != '\t')) {
        put_line(out, line, keeps_end(instruction));
        return;
    }
    put_upper(out, name);
    while (at < line.size && (line.data[at] == ' ' || line.data[at] == '\t'))
        at++;
    if (at > name.size && at < line.size)
        buf_append_char(out, ' ');
    put_line(out, view_sub(line, at, line.size - at), keeps_end(instruction));
}

static void put_instruction(struct buf *out,
                            const struct dockerfile_instruction *instruction)
{
    struct dockerfile_reader reader = {.text = instruction->head};
    const struct view source = instruction->source;
    const struct view head = instruction->head;
    struct view line;

    for (bool first = true; dockerfile_reader_next(&reader, &line); first = false) {
        if (first)
            put_first_line(out, instruction, line);
        else if (dockerfile_space_size(line) < line.size)
            put_line(out, line, keeps_end(instruction));
    }
    if (source.size <= head.size)
        return;
    /* Heredocs, from the line after the head on. */
    struct view rest = view_sub(source, head.size, source.size - head.size);
    size_t newline;
    if (view_find(rest, '\n', &newline))
        rest = view_sub(rest, newline + 1, rest.size);
    buf_append_view(out, rest);
    buf_append_char(out, '\n');
}

/* Where what follows an instruction begins: after the end of its last line. */
static const char *after(const struct dockerfile *file, struct view source)
{
    const char *at = source.data + source.size;
    const char *end = file->text.data + file->text.size;

    while (at < end && *at != '\n')
        at++;
    return at < end ? at + 1 : end;
}

/* Back over the white space before an instruction, to the start of its line. */
static const char *line_start(const char *from, const char *at)
{
    while (at > from && at[-1] != '\n')
        at--;
    return at;
}

void dockerfile_format(const struct dockerfile *file, struct buf *out)
{
    const char *at = file->text.data;

    if (view_starts(file->text, "\xef\xbb\xbf"))
        at += 3;
    for (size_t i = 0; i < file->instruction_count; i++) {
        const struct dockerfile_instruction *instruction = &file->instructions[i];
        const char *start = line_start(at, instruction->source.data);
        put_gap(out, (struct view){at, (size_t)(start - at)});
        put_instruction(out, instruction);
        at = after(file, instruction->source);
    }
    put_gap(out, (struct view){at, (size_t)(file->text.data + file->text.size - at)});
}
