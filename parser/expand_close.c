/* Closing ${...}: what the word, pattern or replacement within it comes to. */
#include "parser/expand_priv.h"

#include "base/limits.h"
#include "parser/expand_glob.h"
#include "parser/unicode.h"

int dockerfile_expand_fail_modifier(struct expansion *x, bool colon, uint32_t rune)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_NAME_SIZE);

    dockerfile_rune_append(&text, rune);
    return error_set(x->err, ERROR_INVALID, "unsupported modifier (%s%s) in substitution",
                     colon ? ":" : "", buf_text(&text));
}

static void replace_with(struct expansion *x, const struct frame *frame, struct view text)
{
    cut_back(x, frame->start);
    buf_append_view(x->out, text);
}

static int spend(struct expansion *x, size_t work)
{
    if (work > LIMIT_DOCKERFILE_EXPANSION - x->work)
        return error_set(x->err, ERROR_LIMIT,
                         "patterns and replacements take more than %zu steps",
                         LIMIT_DOCKERFILE_EXPANSION);
    x->work += work;
    return 0;
}

/* Matching costs at most this much. */
static int spend_match(struct expansion *x, struct view pattern, struct view value)
{
    if (pattern.size > LIMIT_DOCKERFILE_EXPANSION / (value.size + 1))
        return spend(x, SIZE_MAX);
    return spend(x, pattern.size * (value.size + 1));
}

static int close_question(struct expansion *x, const struct frame *frame, struct view word)
{
    if (frame->set && !(frame->null_is_unset && frame->value.size == 0)) {
        replace_with(x, frame, frame->value);
        return 0;
    }
    if (word.size == 0)
        word = frame->set ? VIEW_LIT("is not allowed to be empty")
                          : VIEW_LIT("is not allowed to be unset");
    return error_set(x->err, ERROR_INVALID, "%.*s: %.*s", VIEW_ARG(frame->name),
                     VIEW_ARG(word));
}

/* ${NAME#pattern} and its kin. The pattern stands in the output and is cut off after use.
 */
static int close_trim(struct expansion *x, const struct frame *frame, struct view pattern)
{
    const bool greedy =
        pattern.size > 0 && (unsigned char)pattern.data[0] == frame->operation;
    struct view rest;

    if (greedy)
        pattern = view_sub(pattern, 1, pattern.size);
    if (spend_match(x, pattern, frame->value) < 0 ||
        dockerfile_expand_trim(pattern, frame->value, frame->operation == '%', greedy,
                               &rest, x->err) < 0)
        return -1;
    replace_with(x, frame, rest);
    return 0;
}

static int close_word(struct expansion *x, const struct frame *frame)
{
    const struct view word = {buf_text(x->out) + frame->start, x->out->size - frame->start};
    const bool empty = !frame->set || (frame->null_is_unset && frame->value.size == 0);

    if (frame->keep) {
        buf_append_char(x->out, '}');
        return 0;
    }
    switch (frame->operation) {
    case '-':
        if (!empty)
            replace_with(x, frame, frame->value);
        return 0;
    case '+':
        if (empty)
            cut_back(x, frame->start);
        return 0;
    case '?':
        return close_question(x, frame, word);
    case '#':
    case '%':
        return close_trim(x, frame, word);
    default:
        return dockerfile_expand_fail_modifier(x, frame->null_is_unset, frame->operation);
    }
}

static int close_replacement(struct expansion *x, const struct frame *frame)
{
    CLEANUP(buf_release)
    struct buf result = BUF_INIT(x->out->max);

    if (frame->keep) {
        buf_append_char(x->out, '}');
        return 0;
    }
    const struct view all = buf_view(x->out);
    const struct view pattern =
        view_sub(all, frame->start, frame->replacement - frame->start);
    const struct view replacement = view_sub(all, frame->replacement, all.size);
    if (result.max > LIMIT_DOCKERFILE_EXPANSION - x->work)
        result.max = LIMIT_DOCKERFILE_EXPANSION - x->work;
    if (spend_match(x, pattern, frame->value) < 0 ||
        dockerfile_expand_replace(pattern, frame->value, replacement, frame->all, &result,
                                  x->err) < 0 ||
        buf_ok(&result, "expansion", x->err) < 0 || spend(x, result.size) < 0)
        return -1;
    replace_with(x, frame, buf_view(&result));
    return 0;
}

int dockerfile_expand_close(struct expansion *x)
{
    struct frame frame = *top(x);
    int result;

    if (x->out->failed)
        return buf_ok(x->out, "expansion", x->err);
    if (frame.kind == FRAME_PATTERN) {
        if (frame.keep)
            buf_append_char(x->out, '/');
        top(x)->kind = FRAME_REPLACEMENT;
        top(x)->replacement = x->out->size;
        return 0;
    }
    x->depth--;
    if (frame.kind == FRAME_REPLACEMENT)
        result = close_replacement(x, &frame);
    else
        result = close_word(x, &frame);
    if (result == 0)
        dockerfile_expand_split(x, frame.start, false);
    return result;
}
