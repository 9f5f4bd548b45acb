/* cooper save IMAGE... */
#include "cli/command.h"

#include "base/alloc.h"
#include "cli/image.h"
#include "cli/output.h"
#include "registry/archive.h"

#include <stddef.h>

struct save_options {
    const char *output;
    const char *format;
};

static const struct cli_option options[] = {
    {'o', "output", CLI_OPTION_TEXT, "FILE",
     "Write to this file in place of standard output",
     offsetof(struct save_options, output)},
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "docker-archive (default) or oci-archive",
     offsetof(struct save_options, format)},
};

/* Images without repetition, each with all the names by which it was asked for. */
struct images {
    struct descriptor *roots;
    struct cli_texts *names; /* borrowed from name_texts */
    char **name_texts;       /* one for each argument; NULL for an ID */
    size_t count;
    size_t argument_count;
};

static void images_release(struct images *images)
{
    for (size_t i = 0; i < images->count; i++) {
        descriptor_release(&images->roots[i]);
        cli_texts_release(&images->names[i]);
    }
    for (size_t i = 0; i < images->argument_count; i++)
        free(images->name_texts[i]);
    free(images->roots);
    free(images->names);
    free(images->name_texts);
    *images = (struct images){0};
}

static size_t image_place(const struct images *images, const struct digest *digest)
{
    size_t place = 0;

    while (place < images->count && !digest_eq(&images->roots[place].digest, digest))
        place++;
    return place;
}

static int images_find(struct cas_store *store,
                       const struct cli_texts *arguments,
                       struct images *out,
                       struct error *err)
{
    out->argument_count = arguments->count;
    out->roots = base_alloc_array(arguments->count, sizeof out->roots[0]);
    out->names = base_alloc_array(arguments->count, sizeof out->names[0]);
    out->name_texts = base_alloc_array(arguments->count, sizeof(char *));
    for (size_t i = 0; i < arguments->count; i++) {
        CLEANUP(descriptor_release) struct descriptor root = {0};

        if (cli_image_resolve(store, arguments->items[i], &out->name_texts[i], &root, err) <
            0)
            return -1;
        const size_t place = image_place(out, &root.digest);
        if (place == out->count)
            descriptor_copy(&out->roots[out->count++], &root);
        if (out->name_texts[i] != NULL)
            cli_texts_add(&out->names[place], out->name_texts[i]);
    }
    return 0;
}

static int format_parse(const char *text,
                        enum registry_archive_format *out,
                        struct error *err)
{
    if (text == NULL || strcmp(text, "docker-archive") == 0)
        *out = REGISTRY_ARCHIVE_DOCKER;
    else if (strcmp(text, "oci-archive") == 0)
        *out = REGISTRY_ARCHIVE_OCI;
    else
        return error_set(err, ERROR_USAGE,
                         "--format is docker-archive or oci-archive, not '%s'", text);
    return 0;
}

static int images_write(struct cas_store *store,
                        const struct images *images,
                        enum registry_archive_format format,
                        int fd,
                        struct error *err)
{
    CLEANUP(base_freep)
    struct registry_archive_image *list = base_alloc_array(images->count, sizeof list[0]);

    for (size_t i = 0; i < images->count; i++)
        list[i] = (struct registry_archive_image){.root = &images->roots[i],
                                                  .names = images->names[i].items,
                                                  .name_count = images->names[i].count};
    return registry_archive_write(store, list, images->count, format, fd, NULL, err);
}

static int save_run(struct cli_session *session,
                    const void *opaque,
                    const struct cli_texts *arguments,
                    struct error *err)
{
    const struct save_options *const o = opaque;
    CLEANUP(cli_output_file_release) struct cli_output_file file = {.fd = -1};
    CLEANUP(images_release) struct images images = {0};
    enum registry_archive_format format;
    struct cas_store *store;

    if (format_parse(o->format, &format, err) < 0)
        return -1;
    store = cli_session_store(session, err);
    if (store == NULL || images_find(store, arguments, &images, err) < 0 ||
        cli_output_file_open(&file, o->output, err) < 0 ||
        images_write(store, &images, format, file.fd, err) < 0)
        return -1;
    return cli_output_file_commit(&file, err);
}

const struct cli_command cli_command_save = {
    .name = "save",
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .summary = "Write images to a tar archive",
    CLI_OPTIONS(options, struct save_options),
    .argument_min = 1,
    .argument_max = CLI_ARGUMENTS_ANY,
    .run = save_run,
};
