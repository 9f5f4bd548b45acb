/* cooper diff A B */
#include "cli/command.h"

#include "base/alloc.h"
#include "cli/compared.h"
#include "cli/diff_report.h"
#include "cli/output.h"

#include <stddef.h>

struct diff_options {
    const char *format;
    const char *platform;
    const char *progress;
    struct cli_texts only;
    bool exit_code;
    bool times;
    bool quiet;
};

static const struct cli_option options[] = {
    {0, "exit-code", CLI_OPTION_SWITCH, NULL,
     "Exit with 1 if the images differ, with 128 on failure",
     offsetof(struct diff_options, exit_code)},
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "table (default) or json",
     offsetof(struct diff_options, format)},
    {0, "only", CLI_OPTION_TEXTS, "PART",
     "Compare only config, layers, packages or files (repeatable)",
     offsetof(struct diff_options, only)},
    {0, "platform", CLI_OPTION_TEXT, "OS/ARCH[/VARIANT]",
     "Of images for several platforms, compare this one (default: this machine's)",
     offsetof(struct diff_options, platform)},
    {0, "progress", CLI_OPTION_TEXT, "MODE",
     "How transfers are shown: auto, plain, tty, quiet or rawjson",
     offsetof(struct diff_options, progress)},
    {'q', "quiet", CLI_OPTION_SWITCH, NULL, "Print nothing; implies --exit-code",
     offsetof(struct diff_options, quiet)},
    {0, "times", CLI_OPTION_SWITCH, NULL,
     "Times count: files and images that differ in nothing else are listed",
     offsetof(struct diff_options, times)},
};

/* As git diff: what went wrong is not taken for a difference. */
#define STATUS_FAILED 128

static int parts_read(const struct diff_options *o, unsigned *flags, struct error *err)
{
    static const struct {
        const char *name;
        unsigned flag;
    } parts[] = {
        {"config", BUILD_COMPARE_CONFIG},
        {"layers", BUILD_COMPARE_LAYERS},
        {"packages", BUILD_COMPARE_PACKAGES},
        {"files", BUILD_COMPARE_FILES},
    };

    *flags = o->times ? BUILD_COMPARE_TIMES : 0;
    for (size_t i = 0; i < o->only.count; i++) {
        size_t p = 0;

        while (p < ARRAY_COUNT(parts) && strcmp(parts[p].name, o->only.items[i]) != 0)
            p++;
        if (p == ARRAY_COUNT(parts))
            return error_set(err, ERROR_USAGE,
                             "--only is config, layers, packages or files, not '%s'",
                             o->only.items[i]);
        *flags |= parts[p].flag;
    }
    if ((*flags & BUILD_COMPARE_ALL) == 0)
        *flags |= BUILD_COMPARE_ALL;
    return 0;
}

static int platform_read(const char *text,
                         struct registry_platform *platform,
                         struct error *err)
{
    if (text != NULL && registry_platform_parse(view_of(text), platform, err) < 0)
        return error_wrap(err, "--platform");
    return 0;
}

/* Indexes of layers are read only where layers differ. */
static int bring(struct cli_compared sides[2], unsigned flags, struct error *err)
{
    if ((flags & (BUILD_COMPARE_FILES | BUILD_COMPARE_PACKAGES)) == 0 ||
        digest_eq(&sides[0].image.config.digest, &sides[1].image.config.digest))
        return 0;
    return cli_compared_bring(&sides[0], err) < 0 ? -1 : cli_compared_bring(&sides[1], err);
}

static int compare(struct cli_compared sides[2],
                   unsigned flags,
                   struct build_compare *out,
                   struct error *err)
{
    const struct build_compare_image before = cli_compared_image(&sides[0]);
    const struct build_compare_image after = cli_compared_image(&sides[1]);

    if (bring(sides, flags, err) < 0)
        return -1;
    return build_compare_run(&before, &after, flags, out, err);
}

static void report(const struct diff_options *o,
                   enum cli_output_format format,
                   const struct cli_compared sides[2],
                   const struct build_compare *c)
{
    if (o->quiet)
        return;
    if (format == CLI_OUTPUT_JSON)
        cli_diff_report_json(sides, c);
    else
        cli_diff_report_text(sides, c);
}

static int diff_images(struct cli_session *session,
                       const struct diff_options *o,
                       const struct cli_texts *arguments,
                       struct cli_compared sides[2],
                       struct error *err)
{
    CLEANUP(cli_transfers_release) struct cli_transfers transfers = {0};
    CLEANUP(build_compare_release) struct build_compare c = {0};
    struct registry_platform platform;
    enum cli_output_format format;
    unsigned flags = 0;

    if (cli_output_format_parse(o->format, &format, err) < 0 ||
        cli_progress_mode_parse(o->quiet ? "quiet" : o->progress, &transfers.mode, err) <
            0 ||
        parts_read(o, &flags, err) < 0 || platform_read(o->platform, &platform, err) < 0)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        if (cli_compared_open(&sides[i], session, &transfers, arguments->items[i],
                              o->platform != NULL ? &platform : NULL, err) < 0)
            return -1;
    }
    if (compare(sides, flags, &c, err) < 0)
        return -1;
    cli_transfers_release(&transfers);
    report(o, format, sides, &c);
    if (o->exit_code || o->quiet)
        session->exit_code = build_compare_differs(&c) ? 1 : 0;
    return 0;
}

static int diff_run(struct cli_session *session,
                    const void *opaque,
                    const struct cli_texts *arguments,
                    struct error *err)
{
    const struct diff_options *const o = opaque;
    struct cli_compared sides[2] = {{0}, {0}};
    int result;

    if (o->exit_code || o->quiet)
        session->failure_code = STATUS_FAILED;
    result = diff_images(session, o, arguments, sides, err);
    cli_compared_release(&sides[0]);
    cli_compared_release(&sides[1]);
    return result;
}

const struct cli_command cli_command_diff = {
    .name = "diff",
    .usage = "[OPTIONS] A B",
    .summary = "Tell what is different in two images: config, layers, packages, files",
    .details = "A and B are images of the store, or references that their registries are "
               "asked for\n"
               "where the store has none; " CLI_COMPARED_REGISTRY
               "NAME is the registry's in any case. Nothing is\n"
               "unpacked, and no name in the store changes. Equal images print nothing.\n"
               "Packages are those of dpkg, apk, rpm (rpmdb.sqlite), pip and npm.",
    CLI_OPTIONS(options, struct diff_options),
    .argument_min = 2,
    .argument_max = 2,
    .is_interruptible = true,
    .run = diff_run,
};
