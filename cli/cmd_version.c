/* cooper version */
#include "cli/command.h"

#include "base/limits.h"
#include "base/version.h"
#include "cli/output.h"
#include "registry/platform.h"

#include <stddef.h>

struct version_options {
    const char *format;
};

static const struct cli_option options[] = {
    {'f', "format", CLI_OPTION_TEXT, "FORMAT", "table (default) or json",
     offsetof(struct version_options, format)},
};

static int version_run(struct cli_session *session,
                       const void *opaque,
                       const struct cli_texts *arguments,
                       struct error *err)
{
    const struct version_options *const o = opaque;
    const struct registry_platform host = registry_platform_host();
    const struct registry_platform_text platform = registry_platform_format(&host);
    enum cli_output_format format;

    (void)session;
    (void)arguments;
    if (cli_output_format_parse(o->format, &format, err) < 0)
        return -1;
    if (format == CLI_OUTPUT_TABLE) {
        printf("Version:    %s\nPlatform:   %s\nDockerfile: 1.26\n", COOPER_VERSION,
               platform.text);
        return 0;
    }
    CLEANUP(doc_unrefp) struct doc *doc = doc_new_object();
    doc_set_text(doc, "Version", COOPER_VERSION);
    doc_set_text(doc, "Platform", platform.text);
    doc_set_text(doc, "Dockerfile", "1.26");
    cli_output_doc(doc, DOC_WRITE_COMPACT);
    return 0;
}

const struct cli_command cli_command_version = {
    .name = "version",
    .usage = "[OPTIONS]",
    .summary = "Print the version of cooper and of the Dockerfile language",
    CLI_OPTIONS(options, struct version_options),
    .run = version_run,
};
