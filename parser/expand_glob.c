#include "parser/expand_glob.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "parser/unicode.h"

#include <stdint.h>
#include <stdlib.h>

/* A token of the pattern: a rune, or one of these, which are no code points. */
#define TOKEN_ANY  ((uint32_t)0x110000)
#define TOKEN_STAR ((uint32_t)0x110001)

#define NO_START SIZE_MAX

/*
 * The pattern as an automaton: state i stands before token i, the last state accepts. Each
 * state holds where the earliest match that reaches it began, or NO_START: so one pass
 * finds the leftmost match, in time pattern times value.
 */
struct matcher {
    uint32_t *tokens;
    size_t count;
    size_t *now;
    size_t *next;
};

static void matcher_release(struct matcher *m)
{
    free(m->tokens);
    free(m->now);
    free(m->next);
    *m = (struct matcher){NULL, 0, NULL, NULL};
}

static int read_token(struct view pattern, size_t *at, uint32_t *token, struct error *err)
{
    size_t length;

    *token = dockerfile_rune_decode(pattern.data + *at, pattern.size - *at, &length);
    *at += length;
    if (*token == '*') {
        *token = TOKEN_STAR;
    } else if (*token == '?') {
        *token = TOKEN_ANY;
    } else if (*token == '\\') {
        const char c = *at < pattern.size ? pattern.data[*at] : '\0';
        /* Braces and slashes are escaped to get past the substitution's own syntax. */
        if (c != '*' && c != '?' && c != '\\' && c != '}' && c != '/')
            return error_set(
                err, ERROR_INVALID,
                "invalid pattern (%.*s) in substitution: invalid escape '\\%c'",
                VIEW_ARG(pattern), c ? c : ' ');
        *token = (unsigned char)c;
        ++*at;
    }
    return 0;
}

static int matcher_init(struct matcher *m, struct view pattern, struct error *err)
{
    m->tokens = base_alloc_array(pattern.size + 1, sizeof *m->tokens);
    for (size_t at = 0; at < pattern.size; m->count++)
        if (read_token(pattern, &at, &m->tokens[m->count], err) < 0)
            return -1;
    m->now = base_alloc_array(m->count + 1, sizeof *m->now);
    m->next = base_alloc_array(m->count + 1, sizeof *m->next);
    return 0;
}

static void matcher_reverse(struct matcher *m)
{
    for (size_t i = 0; i < m->count / 2; i++) {
        const uint32_t token = m->tokens[i];
        m->tokens[i] = m->tokens[m->count - 1 - i];
        m->tokens[m->count - 1 - i] = token;
    }
}

static void add_state(const struct matcher *m, size_t *states, size_t state, size_t start)
{
    for (;; state++) {
        if (start >= states[state])
            return;
        states[state] = start;
        if (state == m->count || m->tokens[state] != TOKEN_STAR)
            return;
    }
}

static void clear_states(const struct matcher *m, size_t *states)
{
    for (size_t i = 0; i <= m->count; i++)
        states[i] = NO_START;
}

/* Moves all states over one rune; those that began after `latest` are given up. */
static bool advance(struct matcher *m, uint32_t rune, size_t latest)
{
    bool any = false;

    clear_states(m, m->next);
    for (size_t i = 0; i < m->count; i++) {
        const size_t start = m->now[i];
        if (start == NO_START || start > latest)
            continue;
        if (m->tokens[i] == TOKEN_STAR  ? rune == '\n'
            : m->tokens[i] == TOKEN_ANY ? rune == '\n'
                                        : m->tokens[i] != rune)
            continue;
        any = true;
        add_state(m, m->next, m->tokens[i] == TOKEN_STAR ? i : i + 1, start);
    }
    size_t *swap = m->now;
    m->now = m->next;
    m->next = swap;
    return any;
}

int dockerfile_expand_trim(struct view pattern,
                           struct view value,
                           bool suffix,
                           bool greedy,
                           struct view *rest,
                           struct error *err)
{
    CLEANUP(matcher_release) struct matcher m = {NULL, 0, NULL, NULL};
    size_t matched = 0;

