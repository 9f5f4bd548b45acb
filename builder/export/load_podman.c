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
#include <sys/stat.h>
#include <unistd.h>

struct layout {
    char *path; /* NULL: there is none */
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
    l->path = NULL;
}

static int layout_make(struct layout *l, struct error *err)
{
    const char *tmp = getenv("TMPDIR");

    l->path = base_format("%s/cooper-load-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(l->path)) {
        free(l->path);
        l->path = NULL;
        return error_sys(err, "create a temporary directory");
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

    doc_append(manifests, descriptor_doc(manifest));
    doc_set_int(index, "schemaVersion", 2);
    doc_set_text(index, "mediaType", MEDIA_OCI_INDEX);
    doc_set(index, "manifests", manifests);
    doc_write(index, DOC_WRITE_COMPACT, &text);
    return buf_ok(&text, "index.json", err) < 0
               ? -1
               : fs_replace_file_at(l->fd, "index.json", buf_view(&text), 0644, err);
}

/* The layout's only image comes without a name, and then gets its own. */
static int pull(const struct build_load *l, const struct layout *layout, struct error *err)
{
    CLEANUP(buf_release) struct buf id = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(base_freep) char *source = base_format("oci:%s", layout->path);
    const char *const argv[] = {"podman", "pull", "--quiet", source, NULL};

    if (build_program_run(argv, -1, l->x->cancel, &id, err) < 0)
        return -1;
    CLEANUP(base_freep) char *image = view_dup(view_trim(buf_view(&id)));
    for (size_t i = 0; i < l->names->count; i++) {
        const char *const tag[] = {"podman", "tag", image, l->names->items[i], NULL};

        if (build_program_run(tag, -1, l->x->cancel, NULL, err) < 0)
            return -1;
    }
    return 0;
}

int build_load_podman(const struct build_load *l, struct error *err)
{
    CLEANUP(layout_remove) struct layout layout = {.fd = -1};
    const char *store = cas_store_path(l->x->env->store);

    if (layout_make(&layout, err) < 0 || link_blobs(&layout, l->image, store, err) < 0 ||
        write_index(&layout, l->x->manifest, err) < 0)
        return -1;
    return pull(l, &layout, err);
}
