/* cooper push NAME[:TAG] */
#include "cli/command.h"

#include "base/alloc.h"
#include "cli/image.h"
#include "cli/progress.h"
#include "registry/push.h"

#include <stddef.h>

struct push_options {
    const char *progress;
    bool quiet;
};

static const struct cli_option options[] = {
    {'q', "quiet", CLI_OPTION_SWITCH, NULL, "Print only NAME@DIGEST",
     offsetof(struct push_options, quiet)},
    {0, "progress", CLI_OPTION_TEXT, "MODE", "auto, plain, tty, quiet or rawjson",
     offsetof(struct push_options, progress)},
};

static int push_send(struct cli_session *session,
                     const struct descriptor *root,
                     const struct registry_reference *target,
                     enum cli_progress_mode mode,
                     struct digest *out,
                     struct error *err)
{
    CLEANUP(cli_progress_freep)
    struct cli_progress *progress = cli_progress_new(mode, "Pushing");
    const struct event_sink sink = cli_progress_sink(progress);
    const struct registry_push_options push = {.progress = {.sink = &sink}};

    return registry_push(cli_session_registry(session), session->store, root, target, &push,
                         out, err);
}

static void push_print(const struct registry_reference *target,
                       const struct digest *digest,
                       uint64_t size,
                       bool quiet)
{
    CLEANUP(base_freep) char *name = registry_reference_name(target);
    const struct digest_text text = digest_format(digest);

    if (quiet)
        printf("%s@%s\n", name, text.text);
    else
        printf("%s: digest: %s size: %ju\n", target->tag != NULL ? target->tag : name,
               text.text, (uintmax_t)size);
}

static int push_run(struct cli_session *session,
                    const void *opaque,
                    const struct cli_texts *arguments,
                    struct error *err)
{
    const struct push_options *const o = opaque;
    CLEANUP(registry_reference_release) struct registry_reference target = {0};
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(base_freep) char *name = NULL;
    enum cli_progress_mode mode;
    struct digest digest;
    struct cas_store *store;

    if (cli_progress_mode_parse(o->progress, &mode, err) < 0 ||
        registry_reference_parse(view_of(arguments->items[0]), &target, err) < 0)
        return -1;
    registry_reference_add_default_tag(&target);
    store = cli_session_store(session, err);
    if (store == NULL ||
        cli_image_resolve(store, arguments->items[0], &name, &root, err) < 0)
        return -1;
    if (push_send(session, &root, &target, o->quiet ? CLI_PROGRESS_QUIET : mode, &digest,
                  err) < 0)
        return -1;
    push_print(&target, &digest, root.size, o->quiet);
    return 0;
}

const struct cli_command cli_command_push = {
    .name = "push",
    .usage = "[OPTIONS] NAME[:TAG]",
    .summary = "Upload an image of the store to its registry",
    .details = "Credentials are those of 'docker login' and 'podman login'. Registries on\n"
               "loopback addresses are spoken to over plain HTTP.",
    CLI_OPTIONS(options, struct push_options),
    .argument_min = 1,
    .argument_max = 1,
    .is_interruptible = true,
    .run = push_run,
};
