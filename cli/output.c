#include "cli/output.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int cli_output_format_parse(const char *text,
                            enum cli_output_format *out,
                            struct error *err)
{
    if (text == NULL || strcmp(text, "table") == 0)
        *out = CLI_OUTPUT_TABLE;
    else if (strcmp(text, "json") == 0)
        *out = CLI_OUTPUT_JSON;
    else
        return error_set(err, ERROR_USAGE,
                         "--format is table or json, not '%s' (Go templates are not known: "
                         "use json and jq)",
                         text);
    return 0;
}

void cli_output_buf(const struct buf *text)
{
    fwrite(buf_text(text), 1, text->size, stdout);
}

void cli_output_doc(const struct doc *doc, enum doc_write_flags flags)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    doc_write(doc, flags, &text);
    buf_append_char(&text, '\n');
    cli_output_buf(&text);
}

static bool is_direct(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

/* A file without a name vanishes with the process, however that ends. */
static int temporary_open(struct cli_output_file *f, const char *path, struct error *err)
{
    CLEANUP(base_freep) char *dir = view_dup(path_dir(view_of(path)));

    f->temporary = base_format("%s.tmp%d", path, (int)getpid());
    f->fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
    f->is_unnamed = f->fd >= 0;
    if (f->fd < 0)
        f->fd = fs_open_at(AT_FDCWD, f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                           0644, err);
    if (f->fd < 0)
        base_freep(&f->temporary);
    return f->fd >= 0 ? 0 : -1;
}

int cli_output_file_open(struct cli_output_file *f, const char *path, struct error *err)
{
    *f = (struct cli_output_file){.fd = -1, .path = path};
    if (path == NULL || strcmp(path, "-") == 0) {
        if (isatty(STDOUT_FILENO))
            return error_set(err, ERROR_USAGE,
                             "standard output is a terminal: name a file or redirect it");
        f->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        return f->fd >= 0 ? 0 : error_sys(err, "standard output");
    }
    if (is_direct(path)) {
        f->fd = fs_open_at(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0, err);
        return f->fd >= 0 ? 0 : -1;
    }
    return temporary_open(f, path, err);
}

int cli_output_file_commit(struct cli_output_file *f, struct error *err)
{
    CLEANUP(base_freep) char *self = base_format("/proc/self/fd/%d", f->fd);

    if (f->temporary == NULL)
        return 0;
    if (fs_sync(f->fd, f->path, err) < 0)
        return -1;
    if (f->is_unnamed &&
        linkat(AT_FDCWD, self, AT_FDCWD, f->temporary, AT_SYMLINK_FOLLOW) < 0)
        return error_sys(err, "name %s", f->temporary);
    f->is_unnamed = false;
    if (rename(f->temporary, f->path) < 0)
        return error_sys(err, "rename %s", f->path);
    base_freep(&f->temporary);
    return 0;
}

void cli_output_file_release(struct cli_output_file *f)
{
    fd_closep(&f->fd);
    if (f->temporary != NULL && !f->is_unnamed)
        unlink(f->temporary);
    base_freep(&f->temporary);
}
