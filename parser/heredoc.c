/*
 * Heredocs: <<NAME on the instruction's line, content on the lines after it.
 * Spec: BuildKit parser.go heredocsFromLine, heredocFromMatch, Parse.
 */
#include "base/alloc.h"
#include "base/limits.h"
#include "parser/expand.h"
#include "parser/node.h"

#include <stdlib.h>
#include <string.h>

/* Splits as BuildKit does for heredocs, whatever the file's escape is. */
static int split(struct view text, unsigned flags, struct dockerfile_strings *out)
{
    const struct dockerfile_expand how = {.escape = '\\',
                                          .flags = flags | DOCKERFILE_EXPAND_KEEP_UNSET};
    struct error ignored = ERROR_INIT; /* what cannot be split announces no heredoc */
    const int result = dockerfile_expand_words(text, &how, out, &ignored);

    error_clear(&ignored);
    return result;
}

static size_t count_quotes(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += *text == '\'' || *text == '"';
    return count;
}

/* The expression ^(\d*)<<(-?)\s*([^<]*)$ : its last group, and the others in *out. */
static bool match(struct view word, struct dockerfile_heredoc_name *out, struct view *rest)
{
    size_t at = 0;
    uint64_t descriptor = 0;

    *out = (struct dockerfile_heredoc_name){.descriptor = 0};
    while (at < word.size && word.data[at] >= '0' && word.data[at] <= '9')
        at++;
    if (view_to_u64(view_sub(word, 0, at), &descriptor) && descriptor <= UINT32_MAX)
        out->descriptor = (unsigned)descriptor;
    if (word.size - at < 2 || memcmp(word.data + at, "<<", 2) != 0)
        return false;
    at += 2;
    if (at < word.size && word.data[at] == '-') {
        out->strip_tabs = true;
        at++;
    }
    while (at < word.size && word.data[at] && strchr(" \t\n\f\r", word.data[at]))
        at++;
    *rest = view_sub(word, at, word.size - at);
    return rest->size > 0 && !memchr(rest->data, '<', rest->size);
}

bool dockerfile_heredoc_word(struct dockerfile_arena *arena,
                             struct view word,
                             struct dockerfile_heredoc_name *out)
{
    CLEANUP(dockerfile_strings_release) struct dockerfile_strings plain = {NULL, 0, 0};
    CLEANUP(dockerfile_strings_release) struct dockerfile_strings raw = {NULL, 0, 0};
    struct view rest;

    if (!match(word, out, &rest) || split(rest, 0, &plain) < 0 || plain.count != 1 ||
        split(rest, DOCKERFILE_EXPAND_RAW_QUOTES, &raw) < 0 || raw.count != 1)
        return false;
    /* If any part of the name was quoted, the content is taken as it is. */
    out->expand = count_quotes(plain.items[0]) == count_quotes(raw.items[0]);
    out->name = dockerfile_arena_text(arena, view_of(plain.items[0]));
    return true;
}

static bool kind_has_heredocs(enum dockerfile_kind kind)
{
    return kind == DOCKERFILE_ADD || kind == DOCKERFILE_COPY || kind == DOCKERFILE_RUN;
}

/* ADD, COPY and RUN whose arguments are no JSON array, also as a trigger of ONBUILD. */
static bool can_have_heredocs(struct dockerfile_node *node)
{
    enum dockerfile_kind kind;
    struct dockerfile_word_list *ignored = &node->parser->extra;

    if (!dockerfile_kind_find(node->out->name.text, &kind))
        return false;
    if (kind == DOCKERFILE_ONBUILD) {
        struct dockerfile_instruction inner_out = {.kind = kind};
        struct dockerfile_node inner = {node->parser, node->line, &inner_out,
                                        {NULL, 0},    {NULL, 0},  node->err};
        if (node->args.size == 0)
            return false;
        dockerfile_node_split(&inner, node->args);
        return dockerfile_kind_find(inner_out.name.text, &kind) &&
               kind != DOCKERFILE_ONBUILD && kind_has_heredocs(kind) &&
               dockerfile_json_read(&inner, inner.args, ignored) != DOCKERFILE_JSON_STRINGS;
    }
    return kind_has_heredocs(kind) &&
           dockerfile_json_read(node, node->args, ignored) != DOCKERFILE_JSON_STRINGS;
}

