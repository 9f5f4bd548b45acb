#include "cli/build_source.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/context_tar.h"
#include "builder/remote.h"
#include "cli/message.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void cli_build_source_release(struct cli_build_source *s)
{
    base_freep(&s->dockerfile);
    base_freep(&s->path);
    base_freep(&s->name);
    base_freep(&s->text);
}

/* --- Standard input --- */

/* Its first bytes, as many as there are. */
static int head_read(struct cli_build_source *s, struct error *err)
{
    while (s->head_size < sizeof s->head) {
        const ssize_t got =
            read(STDIN_FILENO, s->head + s->head_size, sizeof s->head - s->head_size);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_sys(err, "standard input");
        if (got == 0)
            return 0;
        s->head_size += (size_t)got;
    }
    return 0;
}

/* Puts a copy of standard input in its place, so that it can be read again. */
static int stdin_spool(const struct cli_build_source *s, struct error *err)
{
    CLEANUP(fd_closep) int fd = memfd_create("cooper-stdin", MFD_CLOEXEC);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);

    if (fd < 0)
        return error_sys(err, "memory for standard input");
    buf_append(&text, s->head, s->head_size);
    if (fs_read_all(STDIN_FILENO, &text, err) < 0 ||
        fs_write_all(fd, buf_text(&text), text.size, err) < 0)
        return error_wrap(err, "standard input");
    if (lseek(fd, 0, SEEK_SET) < 0 || dup2(fd, STDIN_FILENO) < 0)
        return error_sys(err, "standard input");
    return 0;
}

static int stdin_dockerfile(struct cli_build_source *out, struct error *err)
{
    out->dockerfile = base_strdup("-");
    out->name = base_strdup("Dockerfile");
    return stdin_spool(out, err);
}

/* A Dockerfile without a context, or an archive that is one. */
static int stdin_context(const char *file, struct cli_build_source *out, struct error *err)
{
    if (file != NULL && strcmp(file, "-") == 0)
        return stdin_dockerfile(out, err);
    if (head_read(out, err) < 0)
        return -1;
    if (context_tar_is_archive((struct view){out->head, out->head_size})) {
        out->context = "-";
        out->dockerfile = base_strdup(file);
        out->name = view_dup(path_base(view_of(file != NULL ? file : "Dockerfile")));
        return 0;
    }
    if (file != NULL)
        return error_set(err, ERROR_USAGE,
                         "standard input is no archive but a Dockerfile itself: -f cannot "
                         "name another");
    return stdin_dockerfile(out, err);
}

/* --- Other contexts --- */

/* *is_directory false: a URL or an archive, whose Dockerfile is inside. */
static int context_check(const char *context, bool *is_directory, struct error *err)
{
    enum build_remote_kind kind = BUILD_REMOTE_NONE;
    struct stat st;

    *is_directory = false;
    if (stat(context, &st) == 0) {
        *is_directory = S_ISDIR(st.st_mode);
        return *is_directory || S_ISREG(st.st_mode)
                   ? 0
                   : error_set(err, ERROR_INVALID, "context %s is not a directory",
                               context);
    }
    const int reason = errno;
    if (build_remote_kind(context, true, &kind, err) < 0)
        return error_wrap(err, "context");
    errno = reason;
    return kind != BUILD_REMOTE_NONE ? 0 : error_sys(err, "context %s", context);
}

/* Dockerfile, or dockerfile if there is only that one, as BuildKit. */
static char *default_path(const char *context)
{
    char *const path = base_format("%s/Dockerfile", context);
    char *const small = base_format("%s/dockerfile", context);
    const bool use_small = access(path, F_OK) < 0 && access(small, F_OK) == 0;

    free(use_small ? path : small);
    return use_small ? small : path;
}

static void directory_dockerfile(const char *context,
                                 const char *file,
                                 struct cli_build_source *out)
{
    out->path = file != NULL ? base_strdup(file) : default_path(context);
    out->name = view_dup(path_base(view_of(out->path)));
    /* The builder's own default is the same path; it says better what is missing. */
    if (file != NULL || strcmp(out->name, "Dockerfile") != 0)
        out->dockerfile = base_strdup(out->path);
}

int cli_build_source_resolve(const char *context,
                             const char *file,
                             struct cli_build_source *out,
                             struct error *err)
{
    bool is_directory;

    *out = (struct cli_build_source){0};
    if (strcmp(context, "-") == 0)
        return stdin_context(file, out, err);
    out->context = context;
    if (context_check(context, &is_directory, err) < 0)
        return -1;
    if (file != NULL && strcmp(file, "-") == 0)
        return stdin_dockerfile(out, err);
    if (is_directory) {
        directory_dockerfile(context, file, out);
        return 0;
    }
    out->dockerfile = base_strdup(file);
    out->name = view_dup(path_base(view_of(file != NULL ? file : "Dockerfile")));
    return 0;
}

/* --- For the builder, and for messages --- */

static void text_keep(void *context, struct view text)
{
    struct cli_build_source *s = context;

    base_freep(&s->text);
    s->text = view_dup(text);
    s->text_size = text.size;
}

void cli_build_source_attach(struct cli_build_source *s, struct build_request *request)
{
    request->context = s->context;
    request->context_head = (struct view){s->head, s->head_size};
    request->dockerfile = s->dockerfile;
    request->on_dockerfile = text_keep;
    request->dockerfile_context = s;
}

void cli_build_source_excerpt(const struct cli_build_source *s,
                              const struct error *failure,
                              struct buf *out)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    int result;

    if (failure->pos.line == 0)
        return;
    if (s->text != NULL) {
        cli_message_excerpt((struct view){s->text, s->text_size}, s->name, failure->pos,
                            out);
        return;
    }
    if (s->path != NULL)
        result = fs_read_file_at(AT_FDCWD, s->path, &text, &ignored);
    else
        result = lseek(STDIN_FILENO, 0, SEEK_SET) < 0
                     ? -1
                     : fs_read_all(STDIN_FILENO, &text, &ignored);
    /* The file may be gone by now; its name and the line are still worth telling. */
    if (result < 0)
        buf_printf(out, "%s:%u\n", s->name, failure->pos.line);
    else
        cli_message_excerpt(buf_view(&text), s->name, failure->pos, out);
}
