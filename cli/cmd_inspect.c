/* cooper inspect IMAGE... */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/ref.h"
#include "cli/format.h"
#include "cli/image.h"
#include "cli/inspect_remote.h"
#include "cli/output.h"

#include <stddef.h>

struct inspect_options {
    const char *format;
    const char *platform;
    bool remote;
    bool raw;
};

static const struct cli_option options[] = {
    {'f', "format", CLI_OPTION_TEXT, "FORMAT", "json: all on one line",
     offsetof(struct inspect_options, format)},
    {0, "remote", CLI_OPTION_SWITCH, NULL,
     "Ask the registry: manifest, config and platforms; nothing is pulled",
     offsetof(struct inspect_options, remote)},
    {0, "raw", CLI_OPTION_SWITCH, NULL,
     "With --remote: the manifest's (or index's) own bytes and nothing else",
     offsetof(struct inspect_options, raw)},
    {0, "platform", CLI_OPTION_TEXT, "OS/ARCH[/VARIANT]",
     "Of an index the image of this platform (default: this machine's)",
     offsetof(struct inspect_options, platform)},
};

/* RepoTags and RepoDigests: the names that point to this image, and where it has them from.
 */
static int names_set(struct cas_store *store,
                     const struct digest *root,
                     struct doc *out,
                     struct error *err)
{
    struct doc *const tags = doc_new_array();
    struct doc *const digests = doc_new_array();
    char **names = NULL;
    size_t count = 0;

    doc_set(out, "RepoTags", tags);
    doc_set(out, "RepoDigests", digests);
    if (cli_image_names(store, root, &names, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(registry_reference_release) struct registry_reference reference = {0};
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;
        CLEANUP(base_freep) char *tag = NULL;
        CLEANUP(base_freep) char *digest = NULL;

        /* A name that others gave (an OCI tool in this layout) may be no reference. */
        if (registry_reference_parse(view_of(names[i]), &reference, &ignored) < 0) {
            doc_append_text(tags, names[i]);
            continue;
        }
        reference.digest = (struct digest){0};
        tag = registry_reference_familiar(&reference);
        doc_append_text(tags, tag);
        base_freep(&reference.tag);
        reference.digest = *root;
        digest = registry_reference_familiar(&reference);
        doc_append_text(digests, digest);
    }
    cli_image_names_free(names, count);
    return 0;
}

static void member_copy(struct doc *out,
                        const char *key,
                        const struct doc *config,
                        const char *from)
{
    const struct doc *const value = doc_get(config, from);

    if (value != NULL)
        doc_set(out, key, doc_copy(value));
}

static struct doc *rootfs_doc(const struct doc *config)
{
    struct doc *const rootfs = doc_new_object();
    const struct doc *const layers = doc_get(doc_get(config, "rootfs"), "diff_ids");

    doc_set_text(rootfs, "Type", "layers");
    doc_set(rootfs, "Layers", layers != NULL ? doc_copy(layers) : doc_new_array());
    return rootfs;
}

/* The comment of the last thing that was done, as docker has it. */
static const char *comment_of(const struct doc *config)
{
    const struct doc *const history = doc_get(config, "history");
    const char *comment = NULL;

    if (doc_count(history) > 0)
        comment = doc_text(doc_get(doc_at(history, doc_count(history) - 1), "comment"));
    return comment != NULL ? comment : "";
}

static int metadata_set(struct cas_store *store,
                        const char *name,
                        struct doc *out,
                        struct error *err)
{
    struct doc *metadata;
    struct cas_ref ref;
    bool found = false;

