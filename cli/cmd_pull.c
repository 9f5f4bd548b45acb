/* cooper pull NAME[:TAG|@DIGEST] */
#include "cli/command.h"

#include "base/alloc.h"
#include "cas/ref.h"
#include "cli/image.h"
#include "cli/progress.h"
#include "registry/pull.h"

#include <stddef.h>

struct pull_options {
    const char *platform;
    const char *progress;
    bool all_platforms;
    bool quiet;
};

static const struct cli_option options[] = {
    {0, "all-platforms", CLI_OPTION_SWITCH, NULL,
     "Take the whole index, with the images of all platforms",
     offsetof(struct pull_options, all_platforms)},
    {0, "platform", CLI_OPTION_TEXT, "OS/ARCH[/VARIANT]",
     "Take the image of this platform (default: this machine's)",
     offsetof(struct pull_options, platform)},
    {'q', "quiet", CLI_OPTION_SWITCH, NULL, "Print only the name",
     offsetof(struct pull_options, quiet)},
    {0, "progress", CLI_OPTION_TEXT, "MODE", "auto, plain, tty, quiet or rawjson",
     offsetof(struct pull_options, progress)},
};

static int pull_fetch(struct cli_session *session,
                      const struct registry_reference *reference,
                      const struct registry_platform *platform,
                      bool all_platforms,
                      enum cli_progress_mode mode,
                      struct registry_image *out,
                      struct error *err)
{
    CLEANUP(cli_progress_freep)
    struct cli_progress *progress = cli_progress_new(mode, "Pulling");
    const struct event_sink sink = cli_progress_sink(progress);
    const struct registry_pull_options pull = {.all_platforms = all_platforms,
                                               .progress = {.sink = &sink}};

    return registry_pull(cli_session_registry(session), session->store, reference, platform,
                         &pull, out, err);
}

/*
 * The ref points to the platform's manifest, not to the index that it may have come from:
 * of an index only this one part is here, and a ref is complete. It points to the index
 * where all of it is here.
 */
static int pull_name(struct cas_store *store,
                     const char *name,
                     const struct descriptor *target,
                     bool *is_new,
                     struct error *err)
{
    struct cas_ref old = {0};
    bool found = false;

    if (cas_ref_find(store, name, &found, &old, err) < 0)
        return -1;
    *is_new = !found || !digest_eq(&old.target.digest, &target->digest);
    if (found)
        cas_ref_release(&old);
    return cas_ref_set(store, name, target, "pull", err);
}

static int platform_read(const struct pull_options *o,
                         struct registry_platform *out,
                         struct error *err)
{
    if (o->all_platforms && o->platform != NULL)
        return error_set(err, ERROR_USAGE,
                         "--platform and --all-platforms exclude each other");
    if (o->platform == NULL) {
        *out = o->all_platforms ? registry_platform_any : registry_platform_host();
        return 0;
    }
    if (registry_platform_parse(view_of(o->platform), out, err) < 0)
        return error_wrap(err, "--platform");
    return 0;
}

static void pull_print(const char *name,
                       const struct registry_reference *reference,
                       const struct registry_image *image,
                       bool is_new,
                       bool quiet)
{
    CLEANUP(base_freep) char *familiar = registry_reference_familiar(reference);

    if (!quiet) {
        printf("Digest: %s\n", digest_format(&image->root.digest).text);
        printf("Status: %s for %s\n",
               is_new ? "Downloaded newer image" : "Image is up to date", familiar);
    }
    puts(name);
}

static int pull_run(struct cli_session *session,
                    const void *opaque,
                    const struct cli_texts *arguments,
                    struct error *err)
{
    const struct pull_options *const o = opaque;
    CLEANUP(registry_reference_release) struct registry_reference reference = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};
    CLEANUP(base_freep) char *name = NULL;
    struct registry_platform platform;
    enum cli_progress_mode mode;
    bool is_new = false;

    if (cli_progress_mode_parse(o->progress, &mode, err) < 0 ||
        platform_read(o, &platform, err) < 0 ||
        registry_reference_parse(view_of(arguments->items[0]), &reference, err) < 0)
        return -1;
    registry_reference_add_default_tag(&reference);
    name = registry_reference_text(&reference);
    if (cli_session_store(session, err) == NULL)
        return -1;
    if (o->quiet)
        mode = CLI_PROGRESS_QUIET;
    if (pull_fetch(session, &reference, &platform, o->all_platforms, mode, &image, err) <
            0 ||
        pull_name(session->store, name, o->all_platforms ? &image.root : &image.manifest,
                  &is_new, err) < 0)
        return -1;
    pull_print(name, &reference, &image, is_new, o->quiet);
    return 0;
}

const struct cli_command cli_command_pull = {
    .name = "pull",
    .usage = "[OPTIONS] NAME[:TAG|@DIGEST]",
    .summary = "Download an image from a registry into the store",
    CLI_OPTIONS(options, struct pull_options),
    .argument_min = 1,
    .argument_max = 1,
    .is_interruptible = true,
    .run = pull_run,
};
