#include "parser/ignore.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "parser/arena.h"
#include "parser/pattern.h"
#include "parser/unicode.h"

#include <stdlib.h>
#include <string.h>

struct dockerfile_ignore {
    struct dockerfile_arena *arena;
    struct dockerfile_pattern *patterns;
    size_t count;
    size_t capacity;
    bool has_exceptions;
    const char *source; /* borrowed; NULL: no file */
};

static struct dockerfile_ignore *ignore_alloc(void)
{
    struct dockerfile_ignore *set = base_alloc(sizeof *set);

    set->arena = dockerfile_arena_new();
    return set;
}

void dockerfile_ignore_free(struct dockerfile_ignore *set)
{
    if (!set)
        return;
    dockerfile_arena_free(set->arena);
    free(set->patterns);
    free(set);
}

void dockerfile_ignore_freep(struct dockerfile_ignore **set)
{
    dockerfile_ignore_free(*set);
    *set = NULL;
}

size_t dockerfile_ignore_count(const struct dockerfile_ignore *set)
{
    return set->count;
}

/* patternmatcher.New for one pattern. */
static int add_pattern(struct dockerfile_ignore *set, struct view text, struct error *err)
{
    CLEANUP(buf_release) struct buf clean = BUF_INIT(LIMIT_TEXT_SIZE);

    text = dockerfile_trim(text);
    if (text.size == 0)
        return 0;
    path_clean(text, &clean);
    if (buf_ok(&clean, "pattern", err) < 0)
        return -1;
    struct view pattern = buf_view(&clean);
    const bool exception = pattern.data[0] == '!';
    if (exception)
        pattern = view_sub(pattern, 1, pattern.size);
    if (pattern.size == 0)
        return error_set(err, ERROR_INVALID, "'!' must be followed by a pattern");
    set->patterns =
        base_grow(set->patterns, set->count, &set->capacity, sizeof *set->patterns);
    if (dockerfile_pattern_compile(set->arena, pattern, &set->patterns[set->count], err) <
        0)
        return -1;
    set->patterns[set->count].line = 0;
    set->patterns[set->count++].exception = exception;
    set->has_exceptions = set->has_exceptions || exception;
    return 0;
}

/* ignorefile.ReadAll for one line: paths from the root of the context lose their slash. */
static int add_line(struct dockerfile_ignore *set, struct view line, struct error *err)
{
    CLEANUP(buf_release) struct buf pattern = BUF_INIT(LIMIT_TEXT_SIZE);

    line = dockerfile_trim(line);
    if (line.size == 0)
        return 0;
    if (line.data[0] == '!') {
        buf_append_char(&pattern, '!');
        line = dockerfile_trim(view_sub(line, 1, line.size));
    }
    if (line.size > 0) {
        CLEANUP(buf_release) struct buf clean = BUF_INIT(LIMIT_TEXT_SIZE);
        path_clean(line, &clean);
        struct view path = buf_view(&clean);
        if (path.size > 1 && path.data[0] == '/')
            path = view_sub(path, 1, path.size);
        buf_append_view(&pattern, path);
    }
    if (buf_ok(&pattern, "pattern", err) < 0)
        return -1;
    return add_pattern(set, buf_view(&pattern), err);
}

struct dockerfile_ignore *dockerfile_ignore_parse(struct view text,
                                                  const char *source_name,
                                                  struct error *err)
{
    if (text.size > LIMIT_DOCKERIGNORE_SIZE) {
        error_set(err, ERROR_LIMIT, "%s is longer than %zu bytes", source_name,
                  LIMIT_DOCKERIGNORE_SIZE);
        return NULL;
    }
    struct dockerfile_ignore *set = ignore_alloc();
    unsigned number = 0;

    set->source = source_name;
    if (view_starts(text, "\xef\xbb\xbf"))
        text = view_sub(text, 3, text.size);
    for (bool more = text.size > 0; more;) {
        struct view line, rest;
        more = view_cut(text, '\n', &line, &rest);
        const size_t before = set->count;
        number++;
        if (!view_starts(line, "#") && add_line(set, line, err) < 0) {
            error_locate(err, (struct source_pos){source_name, number, 1, number});
            dockerfile_ignore_free(set);
            return NULL;
        }
        if (set->count > before)
            set->patterns[before].line = number;
        text = rest;
    }
    return set;
}

struct dockerfile_ignore *dockerfile_ignore_new(const struct view *patterns,
                                                size_t count,
                                                struct error *err)
{
    struct dockerfile_ignore *set = ignore_alloc();