/* Every line without the tabs at its start; the view itself if none has any. */
static struct view strip_tabs(struct dockerfile_arena *arena, struct view content)
{
    CLEANUP(buf_release) struct buf body = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    bool line_start = true;

    for (size_t i = 0; i < content.size; i++) {
        const char c = content.data[i];
        if (line_start && c == '\t')
            continue;
        buf_append_char(&body, c);
        line_start = c == '\n';
    }
    return body.size == content.size ? content
                                     : dockerfile_arena_text(arena, buf_view(&body));
}

static bool ends_heredoc(struct view line, const struct dockerfile_heredoc *heredoc)
{
    if (heredoc->strip_tabs)
        while (line.size > 0 && line.data[0] == '\t')
            line = view_sub(line, 1, line.size - 1);
    return view_eq(line, heredoc->name.text);
}

static int read_content(struct dockerfile_node *node,
                        struct dockerfile_reader *reader,
                        struct dockerfile_heredoc *heredoc)
{
    const size_t start = reader->at;
    struct view line;

    heredoc->pos = node->parser->fixed_pos ? *node->parser->fixed_pos
                                           : (struct source_pos){node->parser->source_name,
                                                                 reader->line + 1, 1, 0};
    for (size_t end = start; dockerfile_reader_next(reader, &line); end = reader->at) {
        if (!ends_heredoc(line, heredoc))
            continue;
        if (!node->parser->fixed_pos)
            heredoc->pos.line_end = reader->line;
        heredoc->content = view_sub(reader->text, start, end - start);
        heredoc->body = heredoc->strip_tabs
                            ? strip_tabs(node->parser->arena, heredoc->content)
                            : heredoc->content;
        return 0;
    }
    if (!node->parser->fixed_pos)
        node->out->pos.line_end = reader->line;
    return dockerfile_node_error(node, "unterminated heredoc: no line '%.*s' follows",
                                 VIEW_ARG(heredoc->name.text));
}

/* Where the heredoc stands in the line, from *from on, which moves past it; the line's
 * start if its word was written otherwise. */
static struct source_pos find_pos(const struct dockerfile_node *node,
                                  const char *word,
                                  size_t *from)
{
    const struct view line = node->line->text;
    const char *found = memmem(line.data + *from, line.size - *from, word, strlen(word));

    if (found)
        *from = (size_t)(found - line.data) + strlen(word);
    return dockerfile_node_pos(node, found ? found : line.data);
}

int dockerfile_heredocs_read(struct dockerfile_node *node, struct dockerfile_reader *reader)
{
    CLEANUP(dockerfile_strings_release) struct dockerfile_strings words = {NULL, 0, 0};
    const struct view text = node->line->text;
    size_t count = 0, from = 0;

    if (!memmem(text.data, text.size, "<<", 2) || !can_have_heredocs(node))
        return 0;
    if (split(text, DOCKERFILE_EXPAND_RAW_QUOTES | DOCKERFILE_EXPAND_RAW_ESCAPES, &words) <
        0)
        return 0;
    struct dockerfile_heredoc *items =
        dockerfile_arena_array(node->parser->arena, words.count, sizeof *items);
    for (size_t i = 0; i < words.count; i++) {
        struct dockerfile_heredoc_name name;
        if (!dockerfile_heredoc_word(node->parser->arena, view_of(words.items[i]), &name))
            continue;
        if (count == LIMIT_DOCKERFILE_HEREDOCS)
            return error_at(node->err, node->out->pos, ERROR_LIMIT,
                            "more than %zu heredocs in one instruction",
                            LIMIT_DOCKERFILE_HEREDOCS);
        struct dockerfile_heredoc *heredoc = &items[count++];
        *heredoc = (struct dockerfile_heredoc){
            .name = {name.name, find_pos(node, words.items[i], &from)},
            .descriptor = name.descriptor,
            .expand = name.expand,
            .strip_tabs = name.strip_tabs,
        };
        if (read_content(node, reader, heredoc) < 0)
            return -1;
    }
    node->heredocs = (struct dockerfile_heredocs){items, count};
    return 0;
}
