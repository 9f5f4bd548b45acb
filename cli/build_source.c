#include "cli/build_source.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cli/message.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where a tar has "ustar". */
#define TAR_MAGIC_OFFSET 257

void cli_build_source_release(struct cli_build_source *s)
{
    base_freep(&s->dockerfile);
    base_freep(&s->path);
    base_freep(&s->name);
}

static bool is_url(const char *context)
{
    static const char *const starts[] = {"git@",    "github.com/", "git://",
                                         "http://", "https://",    "ssh://"};

    for (size_t i = 0; i < ARRAY_COUNT(starts); i++) {
        if (strncmp(context, starts[i], strlen(starts[i])) == 0)
            return true;
    }
    return false;
}

static bool is_archive(struct view text)
{
    static const char *const magics[] = {"\x1f\x8b", "\x28\xb5\x2f\xfd", "BZh",
                                         "\xfd\x37zXZ"};

    for (size_t i = 0; i < ARRAY_COUNT(magics); i++) {
        if (view_starts(text, magics[i]))
            return true;
    }
    return view_starts(view_sub(text, TAR_MAGIC_OFFSET, 5), "ustar");
}

/* Puts a copy of standard input in its place. */
static int stdin_spool(struct buf *text, struct error *err)
{
    CLEANUP(fd_closep) int fd = memfd_create("cooper-stdin", MFD_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "memory for standard input");
    if (fs_read_all(STDIN_FILENO, text, err) < 0 ||
        fs_write_all(fd, buf_text(text), text->size, err) < 0)
        return error_wrap(err, "standard input");
    if (lseek(fd, 0, SEEK_SET) < 0 || dup2(fd, STDIN_FILENO) < 0)
        return error_sys(err, "standard input");
    return 0;
}

static int stdin_dockerfile(bool is_context,
                            struct cli_build_source *out,
                            struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);

    out->dockerfile = base_strdup("-");
    out->name = base_strdup("Dockerfile");
    if (stdin_spool(&text, err) < 0)
        return -1;
    if (is_context && is_archive(buf_view(&text)))
        return error_set(
            err, ERROR_UNSUPPORTED,
            "a context on standard input is not supported: unpack it and name the "
            "directory");
    return 0;
}

static int context_check(const char *context, struct error *err)
{
    struct stat st;

    if (is_url(context))
        return error_set(
            err, ERROR_UNSUPPORTED,
            "context %s: remote contexts are not supported: fetch it and name the "
            "directory",
            context);
    if (stat(context, &st) < 0)
        return error_sys(err, "context %s", context);
    if (!S_ISDIR(st.st_mode))
        return error_set(err, ERROR_INVALID, "context %s is not a directory", context);
    return 0;
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

int cli_build_source_resolve(const char *context,
                             const char *file,
                             struct cli_build_source *out,
                             struct error *err)
{
    *out = (struct cli_build_source){0};
    if (strcmp(context, "-") == 0) {
        if (file != NULL && strcmp(file, "-") != 0)
            return error_set(
                err, ERROR_USAGE,
                "the context - is a Dockerfile itself: -f cannot name another");
        return stdin_dockerfile(true, out, err);
    }
    out->context = context;
    if (context_check(context, err) < 0)
        return -1;
    if (file != NULL && strcmp(file, "-") == 0)
        return stdin_dockerfile(false, out, err);
    out->path = file != NULL ? base_strdup(file) : default_path(context);
    out->name = view_dup(path_base(view_of(out->path)));
    /* The builder's own default is the same path; it says better what is missing. */
    if (file != NULL || strcmp(out->name, "Dockerfile") != 0)
        out->dockerfile = base_strdup(out->path);
    return 0;
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
