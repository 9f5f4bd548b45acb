#include "cli/build_failure.h"

#include "base/alloc.h"
#include "registry/reference.h"

#include <string.h>

#define IMAGE_PREFIX "image="

int cli_build_on_failure(const char *text, const char **image, struct error *err)
{
    *image = NULL;
    if (text == NULL)
        return 0;
    if (strncmp(text, IMAGE_PREFIX, sizeof IMAGE_PREFIX - 1) != 0)
        return error_set(err, ERROR_USAGE, "--on-failure is image=NAME, not '%s'", text);
    *image = text + sizeof IMAGE_PREFIX - 1;
    CLEANUP(base_freep) char *full = registry_reference_normalize(view_of(*image), err);
    if (full != NULL)
        return 0;
    err->code = ERROR_USAGE;
    return error_wrap(err, "--on-failure %s", text);
}

/* As a shell reads it, in single quotes where that is needed. */
static void word_append(struct buf *out, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_-./:@%+=,";

    if (strspn(text, plain) == strlen(text) && *text != '\0') {
        buf_append_text(out, text);
        return;
    }
    buf_append_char(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_append_text(out, "'\\''");
        else
            buf_append_char(out, *text);
    }
    buf_append_char(out, '\'');
}

static void command_append(const struct cli_session *session,
                           const struct build_result *result,
                           const char *what,
                           const char *command,
                           struct buf *out)
{
    buf_printf(out, "%-22s cooper ", what);
    if (session->root != NULL) {
        buf_append_text(out, "--root ");
        word_append(out, session->root);
        buf_append_char(out, ' ');
    }
    buf_printf(out, "%s %s\n", command, result->build);
}

void cli_build_failure_hints(const struct cli_session *session,
                             const struct build_request *request,
                             const struct build_result *result,
                             const struct error *err,
                             struct buf *out)
{
    if (result->build[0] == '\0')
        return;
    if (err->code == ERROR_FAILED)
        command_append(session, result, "all that it printed:", "logs", out);
    if (!result->is_kept)
        return;
    command_append(session, result, "a shell in its state:", "debug", out);
    if (request->on_failure != NULL)
        buf_printf(out, "%-22s %s\n", "its state as an image:", request->on_failure);
}
