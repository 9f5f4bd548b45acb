#include "parser/line.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "parser/arena.h"
#include "parser/unicode.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void dockerfile_reader_init(struct dockerfile_reader *reader, struct view text)
{
    *reader = (struct dockerfile_reader){.text = text};
    if (view_starts(text, "\xef\xbb\xbf"))
        reader->at = 3;
    buf_init(&reader->joined, LIMIT_DOCKERFILE_SIZE);
}

void dockerfile_reader_release(struct dockerfile_reader *reader)
{
    buf_release(&reader->joined);
    free(reader->segments);
    reader->segments = NULL;
}

bool dockerfile_reader_next(struct dockerfile_reader *reader, struct view *line)
{
    if (reader->at >= reader->text.size)
        return false;
    const char *start = reader->text.data + reader->at;
    const size_t left = reader->text.size - reader->at;
    const char *end = memchr(start, '\n', left);
    size_t size = end ? (size_t)(end - start) : left;

    reader->at += size + (end != NULL);
    reader->line++;
    while (size > 0 && (start[size - 1] == '\r' || start[size - 1] == '\n'))
        size--;
    *line = (struct view){start, size};
    return true;
}

bool dockerfile_line_is_comment(struct view line)
{
    const struct view rest = dockerfile_trim_left(line);

    return rest.size > 0 && rest.data[0] == '#';
}

/* Cuts the escape and the blanks after it off a line that is continued. BuildKit's
 * expression: ([^\\])\\[ \t]*$|^\\[ \t]*$ */
static bool cut_continuation(struct view *line, char escape)
{
    size_t size = line->size;

    while (size > 0 && (line->data[size - 1] == ' ' || line->data[size - 1] == '\t'))
        size--;
    if (size == 0 || line->data[size - 1] != escape ||
        (size > 1 && line->data[size - 2] == escape))
        return false;
    line->size = size - 1;
    return true;
}

/* The column of a byte that lies in the physical line read last. */
static unsigned column_of(const struct dockerfile_reader *reader, const char *at)
{
    const char *start = at;

    while (start > reader->text.data && start[-1] != '\n')
        start--;
    if (start == reader->text.data && view_starts(reader->text, "\xef\xbb\xbf"))
        start += 3;
    return (unsigned)(at - start) + 1;
}

static void add_segment(struct dockerfile_reader *reader, struct view part)
{
    reader->segments = base_grow(reader->segments, reader->segment_count,
                                 &reader->segment_capacity, sizeof *reader->segments);
    reader->segments[reader->segment_count++] = (struct dockerfile_segment){
        reader->joined.size, reader->line, column_of(reader, part.data)};
}

static void read_continuation(struct dockerfile_reader *reader,
                              char escape,
                              struct dockerfile_line *out)
{
    struct view line;

    for (bool more = true; more && dockerfile_reader_next(reader, &line);) {
        if (dockerfile_line_is_comment(line))
            continue;
        if (dockerfile_space_size(line) == line.size) {
            out->empty_continuation = reader->line;
            continue;
        }
        more = cut_continuation(&line, escape);
        add_segment(reader, line);
        buf_append_view(&reader->joined, line);
    }
    assert(!reader->joined.failed); /* no longer than the text, which was checked */
}

void dockerfile_reader_join(struct dockerfile_reader *reader,
                            struct dockerfile_arena *arena,
                            struct view first,
                            char escape,
                            struct dockerfile_line *out)
{
    struct view part = dockerfile_trim_left(first);
    const bool continued = cut_continuation(&part, escape);

    *out = (struct dockerfile_line){.text = part};
    buf_clear(&reader->joined);
    reader->segment_count = 0;
    add_segment(reader, part);
    if (continued) {
        buf_append_view(&reader->joined, part);
        read_continuation(reader, escape, out);
        out->text = dockerfile_arena_text(arena, buf_view(&reader->joined));
    }
    out->segment_count = reader->segment_count;
    out->segments = dockerfile_arena_copy(arena, reader->segments, reader->segment_count,
                                          sizeof *reader->segments);
}

struct source_pos dockerfile_line_pos(const struct dockerfile_line *line,
                                      const char *at,
                                      const char *source_name)
{
    const size_t offset = (size_t)(at - line->text.data);
    size_t low = 0;

    assert(offset <= line->text.size);
    /* The last segment that begins at or before it. */
    for (size_t high = line->segment_count; high - low > 1;) {
        const size_t middle = low + (high - low) / 2;
        if (line->segments[middle].offset <= offset)
            low = middle;
        else
            high = middle;
    }
    const struct dockerfile_segment *segment = &line->segments[low];
    return (struct source_pos){source_name, segment->line,
                               segment->column + (unsigned)(offset - segment->offset),
                               segment->line};
}
