/* cooper rmi IMAGE... */
#include "cli/command.h"

#include "base/alloc.h"
#include "cas/ref.h"
#include "cli/format.h"
#include "cli/image.h"
#include "cli/message.h"

#include <stddef.h>

struct rmi_options {
    bool force;
    bool no_prune;
};

static const struct cli_option options[] = {
    {'f', "force", CLI_OPTION_SWITCH, NULL,
     "Take all tags of an ID; what is not there is no error",
     offsetof(struct rmi_options, force)},
    {0, "no-prune", CLI_OPTION_SWITCH, NULL,
     "Remove names only, leave the content to a later collection",
     offsetof(struct rmi_options, no_prune)},
};

static int name_delete(struct cas_store *store, const char *name, struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference reference = {0};
    CLEANUP(base_freep) char *familiar = NULL;

    if (cas_ref_delete(store, name, "rmi", err) < 0 ||
        registry_reference_parse(view_of(name), &reference, err) < 0)
        return -1;
    familiar = registry_reference_familiar(&reference);
    printf("Untagged: %s\n", familiar);
    return 0;
}

/* What was named by its ID loses its one name; several names take --force. */
static int id_delete(struct cas_store *store,
                     const char *typed,
                     const struct digest *root,
                     bool force,
                     struct error *err)
{
    char **names = NULL;
    size_t count = 0;
    int result = cli_image_names(store, root, &names, &count, err);

    if (result == 0 && count > 1 && !force)
        result = error_set(err, ERROR_EXISTS,
                           "%s has %zu names: remove them one by one, or with --force",
                           typed, count);
    for (size_t i = 0; i < count && result == 0; i++)
        result = name_delete(store, names[i], err);
    cli_image_names_free(names, count);
    return result;
}

static int print_deleted(struct cas_store *store,
                         const struct digest *root,
                         struct error *err)
{
    char **names = NULL;
    size_t count = 0;

    if (cli_image_names(store, root, &names, &count, err) < 0)
        return -1;
    if (count == 0)
        printf("Deleted: %s\n", digest_format(root).text);
    cli_image_names_free(names, count);
    return 0;
}

static int image_remove(struct cas_store *store,
                        const char *typed,
                        bool force,
                        struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(base_freep) char *name = NULL;

    if (cli_image_resolve(store, typed, &name, &root, err) < 0)
        return -1;
    if (name != NULL ? name_delete(store, name, err) < 0
                     : id_delete(store, typed, &root.digest, force, err) < 0)
        return -1;
    return print_deleted(store, &root.digest, err);
}

/* As docker, the others are removed though one failed; the failure is told at the end. */
static int images_remove(struct cas_store *store,
                         const struct cli_texts *names,
                         bool force,
                         struct error *err)
{
    CLEANUP(error_clear) struct error first = ERROR_INIT;

    for (size_t i = 0; i < names->count; i++) {
        CLEANUP(error_clear) struct error one = ERROR_INIT;

        if (image_remove(store, names->items[i], force, &one) == 0)
            continue;
        if (force && one.code == ERROR_NOT_FOUND)
            cli_message_warning("%s", error_text(&one));
        else if (first.code == ERROR_NONE)
            error_move(&first, &one);
        else
            cli_message_warning("%s", error_text(&one));
    }
    return first.code == ERROR_NONE ? 0 : error_move(err, &first);
}

/* As docker, the build cache keeps what it names: said, lest people look for the room. */
static void freed_tell(const struct cas_gc_result *freed)
{
    fprintf(stderr, "%s freed", cli_format_size(freed->bytes).text);
    if (freed->cached_bytes > 0)
        fprintf(stderr, "; the build cache alone keeps %s: 'cooper prune' frees it",
                cli_format_size(freed->cached_bytes).text);
    fputc('\n', stderr);
}

static int rmi_run(struct cli_session *session,
                   const void *opaque,
                   const struct cli_texts *arguments,
                   struct error *err)
{
    const struct rmi_options *const o = opaque;
    struct cas_gc_result freed = {0};
    struct cas_store *store;

    /* Unpacked layers hold files of subordinate ids. */
    if (cli_session_enter(session, err) < 0)
        return -1;
    store = cli_session_store(session, err);
    if (store == NULL || images_remove(store, arguments, o->force, err) < 0)
        return -1;
    if (o->no_prune)
        return 0;
    if (cas_store_gc(store, CAS_GC_KEEP_CACHE, &freed, err) < 0)
        return -1;
    freed_tell(&freed);
    return 0;
}

const struct cli_command cli_command_rmi = {
    .name = "rmi",
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .summary = "Remove names of images, and what nothing needs any more",
    CLI_OPTIONS(options, struct rmi_options),
    .argument_min = 1,
    .argument_max = CLI_ARGUMENTS_ANY,
    .run = rmi_run,
};
