#include "builder/export/export.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "registry/archive.h"
#include "registry/image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct doc *layout_index(const struct build_export *x,
                                char *const *names,
                                size_t count)
{
    struct doc *index = doc_new_object();
    struct doc *manifests = doc_new_array();

    for (size_t i = 0; i == 0 || i < count; i++) {
        struct doc *d = descriptor_doc(x->manifest);

        if (count > 0) {
            const struct doc *old = doc_get(d, "annotations");
            struct doc *annotations = old ? doc_copy(old) : doc_new_object();
            const char *colon = strrchr(names[i], ':');

            doc_set_text(annotations, "io.containerd.image.name", names[i]);
            if (colon && !strchr(colon, '/'))
                doc_set_text(annotations, "org.opencontainers.image.ref.name", colon + 1);
            doc_set(d, "annotations", annotations);
        }
        doc_append(manifests, d);
    }
    doc_set_int(index, "schemaVersion", 2);
    doc_set_text(index, "mediaType", MEDIA_OCI_INDEX);
    doc_set(index, "manifests", manifests);
    return index;
}

/* tar=false: an OCI image layout as a directory; index.json comes last. */
static int write_layout(const struct build_export *x,
                        char *const *names,
                        size_t count,
                        struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(fd_closep) int dir = -1;
    struct registry_image image = {0};
    struct doc *index;
    int status;

    if (fs_mkdir_all_at(AT_FDCWD, x->output->dest, 0777, err) < 0)
        return -1;
    dir = fs_open_at(AT_FDCWD, x->output->dest, O_RDONLY | O_DIRECTORY, 0, err);
    if (dir < 0 || registry_image_load(x->env->store, x->manifest, NULL, &image, err) < 0)
        return -1;
    status = build_export_blob(x->env->store, x->output->dest, &image.manifest.digest, err);
    if (status == 0)
        status =
            build_export_blob(x->env->store, x->output->dest, &image.config.digest, err);
    for (size_t i = 0; status == 0 && i < image.layer_count; i++)
        status =
            build_export_blob(x->env->store, x->output->dest, &image.layers[i].digest, err);
    registry_image_release(&image);
    if (status < 0)
        return -1;
    index = layout_index(x, names, count);
    doc_write(index, DOC_WRITE_COMPACT, &text);
    doc_unref(index);
    if (fs_replace_file_at(dir, "oci-layout",
                           VIEW_LIT("{\"imageLayoutVersion\":\"1.0.0\"}"), 0644, err) < 0)
        return -1;
    return fs_replace_file_at(dir, "index.json", buf_view(&text), 0644, err);
}

static int write_archive(const struct build_export *x,
                         char *const *names,
                         size_t count,
                         struct error *err)
{
    const struct registry_archive_image image = {
        .root = x->manifest, .names = (const char *const *)names, .name_count = count};
    const enum registry_archive_format format = x->output->type == BUILD_OUTPUT_DOCKER
                                                    ? REGISTRY_ARCHIVE_DOCKER
                                                    : REGISTRY_ARCHIVE_OCI;
    struct build_export_file f;
    int status;

    if (build_export_file_open(x->output->dest, &f, err) < 0)
        return -1;
    status = registry_archive_write(x->env->store, &image, 1, format, f.fd, NULL, err);
    if (status == 0)
        return build_export_file_commit(&f, err);
    build_export_file_discard(&f);
    return -1;
}

int build_export_archive(const struct build_export *x, struct error *err)
{
    CLEANUP(build_names_release) struct build_names names = {0};
    int status;

    if (!x->output->dest)
        return error_set(err, ERROR_USAGE, "output needs dest=PATH");
    status = build_names_of(x->output, x->names, x->name_count, &names, err);
    if (status == 0)
        status = x->output->directory ? write_layout(x, names.items, names.count, err)
                                      : write_archive(x, names.items, names.count, err);
    return status < 0 ? error_wrap(err, "write %s", x->output->dest) : 0;
}
