/* cooper copy SOURCE TARGET */
#include "cli/command.h"

#include "base/alloc.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "registry/copy.h"

#include <inttypes.h>
#include <stddef.h>

struct copy_options {
    const char *platform;
    const char *progress;
    bool all_platforms;
    bool referrers;
    bool quiet;
};

static const struct cli_option options[] = {
    {'a', "all-platforms", CLI_OPTION_SWITCH, NULL,
     "Copy an index with all that it names, in place of one platform's image",
     offsetof(struct copy_options, all_platforms)},
    {0, "platform", CLI_OPTION_TEXT, "OS/ARCH[/VARIANT]",
     "Copy the image of this platform (default: this machine's)",
     offsetof(struct copy_options, platform)},
    {0, "progress", CLI_OPTION_TEXT, "MODE", "auto, plain, tty, quiet or rawjson",
     offsetof(struct copy_options, progress)},
    {'q', "quiet", CLI_OPTION_SWITCH, NULL, "Print only the digest",
     offsetof(struct copy_options, quiet)},
    {0, "referrers", CLI_OPTION_SWITCH, NULL,
     "Copy what refers to the image as well: signatures, SBOMs, provenance",
     offsetof(struct copy_options, referrers)},
};

static bool is_archive(const struct registry_location *l)
{
    return l->kind == REGISTRY_LOCATION_OCI_ARCHIVE ||
           l->kind == REGISTRY_LOCATION_DOCKER_ARCHIVE;
}

static int copy_send(struct cli_session *session,
                     const struct registry_location *from,
                     const struct registry_location *to,
                     const struct registry_copy_options *options_given,
                     enum cli_progress_mode mode,
                     struct registry_copy_result *out,
                     struct error *err)
{
    CLEANUP(cli_progress_freep)
    struct cli_progress *progress = cli_progress_new(mode, "Copying");
    const struct event_sink sink = cli_progress_sink(progress);
    struct registry_copy_options copy = *options_given;

    copy.progress.sink = &sink;
    return registry_copy(cli_session_registry(session), from, to, &copy, out, err);
}

static void copy_print(const struct registry_copy_result *r, bool referrers, bool quiet)
{
    const struct digest_text digest = digest_format(&r->root.digest);

    if (quiet) {
        puts(digest.text);
        return;
    }
    printf("Digest: %s\n", digest.text);
    printf("Blobs: %u copied (%s), %u mounted, %u there already\n", r->moved,
           cli_format_size(r->moved_size).text, r->mounted, r->present);
    if (referrers)
        printf("Referrers: %u\n", r->referrers);
}

static int places_parse(const struct cli_texts *arguments,
                        struct registry_location *from,
                        struct registry_location *to,
                        struct error *err)
{
    if (registry_location_parse(view_of(arguments->items[0]), from, err) < 0 ||
        registry_location_parse(view_of(arguments->items[1]), to, err) < 0)
        return -1;
    return 0;
}

static int copy_run(struct cli_session *session,
                    const void *opaque,
                    const struct cli_texts *arguments,
                    struct error *err)
{
    const struct copy_options *const o = opaque;
    CLEANUP(registry_location_release) struct registry_location from = {0};
    CLEANUP(registry_location_release) struct registry_location to = {0};
    CLEANUP(registry_copy_result_release) struct registry_copy_result result = {0};
    struct registry_platform platform = registry_platform_host();
    struct registry_copy_options copy = {
        .platform = &platform,
        .all_platforms = o->all_platforms,
        .referrers = o->referrers,
    };
    enum cli_progress_mode mode;

    if (o->all_platforms && o->platform != NULL)
        return error_set(err, ERROR_USAGE,
                         "--platform and --all-platforms exclude each other");
    if (cli_progress_mode_parse(o->progress, &mode, err) < 0 ||
        places_parse(arguments, &from, &to, err) < 0)
        return -1;
    if (o->platform != NULL &&
        registry_platform_parse(view_of(o->platform), &platform, err) < 0)
        return error_wrap(err, "--platform");
    if (from.kind == REGISTRY_LOCATION_STORE || to.kind == REGISTRY_LOCATION_STORE) {
        copy.store = cli_session_store(session, err);
        if (copy.store == NULL)
            return -1;
    }
    if (copy_send(session, &from, &to, &copy, o->quiet ? CLI_PROGRESS_QUIET : mode, &result,
                  err) < 0)
        return -1;
    if (!is_archive(&to) || strcmp(to.path, "-") != 0)
        copy_print(&result, o->referrers, o->quiet);
    return 0;
}

const struct cli_command cli_command_copy = {
    .name = "copy",
    .usage = "[OPTIONS] SOURCE TARGET",
    .summary = "Copy an image between registries, layouts, archives and the store",
    .details =
        "SOURCE and TARGET are each one of\n"
        "  REPOSITORY[:TAG][@DIGEST]           a registry; also docker://...\n"
        "  oci-layout://PATH[:TAG][@DIGEST]    an OCI layout (a directory)\n"
        "  oci-archive:PATH[:NAME]             the same in a tar file; - is a pipe\n"
        "  docker-archive:PATH[:NAME]          a tar file of `docker save`\n"
        "  store:NAME[:TAG]                    the store\n"
        "The digest stays what it is. Blobs that TARGET has are not sent; within one\n"
        "registry they are mounted.",
    CLI_OPTIONS(options, struct copy_options),
    .argument_min = 2,
    .argument_max = 2,
    .is_interruptible = true,
    .run = copy_run,
};
