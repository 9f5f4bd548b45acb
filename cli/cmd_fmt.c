/* cooper fmt [FILE...] */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/diff.h"
#include "cli/dockerfile_text.h"
#include "cli/output.h"
#include "parser/dockerfile.h"
#include "parser/format.h"

struct fmt_options {
    bool write;
    bool check;
    bool diff;
};

static const struct cli_option options[] = {
    {0, "check", CLI_OPTION_SWITCH, NULL,
     "Write nothing; name the files that are not formatted, and fail if there are any",
     offsetof(struct fmt_options, check)},
    {'d', "diff", CLI_OPTION_SWITCH, NULL, "Print what would change",
     offsetof(struct fmt_options, diff)},
    {'w', "write", CLI_OPTION_SWITCH, NULL, "Rewrite the files in place",
     offsetof(struct fmt_options, write)},
};

struct formatted {
    struct buf before;
    struct buf after;
    char *path;
};

static void formatted_release(struct formatted *f)
{
    buf_release(&f->before);
    buf_release(&f->after);
    base_freep(&f->path);
}

static int file_format(const char *file, struct formatted *f, struct error *err)
{
    CLEANUP(dockerfile_freep)
    struct dockerfile *parsed = cli_dockerfile_read(file, &f->before, &f->path, err);

    if (parsed == NULL)
        return error_wrap(err, "%s", f->path);
    dockerfile_format(parsed, &f->after);
    return buf_ok(&f->after, "formatted Dockerfile", err);
}

static int file_write(const struct formatted *f, struct error *err)
{
    if (strcmp(f->path, "-") == 0)
        return error_set(err, ERROR_USAGE, "--write needs a file: standard input is none");
    return cli_dockerfile_replace(f->path, buf_view(&f->after), err);
}

/* One file; *changed is set if it is not formatted. */
static int file_treat(const struct fmt_options *o,
                      const char *file,
                      bool *changed,
                      struct error *err)
{
    CLEANUP(formatted_release)
    struct formatted f = {.before = BUF_INIT(LIMIT_DOCKERFILE_SIZE),
                          .after = BUF_INIT(2 * LIMIT_DOCKERFILE_SIZE)};
    CLEANUP(buf_release) struct buf diff = BUF_INIT(4 * LIMIT_DOCKERFILE_SIZE);

    if (file_format(file, &f, err) < 0)
        return -1;
    const bool differs = !view_eq(buf_view(&f.before), buf_view(&f.after));
    *changed = *changed || differs;
    if (differs && o->diff)
        cli_diff_print(buf_view(&f.before), buf_view(&f.after), f.path, &diff);
    if (differs && o->check && !o->diff)
        buf_printf(&diff, "%s\n", f.path);
    if (!o->write && !o->check && !o->diff)
        cli_output_buf(&f.after);
    cli_output_buf(&diff);
    return differs && o->write ? file_write(&f, err) : 0;
}

static int fmt_command_run(struct cli_session *session,
                           const void *opaque,
                           const struct cli_texts *arguments,
                           struct error *err)
{
    const struct fmt_options *const o = opaque;
    const size_t count = arguments->count > 0 ? arguments->count : 1;
    bool changed = false;

    (void)session;
    if (o->write && o->check)
        return error_set(err, ERROR_USAGE, "--write and --check exclude each other");
    for (size_t i = 0; i < count; i++)
        if (file_treat(o, arguments->count > 0 ? arguments->items[i] : NULL, &changed,
                       err) < 0)
            return -1;
    if (changed && o->check)
        return error_set(err, ERROR_FAILED, "not formatted: 'cooper fmt --write' does it");
    return 0;
}

const struct cli_command cli_command_fmt = {
    .name = "fmt",
    .usage = "[OPTIONS] [FILE...]",
    .summary = "Lay out a Dockerfile in the canonical way",
    .details =
        "Prints the result, or rewrites the files with --write. Instructions are in\n"
        "capitals at the start of their line, with one blank after the name; blanks at\n"
        "line ends and empty lines within instructions go. Comments, line breaks and\n"
        "heredocs stay, and what the file means never changes. FILE may be a directory\n"
        "with a Dockerfile, or - for standard input (default: Dockerfile).",
    CLI_OPTIONS(options, struct fmt_options),
    .argument_max = CLI_ARGUMENTS_ANY,
    .run = fmt_command_run,
};
