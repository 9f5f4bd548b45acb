#include "cli/image.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"

/* Fewer digits of an ID are a name. */
#define ID_DIGITS_MIN 4

void cli_image_release(struct cli_image *i)
{
    free(i->name);
    registry_image_release(&i->image);
    doc_unref(i->config);
    *i = (struct cli_image){0};
}

static int not_found(const char *text, struct error *err)
{
    return error_set(
        err, ERROR_NOT_FOUND,
        "no image '%s' in the store ('cooper images' lists them, 'cooper pull' "
        "fetches one)",
        text);
}

/* --- By name ------------------------------------------------------------------------ */

static int find_ref(struct cas_store *store,
                    const struct registry_reference *reference,
                    char **name,
                    bool *found,
                    struct descriptor *out,
                    struct error *err)
{
    CLEANUP(base_freep) char *full = registry_reference_text(reference);
    struct cas_ref ref;

    if (cas_ref_find(store, full, found, &ref, err) < 0)
        return -1;
    if (!*found)
        return 0;
    descriptor_copy(out, &ref.target);
    *name = base_strdup(ref.name);
    cas_ref_release(&ref);
    return 0;
}

/* Content in the store with this digest that is a manifest or index. */
static int find_blob(struct cas_store *store,
                     const struct digest *digest,
                     bool *found,
                     struct descriptor *out,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(doc_unrefp) struct doc *doc = NULL;
    uint64_t size = 0;
    const char *media_type;

    if (cas_blob_find(store, digest, found, &size, err) < 0)
        return -1;
    if (!*found || size > LIMIT_MANIFEST_SIZE) {
        *found = false;
        return 0;
    }
    if (cas_blob_read(store, digest, &text, err) < 0)
        return -1;
    doc = doc_parse(buf_view(&text), err);
    media_type = doc != NULL ? registry_manifest_media_type(doc, NULL, err) : NULL;
    if (media_type == NULL)
        return error_wrap(err, "%s is no image", digest_format(digest).text);
    descriptor_init(out, media_type, digest, size);
    return 0;
}

static int find_reference(struct cas_store *store,
                          const char *text,
                          char **name,
                          bool *found,
                          struct descriptor *out,
                          struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference reference = {0};
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    /* What is no reference may still be an ID. */
    if (registry_reference_parse(view_of(text), &reference, &ignored) < 0)
        return 0;
    registry_reference_add_default_tag(&reference);
    if (digest_is_set(&reference.digest))
        return find_blob(store, &reference.digest, found, out, err);
    return find_ref(store, &reference, name, found, out, err);
}

/* --- By ID -------------------------------------------------------------------------- */

static bool is_id(struct view text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (strchr("0123456789abcdef", text.data[i]) == NULL)
            return false;
    }
    return text.size >= ID_DIGITS_MIN && text.size <= 64;
}

static int find_id(struct cas_store *store,
                   struct view hex,
                   bool *found,
                   struct descriptor *out,
                   struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};

    if (cas_ref_list(store, &refs, err) < 0)
        return -1;
    for (size_t i = 0; i < refs.count; i++) {
        const struct descriptor *const target = &refs.items[i].target;

        if (strncmp(digest_hex(&target->digest).text, hex.data, hex.size) != 0 ||
            (*found && digest_eq(&out->digest, &target->digest)))
            continue;
        if (*found) {
            descriptor_release(out);
            return error_set(err, ERROR_INVALID,
                             "several images have an ID that begins with %.*s",
                             VIEW_ARG(hex));
        }
        descriptor_copy(out, target);
        *found = true;
    }
    return 0;
}

int cli_image_resolve(struct cas_store *store,
                      const char *text,
                      char **name,
                      struct descriptor *out,
                      struct error *err)
{
    const bool is_digest = strncmp(text, "sha256:", 7) == 0;
    const struct view hex = view_of(is_digest ? text + 7 : text);
    struct digest digest;
    bool found = false;

    *name = NULL;
    if (!is_digest && find_reference(store, text, name, &found, out, err) < 0)
        return -1;
    if (!found && is_id(hex) && find_id(store, hex, &found, out, err) < 0)
        return -1;
    /* An image that was built without a name is known by its whole digest alone. */
    if (!found && is_digest && hex.size == 64) {
        if (digest_parse(view_of(text), &digest, err) < 0 ||
            find_blob(store, &digest, &found, out, err) < 0)
            return -1;
    }
    return found ? 0 : not_found(text, err);
}

/* --- Documents ---------------------------------------------------------------------- */

int cli_image_load(struct cas_store *store,
                   const char *name,
                   const struct descriptor *root,
                   struct cli_image *out,
                   struct error *err)
{
    return cli_image_load_for(store, name, root, &registry_platform_any, out, err);
}

int cli_image_load_for(struct cas_store *store,
                       const char *name,
                       const struct descriptor *root,
                       const struct registry_platform *platform,
                       struct cli_image *out,
                       struct error *err)
{
    *out = (struct cli_image){0};
    if (registry_image_load(store, root, platform, &out->image, err) < 0)
        return error_wrap(err, "image %s", digest_format(&root->digest).text);
    out->name = base_strdup(name);
    out->config = cas_blob_read_doc(store, &out->image.config, LIMIT_CONFIG_SIZE, err);
    if (out->config == NULL) {
        cli_image_release(out);
        return error_wrap(err, "config of image %s", digest_format(&root->digest).text);
    }
    return 0;
}

int cli_image_find(struct cas_store *store,
                   const char *text,
                   struct cli_image *out,
                   struct error *err)
{
    CLEANUP(base_freep) char *name = NULL;
    CLEANUP(descriptor_release) struct descriptor root = {0};

    if (cli_image_resolve(store, text, &name, &root, err) < 0)
        return -1;
    return cli_image_load(store, name, &root, out, err);
}

uint64_t cli_image_size(const struct cli_image *i)
{
    uint64_t size = i->image.manifest.size + i->image.config.size;

    for (size_t n = 0; n < i->image.layer_count; n++)
        size += i->image.layers[n].size;
    return size;
}

int cli_image_names(struct cas_store *store,
                    const struct digest *root,
                    char ***names,
                    size_t *count,
                    struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};
    size_t capacity = 0;

    *names = NULL;
    *count = 0;
    if (cas_ref_list(store, &refs, err) < 0)
        return -1;
    for (size_t i = 0; i < refs.count; i++) {
        if (!digest_eq(&refs.items[i].target.digest, root))
            continue;
        *names = base_grow(*names, *count, &capacity, sizeof(char *));
        (*names)[(*count)++] = base_strdup(refs.items[i].name);
    }
    return 0;
}

void cli_image_names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}
