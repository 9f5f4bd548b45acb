#include "builder/export/export.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "registry/archive.h"
#include "registry/image.h"
#include "registry/push.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- Archives --- */

/* Names of the output's own name=, or the build's tags. */
static int names_of(const struct build_export *x,
                    char ***out,
                    size_t *count,
                    struct error *err)
{
    struct view rest = view_of(x->output->name ? x->output->name : "");
    struct view name;
    size_t capacity = 0;

    *out = NULL;
    *count = 0;
    for (size_t i = 0; !x->output->name && i < x->name_count; i++) {
        *out = base_grow(*out, *count, &capacity, sizeof(char *));
        (*out)[(*count)++] = base_strdup(x->names[i]);
    }
    while (rest.size > 0) {
        view_cut(rest, ',', &name, &rest);
        *out = base_grow(*out, *count, &capacity, sizeof(char *));
        (*out)[*count] = registry_reference_normalize(name, err);
        if (!(*out)[*count])
            return -1;
        (*count)++;
    }
    return 0;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static int copy_bytes(int from, int to, struct error *err)
{
    enum { CHUNK = 1 << 20 };
    CLEANUP(base_freep) char *chunk = base_alloc(CHUNK);
    ssize_t n;

    while ((n = read(from, chunk, CHUNK)) > 0)
        if (fs_write_all(to, chunk, (size_t)n, err) < 0)
            return -1;
    return n < 0 ? error_sys(err, "read blob") : 0;
}

/* Replaces what is there: a blob left by one who was killed may be half a blob. */
static int copy_blob(const struct build_export *x,
                     const struct digest *d,
                     struct error *err)
{
    CLEANUP(base_freep)
    char *path = base_format("%s/blobs/%s/%s", x->output->dest, digest_alg_name(d->alg),
                             digest_hex(d).text);
    CLEANUP(base_freep) char *dir = view_dup(path_dir(view_of(path)));
    CLEANUP(fd_closep) int from = cas_blob_open(x->env->store, d, err);
    struct build_export_file to;

    if (from < 0 || fs_mkdir_all_at(AT_FDCWD, dir, 0777, err) < 0 ||
        build_export_file_open(path, &to, err) < 0)
        return -1;
    if (copy_bytes(from, to.fd, err) == 0)
        return build_export_file_commit(&to, err);
    build_export_file_discard(&to);
    return error_wrap(err, "%s", path);
}

static struct doc *layout_index(const struct build_export *x,
                                char *const *names,
                                size_t count)
{
    struct doc *index = doc_new_object();
    struct doc *manifests = doc_new_array();

    for (size_t i = 0; i == 0 || i < count; i++) {
        struct doc *d = descriptor_doc(x->manifest);

        if (count > 0) {
            struct doc *annotations = doc_new_object();
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
    status = copy_blob(x, &image.manifest.digest, err);
    if (status == 0)
        status = copy_blob(x, &image.config.digest, err);
    for (size_t i = 0; status == 0 && i < image.layer_count; i++)
        status = copy_blob(x, &image.layers[i].digest, err);
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
    char **names;
    size_t count;
    int status;

    if (!x->output->dest)
        return error_set(err, ERROR_USAGE, "output needs dest=PATH");
    status = names_of(x, &names, &count, err);
    if (status == 0)
        status = x->output->directory ? write_layout(x, names, count, err)
                                      : write_archive(x, names, count, err);
    free_names(names, count);
    return status < 0 ? error_wrap(err, "write %s", x->output->dest) : 0;
}

/* --- Registries --- */

struct made {
    struct digest *blobs;
    size_t count;
};

/* The layers that this build made, and with them a config. */
static struct made made_of(const struct build_export *x)
{
    const struct build_solution *s = x->solution;
    struct made m = {.blobs = base_alloc_array(s->count + 1, sizeof *m.blobs)};

    for (size_t i = 0; i < s->count; i++)
        if (s->created[i] >= x->started_ns)
            m.blobs[m.count++] = cas_layer_blob(s->layers[i])->digest;
    if (m.count > 0)
        m.blobs[m.count++] = *x->config;
    return m;
}

static int push(const struct build_export *x, const char *name, struct error *err)
{
    struct made made = made_of(x);
    const struct registry_push_options options = {
        .made = made.blobs,
        .made_count = made.count,
        .progress = {.sink = &x->env->sink},
    };
    struct registry_reference ref = {0};
    struct digest confirmed;
    int status = registry_reference_parse(view_of(name), &ref, err);

    if (status == 0)
        status = registry_push(x->env->registry, x->env->store, x->manifest, &ref, &options,
                               &confirmed, err);
    free(made.blobs);
    registry_reference_release(&ref);
    return status < 0 ? error_wrap(err, "push %s", name) : 0;
}

int build_export_registry(const struct build_export *x, struct error *err)
{
    char **names;
    size_t count;
    int status = names_of(x, &names, &count, err);

    if (status == 0 && count == 0)
        status = error_set(err, ERROR_USAGE,
                           "nothing to push to: give the image a name with -t NAME");
    for (size_t i = 0; status == 0 && i < count; i++)
        status = push(x, names[i], err);
    free_names(names, count);
    return status;
}
