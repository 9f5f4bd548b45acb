/*
 * Lines of a Dockerfile: physical ones, and the logical ones that continuation makes of
 * them, with the way back from a byte of a logical line to its place in the file. Private
 * to parser/.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

struct dockerfile_arena;

/* A part of a logical line that came from one physical line. */
struct dockerfile_segment {
    size_t offset; /* in the logical line */
    unsigned line;
    unsigned column; /* of the part's first byte */
};

/* `text` lies in the file itself if the line is a single one, else in the arena. */
struct dockerfile_line {
    struct view text;
    const struct dockerfile_segment *segments; /* at least one, offsets ascending */
    size_t segment_count;
    unsigned empty_continuation; /* the last empty line within it, or 0 */
};

/* Reads physical lines. */
struct dockerfile_reader {
    struct view text;
    size_t at;
    unsigned line; /* number of the line that was read last */
    /* Joins logical lines; kept for the next one. */
    struct buf joined;
    struct dockerfile_segment *segments;
    size_t segment_count;
    size_t segment_capacity;
};

void dockerfile_reader_init(struct dockerfile_reader *reader, struct view text);
void dockerfile_reader_release(struct dockerfile_reader *reader); /* idempotent */

/* The next physical line without any CR and LF at its end; false at the end of the text. */
bool dockerfile_reader_next(struct dockerfile_reader *reader, struct view *line);

/* Makes the logical line that begins with `first`, the physical line just read, from its
 * first byte that is no white space; reads on as long as it is continued. Comment and empty
 * lines in between are left out. */
void dockerfile_reader_join(struct dockerfile_reader *reader,
                            struct dockerfile_arena *arena,
                            struct view first,
                            char escape,
                            struct dockerfile_line *out);

/* Does the line hold only a comment? */
bool dockerfile_line_is_comment(struct view line);

/* Where `at`, a pointer into line->text or to its end, stands in the file. */
struct source_pos dockerfile_line_pos(const struct dockerfile_line *line,
                                      const char *at,
                                      const char *source_name);
