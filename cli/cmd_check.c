/* cooper check [CONTEXT] */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cli/build_source.h"
#include "cli/build_value.h"
#include "cli/diagnostics.h"
#include "cli/dockerfile_check.h"
#include "cli/dockerfile_text.h"
#include "parser/check/fix.h"

#include <fcntl.h>

struct check_options {
    const char *file;
    const char *format;
    const char *rules;
    const char *target;
    const char *platform;
    struct cli_texts args;
    bool strict;
    bool fix;
};

#define FIELD(name) offsetof(struct check_options, name)

static const struct cli_option options[] = {
    {0, "build-arg", CLI_OPTION_TEXTS, "NAME[=VALUE]",
     "A value for ARG (default: from the environment)", FIELD(args)},
    {'f', "file", CLI_OPTION_TEXT, "FILE",
     "The Dockerfile (default CONTEXT/Dockerfile; - is standard input)", FIELD(file)},
    {0, "fix", CLI_OPTION_SWITCH, NULL,
     "First rewrite the Dockerfile where that certainly keeps its meaning", FIELD(fix)},
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "text, json, sarif or github", FIELD(format)},
    {0, "platform", CLI_OPTION_TEXT, "OS/ARCH[/VARIANT]",
     "The platform that would be built for (default: this machine's)", FIELD(platform)},
    {0, "rules", CLI_OPTION_TEXT, "SET",
     "all (default), or docker: only those of docker's build checks", FIELD(rules)},
    {0, "strict", CLI_OPTION_SWITCH, NULL, "Fail if there are any findings", FIELD(strict)},
    {0, "target", CLI_OPTION_TEXT, "STAGE", "Check what this stage needs (default: all)",
     FIELD(target)},
};

/* --fix: rewrites the file in place and says how much changed. */
static int file_fix(const struct check_options *o, const char *path, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    CLEANUP(buf_release) struct buf fixed = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    const struct dockerfile_check_options how = {.target_platform = o->platform};
    size_t count = 0;

    if (path == NULL)
        return error_set(err, ERROR_USAGE, "--fix rewrites a file: standard input is none");
    if (fs_read_file_at(AT_FDCWD, path, &text, err) < 0)
        return -1;
    const struct view name = path_base(view_of(path));
    /* What does not parse cannot be fixed; the check that follows tells why. */
    if (dockerfile_fix(buf_view(&text), name.data, &how, &fixed, &count, err) < 0) {
        error_clear(err);
        return 0;
    }
    if (count > 0 && cli_dockerfile_replace(path, buf_view(&fixed), err) < 0)
        return -1;
    fprintf(stderr, "%s: %zu finding%s fixed\n", path, count, count == 1 ? "" : "s");
    return 0;
}

static int rules_parse(const char *text, bool *extra, struct error *err)
{
    *extra = text == NULL || strcmp(text, "all") == 0;
    if (!*extra && strcmp(text, "docker") != 0)
        return error_set(err, ERROR_USAGE, "--rules is all or docker, not '%s'", text);
    return 0;
}

static int check_perform(struct cli_session *session,
                         const struct check_options *o,
                         struct cli_dockerfile_check *check,
                         struct error *err)
{
    size_t findings = 0;

    check->session = session;
    if (o->fix && file_fix(o, check->source->path, err) < 0)
        return -1;
    if (cli_dockerfile_check(check, &findings, err) < 0)
        return -1;
    if (o->strict && findings > 0)
        return error_set(err, ERROR_FAILED, "%zu finding%s (--strict)", findings,
                         findings == 1 ? "" : "s");
    return 0;
}

static int check_command_run(struct cli_session *session,
                             const void *opaque,
                             const struct cli_texts *arguments,
                             struct error *err)
{
    const struct check_options *const o = opaque;
    const char *const context = arguments->count > 0 ? arguments->items[0] : ".";
    CLEANUP(cli_build_source_release) struct cli_build_source source = {0};
    CLEANUP(cli_pairs_release) struct cli_pairs args = {0};
    struct cli_dockerfile_check check = {.source = &source};

    if (cli_diagnostics_format_parse(o->format, &check.format, err) < 0 ||
        rules_parse(o->rules, &check.extra, err) < 0 ||
        cli_build_args(&o->args, &args, err) < 0 ||
        cli_build_source_resolve(context, o->file, &source, err) < 0)
        return -1;
    struct build_request request = {
        .target = o->target,
        .platforms = &o->platform,
        .platform_count = o->platform ? 1 : 0,
        .args = args.items,
        .arg_count = args.count,
        .epoch = -1,
    };
    cli_build_source_attach(&source, &request);
    check.request = &request;
    return check_perform(session, o, &check, err);
}

const struct cli_command cli_command_check = {
    .name = "check",
    .usage = "[OPTIONS] [CONTEXT | -]",
    .summary = "Check a Dockerfile without building it",
    .details =
        "All syntax errors and findings are told at once. Findings alone do not fail the\n"
        "command, unless --strict or the file's '# check=error=true' asks for that. A\n"
        "comment '# check=skip=RULE,RULE' turns rules off: at the top for the file, above\n"
        "an instruction for that one. With - the Dockerfile is read from standard input.",
    CLI_OPTIONS(options, struct check_options),
    .argument_max = 1,
    .run = check_command_run,
};
