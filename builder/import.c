#include "builder/import.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/archive.h"
#include "builder/delta.h"
#include "builder/import_config.h"
#include "builder/import_tree.h"
#include "cas/blob.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_SIZE ((size_t)1 << 20)

static struct cas_layer_options layer_options(const struct build_import_options *options,
                                              struct pool *pool)
{
    return (struct cas_layer_options){
        .compression = options->compression,
        .epoch = options->epoch,
        .pool = pool,
        .cancel = options->cancel,
    };
}

/* --- From a directory --------------------------------------------------------------- */

static struct cas_layer *dir_layer(const struct build_environment *env,
                                   const struct build_import_options *options,
                                   int fd,
                                   struct pool *pool,
                                   struct error *err)
{
    CLEANUP(import_tree_freep) struct import_tree *tree = import_tree_read(fd, err);
    const struct cas_layer_options how = layer_options(options, pool);
    struct cas_entry *entries;
    size_t count = 0;

    if (tree == NULL)
        return NULL;
    entries = import_tree_entries(tree, &count);
    return cas_layer_write(env->store, entries, count, import_tree_content, tree, &how,
                           err);
}

/* --- From a tar --------------------------------------------------------------------- */

static int seekable_copy(int from, int to, struct error *err)
{
    CLEANUP(base_freep) char *block = base_alloc(COPY_SIZE);

    for (;;) {
        const ssize_t size = read(from, block, COPY_SIZE);

        if (size < 0)
            return error_sys(err, "read");
        if (size == 0)
            return 0;
        if (fs_write_all(to, block, (size_t)size, err) < 0)
            return -1;
    }
}

/* The archive reader looks twice: what comes through a pipe goes into the store first. */
static int seekable_open(struct cas_store *store, int fd, struct error *err)
{
    CLEANUP(fd_closep) int copy = -1;

    if (lseek(fd, 0, SEEK_SET) == 0) {
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return copy >= 0 ? fd_take(&copy) : error_sys(err, "duplicate a descriptor");
    }
    copy = fs_open_at(cas_store_fd(store), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600, err);
    if (copy < 0 || seekable_copy(fd, copy, err) < 0)
        return -1;
    return fd_take(&copy);
}

static struct cas_layer *delta_layer(const struct build_environment *env,
                                     const struct build_import_options *options,
                                     struct build_delta *delta,
                                     struct pool *pool,
                                     struct error *err)
{
    const struct cas_layer_options how = layer_options(options, pool);
    struct cas_entry *entries = NULL;
    size_t count = 0;

    if (build_delta_finish(delta, &entries, &count, err) < 0)
        return NULL;
    if (count == 0) {
        error_set(err, ERROR_INVALID, "the archive is empty");
        return NULL;
    }
    return cas_layer_write(env->store, entries, count, build_delta_content, delta, &how,
                           err);
}

static void spool_freep(struct build_archive_spool **spool)
{
    build_archive_spool_free(*spool);
    *spool = NULL;
}

static struct cas_layer *tar_layer(const struct build_environment *env,
                                   const struct build_import_options *options,
                                   int fd,
                                   struct pool *pool,
                                   struct error *err)
{
    CLEANUP(spool_freep)
    struct build_archive_spool *spool = build_archive_spool_new(cas_store_fd(env->store));
    CLEANUP(build_delta_freep) struct build_delta *delta = build_delta_new(NULL);
    CLEANUP(fd_closep) int archive = seekable_open(env->store, fd, err);
    const struct build_archive_options unpack = {.dest = "", .is_beneath = true};
    bool is_tar = false;

    if (archive < 0)
        return NULL;
    if (build_archive_is_tar(archive, &is_tar, err) < 0)
        return NULL;
    if (!is_tar) {
        error_set(err, ERROR_INVALID, "neither a directory nor a tar archive");
        return NULL;
    }
    if (build_archive_unpack(archive, delta, spool, &unpack, err) < 0)
        return NULL;
    return delta_layer(env, options, delta, pool, err);
}

/* --- The image ---------------------------------------------------------------------- */

static void rootfs_set(struct doc *config, const struct digest *diff_id)
{
    struct doc *const rootfs = doc_new_object();
    struct doc *const layers = doc_new_array();

    doc_append_text(layers, digest_format(diff_id).text);
    doc_set_text(rootfs, "type", "layers");
    doc_set(rootfs, "diff_ids", layers);
    doc_set(config, "rootfs", rootfs);
}

static int image_store(struct cas_store *store,
                       struct doc *config,
                       const struct cas_layer *layer,
                       struct descriptor *out,
                       struct error *err)
{
    CLEANUP(descriptor_release) struct descriptor stored = {0};
    CLEANUP(doc_unrefp) struct doc *manifest = doc_new_object();
    struct doc *const layers = doc_new_array();

    rootfs_set(config, cas_layer_diff_id(layer));
    if (cas_blob_put_doc(store, config, MEDIA_OCI_CONFIG, LIMIT_CONFIG_SIZE, &stored, err) <
        0) {
        doc_unref(layers);
        return -1;
    }
    doc_append(layers, descriptor_doc(cas_layer_blob(layer)));
    doc_set_int(manifest, "schemaVersion", 2);
    doc_set_text(manifest, "mediaType", MEDIA_OCI_MANIFEST);
    doc_set(manifest, "config", descriptor_doc(&stored));
    doc_set(manifest, "layers", layers);
    return cas_blob_put_doc(store, manifest, MEDIA_OCI_MANIFEST, LIMIT_MANIFEST_SIZE, out,
                            err);
}

static int source_open(const char *source, bool *is_dir, struct error *err)
{
    const bool is_stdin = strcmp(source, "-") == 0;
    CLEANUP(fd_closep)
    int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                      : fs_open_at(AT_FDCWD, source, O_RDONLY | O_CLOEXEC, 0, err);
    struct stat st;

    if (fd < 0)
        return is_stdin ? error_sys(err, "standard input") : -1;
    if (fstat(fd, &st) < 0)
        return error_sys(err, "stat %s", source);
    *is_dir = S_ISDIR(st.st_mode);
    return fd_take(&fd);
}

int build_import(const struct build_environment *env,
                 const struct build_import_options *options,
                 struct descriptor *out,
                 struct error *err)
{
    /* Whatever is wrong with the request is found before the files are read. */
    CLEANUP(doc_unrefp) struct doc *config = import_config_make(env, options, err);
    CLEANUP(cas_layer_unrefp) struct cas_layer *layer = NULL;
    CLEANUP(pool_freep) struct pool *pool = NULL;
    CLEANUP(fd_closep) int fd = -1;
    bool is_dir = false;

    if (config == NULL)
        return -1;
    fd = source_open(options->source, &is_dir, err);
    if (fd < 0)
        return -1;
    pool = pool_new(0);
    layer = is_dir ? dir_layer(env, options, fd, pool, err)
                   : tar_layer(env, options, fd, pool, err);
    if (layer == NULL || cas_layer_wait(layer, err) < 0)
        return -1;
    return image_store(env->store, config, layer, out, err);
}
