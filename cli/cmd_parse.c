/* cooper parse [FILE] */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/dockerfile_text.h"
#include "cli/output.h"
#include "parser/dockerfile.h"
#include "parser/print.h"

struct parse_options {
    const char *format;
};

static const struct cli_option options[] = {
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "json (default)",
     offsetof(struct parse_options, format)},
};

/* A tree is a few times as long as its text. */
#define TREE_SIZE_MAX ((size_t)1 << 30)

static int parse_command_run(struct cli_session *session,
                             const void *opaque,
                             const struct cli_texts *arguments,
                             struct error *err)
{
    const struct parse_options *const o = opaque;
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    CLEANUP(buf_release) struct buf tree = BUF_INIT(TREE_SIZE_MAX);
    CLEANUP(base_freep) char *path = NULL;

    (void)session;
    if (o->format != NULL && strcmp(o->format, "json") != 0)
        return error_set(err, ERROR_USAGE, "--format is json, not '%s'", o->format);
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = cli_dockerfile_read(
        arguments->count > 0 ? arguments->items[0] : NULL, &text, &path, err);
    if (file == NULL)
        return -1;
    if (text.size > LIMIT_DOCKERFILE_PRINTED)
        return error_set(
            err, ERROR_LIMIT,
            "%s has %zu bytes: the tree of a Dockerfile of more than %zu bytes "
            "is not printed; 'cooper check' and 'cooper fmt' read up to %zu",
            path, text.size, LIMIT_DOCKERFILE_PRINTED, LIMIT_DOCKERFILE_SIZE);
    dockerfile_print_json(file, &tree);
    if (buf_ok(&tree, "syntax tree", err) < 0)
        return -1;
    cli_output_buf(&tree);
    return 0;
}

const struct cli_command cli_command_parse = {
    .name = "parse",
    .usage = "[OPTIONS] [FILE]",
    .summary = "Print the syntax tree of a Dockerfile as JSON",
    .details =
        "FILE is a Dockerfile, a directory with one, or - for standard input (default:\n"
        "Dockerfile). docs/parse-schema.md describes the tree.",
    CLI_OPTIONS(options, struct parse_options),
    .argument_max = 1,
    .run = parse_command_run,
};
