/* cooper import TAR|DIR|- NAME */
#include "cli/command.h"

#include "base/alloc.h"
#include "builder/import.h"
#include "cas/ref.h"
#include "cli/interrupt.h"
#include "registry/platform.h"
#include "registry/reference.h"

#include <stddef.h>

struct import_options {
    struct cli_texts changes;
    const char *message;
    const char *platform;
    const char *compression;
    struct cli_time epoch;
};

static const struct cli_option options[] = {
    {'c', "change", CLI_OPTION_TEXTS, "INSTRUCTION",
     "A Dockerfile instruction for the image's config",
     offsetof(struct import_options, changes)},
    {0, "compression", CLI_OPTION_TEXT, "NAME", "gzip (default), zstd or uncompressed",
     offsetof(struct import_options, compression)},
    {'m', "message", CLI_OPTION_TEXT, "TEXT", "A comment for the image's history",
     offsetof(struct import_options, message)},
    {0, "platform", CLI_OPTION_TEXT, "OS/ARCH[/VARIANT]",
     "What the files run on (default: this machine's)",
     offsetof(struct import_options, platform)},
    {0, "source-date-epoch", CLI_OPTION_TIME, "SECONDS",
     "The latest time in the image (default $SOURCE_DATE_EPOCH)",
     offsetof(struct import_options, epoch)},
};

static int compression_read(const char *text, enum cas_compression *out, struct error *err)
{
    if (text == NULL || strcmp(text, "gzip") == 0)
        *out = CAS_COMPRESSION_GZIP;
    else if (strcmp(text, "zstd") == 0)
        *out = CAS_COMPRESSION_ZSTD;
    else if (strcmp(text, "uncompressed") == 0)
        *out = CAS_COMPRESSION_NONE;
    else
        return error_set(err, ERROR_USAGE,
                         "--compression is gzip, zstd or uncompressed, not '%s'", text);
    return 0;
}

static int epoch_read(const struct cli_time *given, int64_t *out, struct error *err)
{
    const char *const text = getenv("SOURCE_DATE_EPOCH");
    uint64_t seconds = 0;

    *out = given->given ? given->seconds : -1;
    if (given->given || text == NULL || text[0] == '\0')
        return 0;
    if (!view_to_u64(view_of(text), &seconds) || seconds > INT64_MAX)
        return error_set(
            err, ERROR_USAGE,
            "SOURCE_DATE_EPOCH is a number of seconds since 1970-01-01, not '%s'", text);
    *out = (int64_t)seconds;
    return 0;
}

static int import_fill(const struct import_options *o,
                       const char *source,
                       struct build_import_options *out,
                       struct error *err)
{
    struct registry_platform platform;

    if (strstr(source, "://") != NULL)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s: remote files are not fetched: download it and name the file",
                         source);
    if (o->platform != NULL &&
        registry_platform_parse(view_of(o->platform), &platform, err) < 0) {
        err->code = ERROR_USAGE;
        return error_wrap(err, "--platform");
    }
    *out = (struct build_import_options){
        .source = source,
        .platform = o->platform,
        .message = o->message,
        .changes = o->changes.items,
        .change_count = o->changes.count,
        .cancel = cli_interrupt_flag(),
    };
    if (compression_read(o->compression, &out->compression, err) < 0)
        return -1;
    return epoch_read(&o->epoch, &out->epoch, err);
}

static int import_run(struct cli_session *session,
                      const void *opaque,
                      const struct cli_texts *arguments,
                      struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor image = {0};
    CLEANUP(base_freep) char *name = NULL;
    struct build_import_options import;
    struct build_environment env;

    if (import_fill(opaque, arguments->items[0], &import, err) < 0)
        return -1;
    name = registry_reference_normalize(view_of(arguments->items[1]), err);
    if (name == NULL || cli_session_enter(session, err) < 0 ||
        cli_session_environment(session, (struct event_sink){0}, &env, err) < 0)
        return -1;
    if (build_import(&env, &import, &image, err) < 0)
        return error_wrap(err, "import %s", arguments->items[0]);
    if (cli_interrupted())
        return error_set(err, ERROR_CANCELLED, "interrupted");
    if (cas_ref_set(env.store, name, &image, "import", err) < 0)
        return -1;
    puts(digest_format(&image.digest).text);
    return 0;
}

const struct cli_command cli_command_import = {
    .name = "import",
    .usage = "[OPTIONS] TAR|DIR|- NAME[:TAG]",
    .summary = "Make a base image of a root file system",
    .details =
        "TAR may be compressed in any way that libarchive reads; - is a tar on standard\n"
        "input. Owners, modes, links, devices and extended attributes are kept.",
    CLI_OPTIONS(options, struct import_options),
    .argument_min = 2,
    .argument_max = 2,
    .is_interruptible = true,
    .run = import_run,
};
