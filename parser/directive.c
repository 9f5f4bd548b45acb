#include "parser/directive.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "parser/unicode.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    [DOCKERFILE_DIRECTIVE_SYNTAX] = "syntax",
    [DOCKERFILE_DIRECTIVE_ESCAPE] = "escape",
    [DOCKERFILE_DIRECTIVE_CHECK] = "check",
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\f' || c == '\r' || c == '\n';
}

/* After the comment sign: ^([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$ */
static bool split(struct view text, struct view *name, struct view *value)
{
    size_t at = 0;

    text = dockerfile_trim_left(text);
    if (text.size == 0 || !isalpha((unsigned char)text.data[0]))
        return false;
    while (at < text.size && isalnum((unsigned char)text.data[at]))
        at++;
    *name = view_sub(text, 0, at);
    while (at < text.size && is_space(text.data[at]))
        at++;
    if (at >= text.size || text.data[at] != '=')
        return false;
    for (at++; at < text.size && is_space(text.data[at]);)
        at++;
    size_t end = text.size;
    while (end > at && is_space(text.data[end - 1]))
        end--;
    *value = view_sub(text, at, end - at);
    return value->size > 0;
}

static bool find_kind(struct view name, enum dockerfile_directive_kind *kind)
{
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        if (view_eq_nocase(name, names[i])) {
            *kind = (enum dockerfile_directive_kind)i;
            return true;
        }
    }
    return false;
}

static struct dockerfile_word part(struct view line,
                                   struct source_pos pos,
                                   struct view text)
{
    pos.column += (unsigned)(text.data - line.data);
    return (struct dockerfile_word){text, pos};
}

static int add(struct dockerfile_directives *directives,
               struct dockerfile_directive directive,
               struct error *err)
{
    const struct view value = directive.value.text;

    for (size_t i = 0; i < directives->count; i++)
        if (directives->items[i].kind == directive.kind)
            return error_at(
                err, directive.name.pos, ERROR_INVALID,
                "only one %s parser directive can be used (the first is on line "
                "%u)",
                names[directive.kind], directives->items[i].name.pos.line);
    if (directive.kind == DOCKERFILE_DIRECTIVE_ESCAPE && !view_eq_text(value, "\\") &&
        !view_eq_text(value, "`"))
        return error_at(err, directive.value.pos, ERROR_INVALID,
                        "invalid escape token '%.*s' does not match ` or \\",
                        VIEW_ARG(value));
    directives->items[directives->count++] = directive;
    return 1;
}

static int read_line(struct dockerfile_directives *directives,
                     const char *comment,
                     struct view line,
                     struct source_pos pos,
                     struct error *err)
{
    struct dockerfile_directive directive;
    struct view name, value;

    if (directives->done)
        return 0;
    if (!view_starts(line, comment) ||
        !split(view_sub(line, strlen(comment), line.size), &name, &value) ||
        !find_kind(name, &directive.kind)) {
        directives->done = true;
        return 0;
    }
    directive.name = part(line, pos, name);
    directive.value = part(line, pos, value);
    return add(directives, directive, err);
}

int dockerfile_directive_read(struct dockerfile_directives *directives,
                              struct view line,
                              struct source_pos pos,
                              struct error *err)
{
    return read_line(directives, "#", line, pos, err);
}

/* --- Which front end? -------------------------------------------------------------------
 */

static bool find_syntax(struct view text,
                        const char *comment,
                        struct source_pos pos,
                        struct dockerfile_word *found)
{
    struct dockerfile_directives directives = {.count = 0};
    struct error ignored = ERROR_INIT; /* the parser itself will report it */
    bool more = true;
    int result = 1;

    while (more && result > 0) {
        struct view line, rest;
        more = view_cut(text, '\n', &line, &rest);
        result = read_line(&directives, comment, line, pos, &ignored);
        text = rest;
        pos.line++;
        pos.line_end++;
    }
    error_clear(&ignored);
    for (size_t i = 0; i < directives.count; i++) {
        if (directives.items[i].kind == DOCKERFILE_DIRECTIVE_SYNTAX) {
            *found = directives.items[i].value;
            return true;
        }
    }
    return false;
}

/* A whole JSON document, of which other front ends make images. */
static bool find_json_syntax(struct dockerfile_arena *arena,
                             struct view text,
                             struct source_pos pos,
                             struct dockerfile_word *found)
{
    struct error ignored = ERROR_INIT; /* then it is no JSON, but perhaps a Dockerfile */

    if (!view_starts(dockerfile_trim_left(text), "{"))
        return false;
    CLEANUP(doc_unrefp) struct doc *doc = doc_parse(text, &ignored);
    const struct view value = doc_view(doc_get(doc, names[DOCKERFILE_DIRECTIVE_SYNTAX]));
    error_clear(&ignored);
    if (!value.data)
        return false;
    *found = (struct dockerfile_word){dockerfile_arena_text(arena, value), pos};
    return true;
}

struct dockerfile_word dockerfile_syntax_find(struct dockerfile_arena *arena,
                                              struct view text,
                                              const char *source_name)
{
    struct dockerfile_word found = {{NULL, 0}, {NULL, 0, 0, 0}};
    struct source_pos pos = {source_name, 1, 1, 1};
    struct view first, rest, head;

    if (view_starts(text, "\xef\xbb\xbf"))
        text = view_sub(text, 3, text.size);
    if (view_starts(text, "#!")) {
        view_cut(text, '\n', &first, &rest);
        text = rest;
        pos.line = pos.line_end = 2;
    }
    if (find_json_syntax(arena, text, pos, &found))
        return found;
    if (find_syntax(text, "#", pos, &found) || find_syntax(text, "//", pos, &found)) {
        view_cut(found.text, ' ', &head, &rest);
        found.text = head;
    }
    return found;
}
