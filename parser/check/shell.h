/*
 * A shell script cut into simple commands, as far as checks need it: quotes, escapes,
 * comments and operators are obeyed, nothing is expanded. Private to parser/check/.
 */
#pragma once

#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

struct dockerfile_shell {
    struct view text;
    size_t at;
};

enum dockerfile_shell_event {
    DOCKERFILE_SHELL_WORD,      /* *word: as written */
    DOCKERFILE_SHELL_PIPE,      /* | or |& */
    DOCKERFILE_SHELL_SEPARATOR, /* ; & && || newline ( ) */
    DOCKERFILE_SHELL_END,
};

enum dockerfile_shell_event dockerfile_shell_next(struct dockerfile_shell *shell,
                                                  struct view *word);
