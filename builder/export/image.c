#include "builder/export/export.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/reach.h"
#include "registry/archive.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One of those that need not be distributed may be absent. */
static int visit(void *context,
                 const struct descriptor *d,
                 bool *descend,
                 struct error *err)
{
    const struct build_export *x = context;
    bool found = true;

    (void)descend;
    if (cas_reach_may_be_absent(d->media_type) &&
        cas_blob_find(x->env->store, &d->digest, &found, NULL, err) < 0)
        return -1;
    return found ? build_export_blob(x->env->store, x->output->dest, &d->digest, err) : 0;
}

static int copy_tree(const struct build_export *x, struct error *err)
{
    union {
        const struct build_export *in;
        void *out;
    } context = {x};

    return cas_reach_walk(x->env->store, x->root, CAS_REACH_HOLD, visit, context.out, err);
}

static struct doc *layout_index(const struct build_export *x,
                                char *const *names,
                                size_t count)
{
    struct doc *index = doc_new_object();
    struct doc *manifests = doc_new_array();

    for (size_t i = 0; i == 0 || i < count; i++) {
        struct doc *d = descriptor_doc(x->root);

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
    struct doc *index;

    if (fs_mkdir_all_at(AT_FDCWD, x->output->dest, 0777, err) < 0)
        return -1;
    dir = fs_open_at(AT_FDCWD, x->output->dest, O_RDONLY | O_DIRECTORY, 0, err);
    if (dir < 0 || copy_tree(x, err) < 0)
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
        .root = x->root, .names = (const char *const *)names, .name_count = count};
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
