/* cooper tag SOURCE TARGET */
#include "cli/command.h"

#include "base/alloc.h"
#include "cas/ref.h"
#include "cli/image.h"

static int tag_run(struct cli_session *session,
                   const void *opaque,
                   const struct cli_texts *arguments,
                   struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference target = {0};
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(base_freep) char *source = NULL;
    CLEANUP(base_freep) char *name = NULL;
    struct cas_store *store;

    (void)opaque;
    if (registry_reference_parse(view_of(arguments->items[1]), &target, err) < 0)
        return -1;
    if (digest_is_set(&target.digest))
        return error_set(err, ERROR_INVALID, "a new tag cannot have a digest: '%s'",
                         arguments->items[1]);
    store = cli_session_store(session, err);
    if (store == NULL ||
        cli_image_resolve(store, arguments->items[0], &source, &root, err) < 0)
        return -1;
    registry_reference_add_default_tag(&target);
    name = registry_reference_text(&target);
    return cas_ref_set(store, name, &root, "tag", err);
}

const struct cli_command cli_command_tag = {
    .name = "tag",
    .usage = "SOURCE[:TAG] TARGET[:TAG]",
    .summary = "Give an image of the store a further name",
    .argument_min = 2,
    .argument_max = 2,
    .run = tag_run,
};
