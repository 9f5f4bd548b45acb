#include "builder/failed_image.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "builder/config.h"
#include "cas/blob.h"
#include "cas/ref.h"
#include "parser/check/check.h"
#include "registry/reference.h"

#include <string.h>
#include <time.h>

static struct doc *env_doc(const struct build_run_op *op)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < op->env_count; i++) {
        struct view name, value;

        view_cut(view_of(op->env[i]), '=', &name, &value);
        if (!op->env_is_arg || !op->env_is_arg[i] || !dockerfile_name_is_secret(name))
            doc_append(list, doc_new_text(view_of(op->env[i])));
    }
    return list;
}

/* A here-document is not there any more when the image starts: its shell is. And of a step
 * that runs nothing there is a shell alone. */
static struct doc *command_doc(const struct build_node *n)
{
    const struct build_run_op *op = build_node_command(n);
    const bool is_shell = op->script || n->op != BUILD_OP_RUN;
    const size_t count = is_shell && op->argc > 1 ? 1 : op->argc;
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < count; i++)
        doc_append(list, doc_new_text(view_of(op->argv[i])));
    return list;
}

static char *time_text(int64_t ns)
{
    const time_t seconds = (time_t)(ns / 1000000000);
    struct tm t;
    char text[40];

    gmtime_r(&seconds, &t);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &t);
    return base_strdup(text);
}

static struct doc *history_doc(const struct build_failed_image *image, const char *created)
{
    CLEANUP(base_freep)
    char *what =
        base_format("%s # failed; kept by cooper build --on-failure", image->node->title);
    struct doc *history = doc_new_array();

    for (size_t i = 0; i < image->count; i++) {
        struct doc *entry = doc_new_object();

        doc_set_text(entry, "created", created);
        doc_set(
            entry, "created_by",
            doc_new_text(view_of(i + 1 == image->count ? what : "below a failed step")));
        doc_append(history, entry);
    }
    return history;
}

static int rootfs_set(const struct build_failed_image *image,
                      struct doc *config,
                      struct error *err)
{
    struct doc *rootfs = doc_new_object();
    struct doc *ids = doc_new_array();
    int status = 0;

    for (size_t i = 0; status == 0 && i < image->count; i++) {
        status = cas_layer_wait(image->layers[i], err);
        if (status == 0)
            doc_append_text(ids, digest_format(cas_layer_diff_id(image->layers[i])).text);
    }
    doc_set_text(rootfs, "type", "layers");
    doc_set(rootfs, "diff_ids", ids);
    doc_set(config, "rootfs", rootfs);
    return status;
}

static struct doc *config_make(const struct build_failed_image *image, struct error *err)
{
    const struct build_run_op *op = build_node_command(image->node);
    CLEANUP(build_config_release) struct build_config config = {0};
    CLEANUP(base_freep) char *created = time_text(image->time_ns);
    struct doc *inner;

    build_config_init_empty(&config, image->platform);
    inner = build_config_inner(&config);
    doc_set(inner, "Env", env_doc(op));
    doc_set(inner, "Cmd", command_doc(image->node));
    doc_set_text(inner, "WorkingDir", op->workdir ? op->workdir : "/");
    if (op->user)
        doc_set_text(inner, "User", op->user);
    doc_set_text(config.root, "created", created);
    if (rootfs_set(image, config.root, err) < 0)
        return NULL;
    doc_set(config.root, "history", history_doc(image, created));
    return doc_ref(config.root);
}

/* Docker's type of a layer says the same of the same bytes. */
static const char *oci_type(const char *media_type)
{
    return strcmp(media_type, MEDIA_DOCKER_LAYER_GZIP) == 0 ? MEDIA_OCI_LAYER_GZIP
                                                            : media_type;
}

static int layers_set(const struct build_failed_image *image,
                      struct doc *manifest,
                      struct error *err)
{
    struct doc *layers = doc_new_array();

    doc_set(manifest, "layers", layers);
    for (size_t i = 0; i < image->count; i++) {
        CLEANUP(descriptor_release) struct descriptor d = {0};
        const struct descriptor *blob;

        if (cas_layer_require_blob(image->layers[i], err) < 0)
            return -1;
        blob = cas_layer_blob(image->layers[i]);
        descriptor_init(&d, oci_type(blob->media_type), &blob->digest, blob->size);
        doc_append(layers, descriptor_doc(&d));
    }
    return 0;
}

static int manifest_put(const struct build_environment *env,
                        const struct build_failed_image *image,
                        const struct descriptor *config,
                        struct descriptor *out,
                        struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *manifest = doc_new_object();

    doc_set_int(manifest, "schemaVersion", 2);
    doc_set_text(manifest, "mediaType", MEDIA_OCI_MANIFEST);
    doc_set(manifest, "config", descriptor_doc(config));
    if (layers_set(image, manifest, err) < 0)
        return -1;
    return cas_blob_put_doc(env->store, manifest, MEDIA_OCI_MANIFEST, LIMIT_MANIFEST_SIZE,
                            out, err);
}

int build_failed_image_make(const struct build_environment *env,
                            const struct build_failed_image *image,
                            struct error *err)
{
    CLEANUP(base_freep)
    char *name = registry_reference_normalize(view_of(image->name), err);
    CLEANUP(descriptor_release) struct descriptor config = {0};
    CLEANUP(descriptor_release) struct descriptor manifest = {0};
    CLEANUP(doc_unrefp) struct doc *d = name ? config_make(image, err) : NULL;

    if (!d ||
        cas_blob_put_doc(env->store, d, MEDIA_OCI_CONFIG, LIMIT_CONFIG_SIZE, &config, err) <
            0 ||
        manifest_put(env, image, &config, &manifest, err) < 0)
        return -1;
    manifest.platform = registry_platform_doc(image->platform);
    return cas_ref_set(env->store, name, &manifest, "build --on-failure", err);
}
