/* Manifests and indexes of a stranger: taken for what they are, or refused. */
#include "tests/fuzz/fuzz.h"

#include "base/limits.h"
#include "registry/image.h"

#include <assert.h>

static void check_index(const struct doc *d)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(descriptor_release) struct descriptor chosen = {0};
    const struct registry_platform amd64 = {.os = "linux", .architecture = "amd64"};

    if (registry_index_choose(d, &amd64, &chosen, &err) == 0)
        assert(digest_is_set(&chosen.digest));
}

static void check_manifest(const struct doc *d)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(registry_image_release) struct registry_image image = {0};

    if (registry_image_parse(d, &image, &err) == 0)
        assert(image.layer_count <= LIMIT_LAYERS && image.config.media_type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(doc_unrefp)
    struct doc *d = doc_parse((struct view){(const char *)data, size}, &err);
    const char *type = d ? registry_manifest_media_type(d, NULL, &err) : NULL;

    if (!type)
        return 0;
    assert(registry_media_is_index(type) != registry_media_is_manifest(type));
    if (registry_media_is_index(type))
        check_index(d);
    else
        check_manifest(d);
    return 0;
}
