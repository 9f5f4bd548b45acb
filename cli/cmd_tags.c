/* cooper tags REPOSITORY */
#include "cli/command.h"

#include "base/alloc.h"
#include "cli/output.h"

#include <stddef.h>

struct tags_options {
    const char *format;
};

static const struct cli_option options[] = {
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "table (one a line) or json",
     offsetof(struct tags_options, format)},
};

static int tag_print(void *context, const char *tag, struct error *err)
{
    (void)context;
    return puts(tag) < 0 ? error_sys(err, "write to standard output") : 0;
}

static int tag_append(void *context, const char *tag, struct error *err)
{
    (void)err;
    doc_append_text(context, tag);
    return 0;
}

static int repository_parse(const char *text,
                            struct registry_reference *out,
                            struct error *err)
{
    if (registry_reference_parse(view_of(text), out, err) < 0)
        return -1;
    if (out->tag != NULL || digest_is_set(&out->digest))
        return error_set(err, ERROR_USAGE,
                         "'%s' names an image: give a repository, without tag and digest",
                         text);
    return 0;
}

static int tags_run(struct cli_session *session,
                    const void *opaque,
                    const struct cli_texts *arguments,
                    struct error *err)
{
    const struct tags_options *const o = opaque;
    CLEANUP(registry_reference_release) struct registry_reference repository = {0};
    CLEANUP(doc_unrefp) struct doc *list = doc_new_array();
    enum cli_output_format format;

    if (cli_output_format_parse(o->format, &format, err) < 0 ||
        repository_parse(arguments->items[0], &repository, err) < 0)
        return -1;
    const bool json = format == CLI_OUTPUT_JSON;
    if (registry_tags_list(cli_session_registry(session), &repository,
                           json ? tag_append : tag_print, list, err) < 0)
        return -1;
    if (json)
        cli_output_doc(list, DOC_WRITE_INDENT);
    return 0;
}

const struct cli_command cli_command_tags = {
    .name = "tags",
    .usage = "[OPTIONS] REPOSITORY",
    .summary = "List the tags that a registry has of a repository",
    CLI_OPTIONS(options, struct tags_options),
    .argument_min = 1,
    .argument_max = 1,
    .run = tags_run,
};
