#include "parser/csv.h"

#include "base/buf.h"

/* The field whose opening quote was read. */
static int quoted_field(struct view line, size_t *at, struct buf *space, struct error *err)
{
    buf_clear(space);
    while (*at < line.size) {
        const char c = line.data[(*at)++];
        if (c != '"') {
            buf_append_char(space, c);
            continue;
        }
        if (*at >= line.size || line.data[*at] == ',')
            return 0;
        if (line.data[*at] != '"')
            break;
        buf_append_char(space, '"');
        ++*at;
    }
    return error_set(err, ERROR_INVALID, "extraneous or missing \" in quoted-field");
}

int dockerfile_csv_field(struct view line,
                         size_t *at,
                         struct buf *space,
                         struct view *field,
                         bool *more,
                         struct error *err)
{
    size_t size;

    if (*at < line.size && line.data[*at] == '"') {
        ++*at;
        if (quoted_field(line, at, space, err) < 0)
            return -1;
        *field = (struct view){buf_text(space), space->size};
    } else {
        const struct view rest = view_sub(line, *at, line.size - *at);
        size_t quote;
        if (!view_find(rest, ',', &size))
            size = rest.size;
        *field = view_sub(rest, 0, size);
        if (view_find(*field, '"', &quote))
            return error_set(err, ERROR_INVALID, "bare \" in non-quoted-field");
        *at += size;
    }
    *more = *at < line.size;
    *at += *more;
    return buf_ok(space, "field", err);
}