    if (name == NULL || cas_ref_find(store, name, &found, &ref, err) < 0)
        return name == NULL ? 0 : -1;
    if (!found)
        return 0;
    metadata = doc_new_object();
    doc_set_text(metadata, "LastTagTime", cli_format_time(ref.time, 0).text);
    doc_set(out, "Metadata", metadata);
    cas_ref_release(&ref);
    return 0;
}

/* The images that an index names, as it names them. */
static int manifests_set(struct cas_store *store,
                         const struct registry_image *image,
                         struct doc *out,
                         struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *index = NULL;

    if (digest_eq(&image->root.digest, &image->manifest.digest))
        return 0;
    index = cas_blob_read_doc(store, &image->root, LIMIT_MANIFEST_SIZE, err);
    if (index == NULL)
        return -1;
    doc_set(out, "Manifests", doc_copy(doc_get(index, "manifests")));
    return 0;
}

static int image_describe(struct cas_store *store,
                          const char *typed,
                          const struct registry_platform *platform,
                          struct doc *out,
                          struct error *err)
{
    CLEANUP(cli_image_release) struct cli_image image = {0};
    CLEANUP(base_freep) char *name = NULL;
    CLEANUP(descriptor_release) struct descriptor found = {0};

    if (cli_image_resolve(store, typed, &name, &found, err) < 0 ||
        cli_image_load_for(store, name, &found, platform, &image, err) < 0)
        return -1;
    const struct descriptor *const root = &image.image.root;
    doc_set_text(out, "Id", digest_format(&root->digest).text);
    if (names_set(store, &root->digest, out, err) < 0)
        return -1;
    doc_set_text(out, "Comment", comment_of(image.config));
    member_copy(out, "Created", image.config, "created");
    member_copy(out, "Author", image.config, "author");
    member_copy(out, "Config", image.config, "config");
    member_copy(out, "Architecture", image.config, "architecture");
    member_copy(out, "Variant", image.config, "variant");
    member_copy(out, "Os", image.config, "os");
    doc_set_int(out, "Size", (int64_t)cli_image_size(&image));
    doc_set(out, "RootFS", rootfs_doc(image.config));
    if (metadata_set(store, image.name, out, err) < 0)
        return -1;
    doc_set(out, "Descriptor", descriptor_doc(root));
    return manifests_set(store, &image.image, out, err);
}

static int inspect_run(struct cli_session *session,
                       const void *opaque,
                       const struct cli_texts *arguments,
                       struct error *err)
{
    const struct inspect_options *const o = opaque;
    CLEANUP(doc_unrefp) struct doc *list = doc_new_array();
    struct registry_platform platform = registry_platform_any;
    struct cas_store *store;

    if (o->platform != NULL &&
        registry_platform_parse(view_of(o->platform), &platform, err) < 0)
        return error_wrap(err, "--platform");
    if (o->format != NULL && strcmp(o->format, "json") != 0)
        return error_set(err, ERROR_USAGE,
                         "--format is json, not '%s' (Go templates are not known: use jq)",
                         o->format);
    if (!o->remote && o->raw)
        return error_set(err, ERROR_USAGE, "--raw goes with --remote");
    if (o->remote && o->raw)
        return cli_inspect_remote_raw(session, arguments, o->platform, err);
    if (o->remote) {
        if (cli_inspect_remote(session, arguments, o->platform, list, err) < 0)
            return -1;
        cli_output_doc(list, o->format != NULL ? DOC_WRITE_COMPACT : DOC_WRITE_INDENT);
        return 0;
    }
    store = cli_session_store(session, err);
    if (store == NULL)
        return -1;
    for (size_t i = 0; i < arguments->count; i++) {
        struct doc *const image = doc_new_object();
        const int result =
            image_describe(store, arguments->items[i], &platform, image, err);

        doc_append(list, image);
        if (result < 0)
            return -1;
    }
    cli_output_doc(list, o->format != NULL ? DOC_WRITE_COMPACT : DOC_WRITE_INDENT);
    return 0;
}

const struct cli_command cli_command_inspect = {
    .name = "inspect",
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .summary = "Print everything about images as JSON",
    .details =
        "With --remote an image of a registry, which is not pulled: its manifest, config\n"
        "and, of an index, the platforms that it has. The places that 'cooper copy' knows\n"
        "are looked at too: oci-layout://PATH, oci-archive:PATH, docker-archive:PATH.",
    CLI_OPTIONS(options, struct inspect_options),
    .argument_min = 1,
    .argument_max = CLI_ARGUMENTS_ANY,
    .run = inspect_run,
};
