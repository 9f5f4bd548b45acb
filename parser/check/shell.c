#include "parser/check/shell.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_operator(char c)
{
    return c != '\0' && strchr("|&;()\n", c) != NULL;
}

/* Past the closing quote, or the end. */
static size_t skip_quoted(struct view text, size_t at, char quote)
{
    for (at++; at < text.size && text.data[at] != quote; at++)
        if (quote == '"' && text.data[at] == '\\')
            at++;
    return at < text.size ? at + 1 : text.size;
}

static size_t skip_word(struct view text, size_t at)
{
    while (at < text.size && !is_blank(text.data[at]) && !is_operator(text.data[at])) {
        const char c = text.data[at];
        if (c == '\'' || c == '"')
            at = skip_quoted(text, at, c);
        else
            at += c == '\\' ? 2 : 1;
    }
    return at < text.size ? at : text.size;
}

/* White space, escaped newlines and comments. */
static size_t skip_nothing(struct view text, size_t at)
{
    while (at < text.size) {
        const char c = text.data[at];
        if (is_blank(c)) {
            at++;
        } else if (c == '\\' && at + 1 < text.size && text.data[at + 1] == '\n') {
            at += 2;
        } else if (c == '#') {
            while (at < text.size && text.data[at] != '\n')
                at++;
        } else {
            break;
        }
    }
    return at;
}

enum dockerfile_shell_event dockerfile_shell_next(struct dockerfile_shell *shell,
                                                  struct view *word)
{
    const struct view text = shell->text;
    const size_t start = shell->at = skip_nothing(text, shell->at);

    if (start >= text.size)
        return DOCKERFILE_SHELL_END;
    if (!is_operator(text.data[start])) {
        shell->at = skip_word(text, start);
        *word = view_sub(text, start, shell->at - start);
        return DOCKERFILE_SHELL_WORD;
    }
    shell->at++;
    const char next = shell->at < text.size ? text.data[shell->at] : '\0';
    if ((text.data[start] == '|' && (next == '|' || next == '&')) ||
        (text.data[start] == '&' && next == '&'))
        shell->at++;
    return text.data[start] == '|' && next != '|' ? DOCKERFILE_SHELL_PIPE
                                                  : DOCKERFILE_SHELL_SEPARATOR;
}