    for (size_t i = 0; i < count; i++) {
        if (add_pattern(set, patterns[i], err) < 0) {
            dockerfile_ignore_free(set);
            return NULL;
        }
    }
    return set;
}

bool dockerfile_ignore_has_exceptions(const struct dockerfile_ignore *set)
{
    return set->has_exceptions;
}

bool dockerfile_ignore_covers_top(const struct dockerfile_ignore *set)
{
    static const char *const everything[] = {"*", "**", "**/*"};

    for (size_t i = 0; i < set->count; i++)
        for (size_t j = 0; j < ARRAY_COUNT(everything); j++)
            if (!set->patterns[i].exception &&
                view_eq_text(set->patterns[i].text, everything[j]))
                return true;
    return false;
}

static bool is_top(struct view path)
{
    return path.size == 0 || view_eq_text(path, ".");
}

bool dockerfile_ignore_match(const struct dockerfile_ignore *set, struct view path)
{
    bool matched = false;

    if (is_top(path))
        return false;
    for (size_t i = 0; i < set->count; i++) {
        /* A pattern that could change nothing is not asked. */
        if (set->patterns[i].exception == matched &&
            dockerfile_pattern_match_any_parent(&set->patterns[i], path))
            matched = !matched;
    }
    return matched;
}

size_t dockerfile_ignore_state_size(const struct dockerfile_ignore *set)
{
    return set->count / 8 + 1;
}

bool dockerfile_ignore_step_rule(const struct dockerfile_ignore *set,
                                 struct view path,
                                 const uint8_t *parent,
                                 uint8_t *state,
                                 size_t *rule)
{
    bool matched = false;

    *rule = set->count;
    if (state)
        memset(state, 0, dockerfile_ignore_state_size(set));
    if (is_top(path))
        return false;
    for (size_t i = 0; i < set->count; i++) {
        const struct dockerfile_pattern *pattern = &set->patterns[i];
        bool match = parent && (parent[i / 8] >> i % 8 & 1);
        if (!match) {
            if (pattern->exception != matched)
                continue;
            /* At the top of a walk nothing is known of parents: `path` may be deep. */
            match = parent ? dockerfile_pattern_match(pattern, path)
                           : dockerfile_pattern_match_any_parent(pattern, path);
        }
        if (match) {
            if (matched == pattern->exception)
                *rule = i;
            matched = !pattern->exception;
            if (state)
                state[i / 8] = (uint8_t)(state[i / 8] | 1u << i % 8);
        }
    }
    return matched;
}

bool dockerfile_ignore_step(const struct dockerfile_ignore *set,
                            struct view path,
                            const uint8_t *parent,
                            uint8_t *state)
{
    size_t rule;

    return dockerfile_ignore_step_rule(set, path, parent, state, &rule);
}

struct dockerfile_ignore_rule dockerfile_ignore_rule_at(const struct dockerfile_ignore *set,
                                                        size_t index)
{
    const struct dockerfile_pattern *pattern = &set->patterns[index];

    return (struct dockerfile_ignore_rule){.source = set->source,
                                           .line = pattern->line,
                                           .pattern = pattern->text,
                                           .exception = pattern->exception};
}

bool dockerfile_ignore_find_rule(const struct dockerfile_ignore *set,
                                 struct view path,
                                 struct dockerfile_ignore_rule *rule)
{
    const size_t size = dockerfile_ignore_state_size(set);
    CLEANUP(base_freep) uint8_t *states = base_alloc_array(2, size);
    bool ignored = false;
    size_t depth = 0;
    size_t index = set->count;

    for (size_t end = 0; end < path.size; end++, depth++) {
        while (end < path.size && path.data[end] != '/')
            end++;
        ignored = dockerfile_ignore_step_rule(set, view_sub(path, 0, end),
                                              depth ? states + depth % 2 * size : NULL,
                                              states + (depth + 1) % 2 * size, &index);
    }
    *rule = index < set->count ? dockerfile_ignore_rule_at(set, index)
                               : (struct dockerfile_ignore_rule){0};
    return ignored;
}

bool dockerfile_ignore_may_reinclude(const struct dockerfile_ignore *set, struct view path)
{
    if (!set->has_exceptions)
        return false;
    if (is_top(path))
        return true;
    for (size_t i = 0; i < set->count; i++)
        if (set->patterns[i].exception &&
            dockerfile_pattern_reaches_below(&set->patterns[i], path))
            return true;
    return false;
}
