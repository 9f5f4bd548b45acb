/*
 * podman has no daemon: it is told to pull from an OCI layout, and reads those blobs that
 * its storage lacks. The layout is a directory of links into our store.
 */
#include "builder/export/load.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/export/program.h"
#include "cas/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct layout {
    char *path; /* NULL: there is none */
    char *name; /* of its only image */
    int fd;
};

static void layout_remove(struct layout *l)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    fd_closep(&l->fd);
    /* Left behind it is a few links in a directory for such things. */
    if (l->path && fs_remove_tree_at(AT_FDCWD, l->path, &ignored) < 0)
        error_clear(&ignored);
    free(l->path);
    free(l->name);
    l->path = l->name = NULL;
}

/* Older versions make a name out of the path, and names have no capitals. */
static const char *parent_of_layout(void)
{
    const char *tmp = getenv("TMPDIR");

    for (const char *c = tmp; c && *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            return "/tmp";
    return tmp && *tmp ? tmp : "/tmp";
}

static int layout_make(struct layout *l, struct error *err)
{
    uint64_t number;

    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return error_sys(err, "random number");
    l->name = base_format("localhost/cooper-load:%016llx", (unsigned long long)number);
    l->path = base_format("%s/cooper-load-%016llx", parent_of_layout(),
                          (unsigned long long)number);
    if (mkdir(l->path, 0700) < 0) {
        error_sys(err, "create a temporary directory %s", l->path);
        free(l->path);
        l->path = NULL;
        return -1;
    }
    l->fd = fs_open_at(AT_FDCWD, l->path, O_RDONLY | O_DIRECTORY, 0, err);
    if (l->fd < 0)
        return -1;
    if (mkdirat(l->fd, "blobs", 0755) < 0 || mkdirat(l->fd, "blobs/sha256", 0755) < 0 ||
        mkdirat(l->fd, "blobs/sha512", 0755) < 0)
        return error_sys(err, "%s/blobs", l->path);
    return fs_replace_file_at(l->fd, "oci-layout",
                              VIEW_LIT("{\"imageLayoutVersion\":\"1.0.0\"}"), 0644, err);
}

static int link_blob(const struct layout *l,
                     const char *store,
                     const struct digest *d,
                     struct error *err)
{
    CLEANUP(base_freep)
    char *name = base_format("blobs/%s/%s", digest_alg_name(d->alg), digest_hex(d).text);
    CLEANUP(base_freep) char *target = base_format("%s/%s", store, name);

    /* The same layer may be there twice. */
    if (symlinkat(target, l->fd, name) < 0 && errno != EEXIST)
        return error_sys(err, "%s/%s", l->path, name);
    return 0;
}

static int link_blobs(const struct layout *l,
                      const struct registry_image *image,
                      const char *store,
                      struct error *err)
{
    if (link_blob(l, store, &image->manifest.digest, err) < 0 ||
        link_blob(l, store, &image->config.digest, err) < 0)
        return -1;
    for (size_t i = 0; i < image->layer_count; i++)
        if (link_blob(l, store, &image->layers[i].digest, err) < 0)
            return -1;
    return 0;
}

static int write_index(const struct layout *l,
                       const struct descriptor *manifest,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(doc_unrefp) struct doc *index = doc_new_object();
    struct doc *manifests = doc_new_array();
    struct doc *entry = descriptor_doc(manifest);
    struct doc *annotations = doc_new_object();

    doc_set_text(annotations, "org.opencontainers.image.ref.name", l->name);
    doc_set(entry, "annotations", annotations);
    doc_append(manifests, entry);
    doc_set_int(index, "schemaVersion", 2);
    doc_set_text(index, "mediaType", MEDIA_OCI_INDEX);
    doc_set(index, "manifests", manifests);
    doc_write(index, DOC_WRITE_COMPACT, &text);
    return buf_ok(&text, "index.json", err) < 0
               ? -1
               : fs_replace_file_at(l->fd, "index.json", buf_view(&text), 0644, err);
}

/* What it was called until it had its own names: as its layout's entry, in older versions
 * as the layout's path. Of the two one is not there. */
static void untag(const struct layout *layout, const char *image)
{
    CLEANUP(base_freep) char *path_name = base_format("localhost%s:latest", layout->path);
    const char *const names[] = {layout->name, path_name};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const char *const argv[] = {"podman", "untag", image, names[i], NULL};
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;

        if (build_program_run(argv, -1, NULL, NULL, &ignored) < 0)
            error_clear(&ignored);
    }
}

static int pull(const struct build_load *l, const struct layout *layout, struct error *err)
{
    CLEANUP(buf_release) struct buf id = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(base_freep) char *source = base_format("oci:%s:%s", layout->path, layout->name);
    const char *const argv[] = {"podman", "pull", "--quiet", source, NULL};
    int status = build_program_run(argv, -1, l->x->cancel, &id, err);

    if (status < 0)
        return -1;
    CLEANUP(base_freep) char *image = view_dup(view_trim(buf_view(&id)));
    for (size_t i = 0; i < l->names->count && status == 0; i++) {
        const char *const tag[] = {"podman", "tag", image, l->names->items[i], NULL};

        status = build_program_run(tag, -1, l->x->cancel, NULL, err);
    }
    untag(layout, image);
    return status;
}

int build_load_podman(const struct build_load *l, struct error *err)
{
    CLEANUP(layout_remove) struct layout layout = {.fd = -1};
    const char *store = cas_store_path(l->x->env->store);

    if (layout_make(&layout, err) < 0 || link_blobs(&layout, l->image, store, err) < 0 ||
        write_index(&layout, l->x->root, err) < 0)
        return -1;
    return pull(l, &layout, err);
}