    if (matcher_init(&m, pattern, err) < 0)
        return -1;
    if (suffix)
        matcher_reverse(&m);
    clear_states(&m, m.now);
    add_state(&m, m.now, 0, 0);
    for (size_t done = 0; done < value.size && (greedy || m.now[m.count] == NO_START);) {
        size_t length;
        const uint32_t rune =
            suffix ? dockerfile_rune_decode_last(value.data, value.size - done, &length)
                   : dockerfile_rune_decode(value.data + done, value.size - done, &length);
        const bool alive = advance(&m, rune, NO_START);
        done += length;
        if (m.now[m.count] != NO_START)
            matched = done;
        if (!alive)
            break;
    }
    *rest = suffix ? view_sub(value, 0, value.size - matched)
                   : view_sub(value, matched, value.size - matched);
    return 0;
}

struct match {
    size_t start;
    size_t end;
};

/* The leftmost match at or after `from`, and of those the longest. */
static bool find(struct matcher *m, struct view value, size_t from, struct match *found)
{
    bool any = false;

    clear_states(m, m->now);
    for (size_t at = from;;) {
        size_t length;
        if (!any)
            add_state(m, m->now, 0, at);
        const size_t start = m->now[m->count];
        if (start != NO_START && (!any || start <= found->start)) {
            *found = (struct match){start, at};
            any = true;
        }
        if (at >= value.size)
            return any;
        const uint32_t rune =
            dockerfile_rune_decode(value.data + at, value.size - at, &length);
        const bool alive = advance(m, rune, any ? found->start : NO_START);
        if (any && !alive)
            return true;
        at += length;
    }
}

static bool is_name_rune(uint32_t rune)
{
    return rune == '_' || dockerfile_rune_is_letter(rune) || dockerfile_rune_is_digit(rune);
}

/* A $NAME or ${NAME} at the start of `text`: its size, or 0; the name in *name. */
static size_t template_name(struct view text, struct view *name)
{
    const bool braces = text.size > 1 && text.data[1] == '{';
    const size_t start = braces ? 2 : 1;
    size_t end = start;

    while (end < text.size) {
        size_t length;
        if (!is_name_rune(
                dockerfile_rune_decode(text.data + end, text.size - end, &length)))
            break;
        end += length;
    }
    if (end == start || (braces && (end >= text.size || text.data[end] != '}')))
        return 0;
    *name = view_sub(text, start, end - start);
    return end + braces;
}

/* Go's regexp.Expand for an expression without groups. */
static void put_template(struct buf *out, struct view replacement, struct view match)
{
    for (size_t at = 0; at < replacement.size && !out->failed;) {
        const struct view rest = view_sub(replacement, at, replacement.size);
        struct view name;
        size_t plain = rest.size;
        view_find(rest, '$', &plain);
        if (plain > 0) {
            buf_append_view(out, view_sub(rest, 0, plain));
            at += plain;
            continue;
        }
        if (rest.size > 1 && rest.data[1] == '$') {
            buf_append_char(out, '$');
            at += 2;
            continue;
        }
        const size_t size = template_name(rest, &name);
        uint64_t group;
        if (size == 0)
            buf_append_char(out, '$');
        else if (view_to_u64(name, &group) && group == 0)
            buf_append_view(out, match);
        at += size ? size : 1;
    }
}

static void replace_all(struct matcher *m,
                        struct view value,
                        struct view replacement,
                        struct buf *out)
{
    struct match match;
    size_t copied = 0; /* what stands before is in `out` */

    for (size_t from = 0;
         from <= value.size && !out->failed && find(m, value, from, &match);) {
        size_t length = 1;
        buf_append_view(out, view_sub(value, copied, match.start - copied));
        /* An empty match right after another one is none. */
        if (match.end > copied || match.start == 0)
            put_template(out, replacement,
                         view_sub(value, match.start, match.end - match.start));
        copied = match.end;
        if (from < value.size)
            dockerfile_rune_decode(value.data + from, value.size - from, &length);
        from = from + length > match.end ? from + length : match.end;
    }
    buf_append_view(out, view_sub(value, copied, value.size - copied));
}

int dockerfile_expand_replace(struct view pattern,
                              struct view value,
                              struct view replacement,
                              bool all,
                              struct buf *out,
                              struct error *err)
{
    CLEANUP(matcher_release) struct matcher m = {NULL, 0, NULL, NULL};
    struct match match = {0, 0};

    if (matcher_init(&m, pattern, err) < 0)
        return -1;
    if (all) {
        replace_all(&m, value, replacement, out);
    } else if (find(&m, value, 0, &match)) {
        buf_append_view(out, view_sub(value, 0, match.start));
        buf_append_view(out, replacement);
        buf_append_view(out, view_sub(value, match.end, value.size - match.end));
    } else {
        buf_append_view(out, value);
    }
    return 0;
}
