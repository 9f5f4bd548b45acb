#include "cli/dockerfile_text.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cli/diagnostics.h"
#include "parser/dockerfile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *path_of(const char *file)
{
    struct stat st;

    if (file == NULL)
        return base_strdup("Dockerfile");
    if (strcmp(file, "-") != 0 && stat(file, &st) == 0 && S_ISDIR(st.st_mode))
        return base_format("%s/Dockerfile", file);
    return base_strdup(file);
}

static void errors_print(const struct cli_diagnostics *errors,
                         const char *name,
                         struct view text)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);
    struct cli_diagnostics_source source = {.name = name, .path = name, .text = text};

    for (size_t i = 0; i < errors->count; i++)
        cli_diagnostic_print(&errors->items[i], &source, &out);
    fwrite(buf_text(&out), 1, out.size, stderr);
}

static int text_read(const char *path, struct buf *text, struct error *err)
{
    if (strcmp(path, "-") == 0)
        return fs_read_all(STDIN_FILENO, text, err);
    return fs_read_file_at(AT_FDCWD, path, text, err);
}

struct dockerfile *cli_dockerfile_read(const char *file,
                                       struct buf *text,
                                       char **path,
                                       struct error *err)
{
    CLEANUP(cli_diagnostics_release) struct cli_diagnostics errors = {0};
    const struct dockerfile_parse_options how = {.on_error = cli_diagnostics_error,
                                                 .context = &errors};
    struct dockerfile *parsed;

    *path = path_of(file);
    if (text_read(*path, text, err) < 0)
        return NULL;
    const bool is_stdin = strcmp(*path, "-") == 0;
    const char *const name = is_stdin ? "Dockerfile" : path_base(view_of(*path)).data;
    parsed = dockerfile_parse(buf_view(text), name, &how, err);
    errors_print(&errors, name, buf_view(text));
    return parsed;
}

int cli_dockerfile_replace(const char *path, struct view text, struct error *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return error_sys(err, "%s", path);
    return fs_replace_file_at(AT_FDCWD, path, text, st.st_mode & 07777, err);
}
