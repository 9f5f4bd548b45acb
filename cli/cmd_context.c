/* cooper context [DIR] */
#include "cli/command.h"

#include "builder/context_why.h"
#include "cli/build_source.h"
#include "cli/context_report.h"
#include "cli/output.h"

#include <stddef.h>

struct context_options {
    const char *file;
    const char *format;
    unsigned lines;
    bool why;
};

#define FIELD(name) offsetof(struct context_options, name)

static const struct cli_option options[] = {
    {'f', "file", CLI_OPTION_TEXT, "FILE",
     "The Dockerfile, for FILE.dockerignore (default PATH/Dockerfile)", FIELD(file)},
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "table or json", FIELD(format)},
    {'n', "lines", CLI_OPTION_COUNT, "N", "So many lines of what is sent (default 20)",
     FIELD(lines)},
    {0, "why", CLI_OPTION_SWITCH, NULL, "Also tell which line of .dockerignore does what",
     FIELD(why)},
};

static int context_run(struct cli_session *session,
                       const void *opaque,
                       const struct cli_texts *arguments,
                       struct error *err)
{
    const struct context_options *const o = opaque;
    const char *const context = arguments->count > 0 ? arguments->items[0] : ".";
    CLEANUP(build_context_report_release) struct build_context_report report = {0};
    CLEANUP(cli_build_source_release) struct cli_build_source source = {0};
    struct build_request request = {.epoch = -1};
    struct build_environment env;
    enum cli_output_format format;

    if (cli_output_format_parse(o->format, &format, err) < 0 ||
        cli_build_source_resolve(context, o->file, &source, err) < 0)
        return -1;
    if (source.context == NULL)
        return error_set(err, ERROR_USAGE,
                         "standard input is a Dockerfile: it has no context");
    cli_build_source_attach(&source, &request);
    if (cli_session_environment(session, (struct event_sink){0}, &env, err) < 0 ||
        build_context_report_make(&env, &request, &report, err) < 0)
        return -1;
    if (format == CLI_OUTPUT_JSON)
        cli_context_report_json(&report);
    else
        cli_context_report_table(&report, o->lines > 0 ? o->lines : 20, o->why);
    return 0;
}

const struct cli_command cli_command_context = {
    .name = "context",
    .usage = "[OPTIONS] [PATH | URL | -]",
    .summary = "List what a build context holds, largest first",
    .details =
        "What a build of PATH may take files from: everything there but what "
        ".dockerignore\n"
        "leaves out. With --why each line of .dockerignore is told with what it leaves "
        "out\n"
        "or takes back. Directories are opened up where that tells more than their sum.",
    CLI_OPTIONS(options, struct context_options),
    .argument_max = 1,
    .run = context_run,
};
