/* cooper delete REFERENCE... */
#include "cli/command.h"

#include "base/alloc.h"
#include "registry/referrers.h"

static int delete_one(struct registry_client *c, const char *text, struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference reference = {0};

    if (registry_reference_parse(view_of(text), &reference, err) < 0)
        return -1;
    const bool by_digest = digest_is_set(&reference.digest);
    if (reference.tag == NULL && !by_digest)
        return error_set(err, ERROR_USAGE,
                         "'%s' has neither tag nor digest: say which image is to go", text);
    if (reference.tag != NULL && by_digest)
        return error_set(err, ERROR_USAGE,
                         "'%s' has a tag and a digest: the tag alone removes the tag, the "
                         "digest alone the image with all its tags",
                         text);
    if ((by_digest ? registry_referrer_delete(c, &reference, err)
                   : registry_manifest_delete(c, &reference, err)) < 0)
        return error_wrap(err, "delete %s", text);
    printf("Deleted: %s\n", text);
    return 0;
}

static int delete_run(struct cli_session *session,
                      const void *opaque,
                      const struct cli_texts *arguments,
                      struct error *err)
{
    (void)opaque;
    for (size_t i = 0; i < arguments->count; i++) {
        if (delete_one(cli_session_registry(session), arguments->items[i], err) < 0)
            return -1;
    }
    return 0;
}

const struct cli_command cli_command_delete = {
    .name = "delete",
    .usage = "REPOSITORY:TAG|REPOSITORY@DIGEST...",
    .summary = "Remove a tag or an image from its registry",
    .details =
        "A tag: that tag alone. A digest: the image, and every tag that points to it.\n"
        "What the store has stays: see 'cooper rmi'.",
    .argument_min = 1,
    .argument_max = CLI_ARGUMENTS_ANY,
    .run = delete_run,
};
