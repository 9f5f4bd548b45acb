/*
 * A cache as a directory: an OCI image layout. Blobs first, each by rename; index.json
 * last, replaced whole under a lock, with the entries of other tags kept. Spec: OCI
 * image-spec image-layout.md.
 */
#include "builder/cache/export_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/export/export.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define REF_NAME "org.opencontainers.image.ref.name"

/* A file of the right size is taken for the blob: it got its name when it was whole. */
static int copy_blob(const struct build_environment *env,
                     const char *dest,
                     const struct descriptor *blob,
                     struct error *err)
{
    CLEANUP(base_freep)
    char *path = base_format("%s/blobs/%s/%s", dest, digest_alg_name(blob->digest.alg),
                             digest_hex(&blob->digest).text);
    struct stat st;

    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == blob->size)
        return 0;
    return build_export_blob(env->store, dest, &blob->digest, err);
}

/* What is there already; what is no index is replaced. */
static struct doc *read_index(int dir)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);

    if (fs_read_file_at(dir, "index.json", &text, &ignored) < 0)
        return NULL;
    return doc_parse(buf_view(&text), &ignored);
}

static bool has_tag(const struct doc *entry, const char *tag)
{
    return view_eq_text(doc_view(doc_get(doc_get(entry, "annotations"), REF_NAME)), tag);
}

static struct doc *tagged(const struct descriptor *root, const char *tag)
{
    struct doc *d = descriptor_doc(root);
    struct doc *annotations = doc_new_object();

    doc_set_text(annotations, REF_NAME, tag);
    doc_set(d, "annotations", annotations);
    return d;
}

static int write_index(int dir,
                       const struct descriptor *root,
                       const char *tag,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(doc_unrefp) struct doc *old = read_index(dir);
    CLEANUP(doc_unrefp) struct doc *index = doc_new_object();
    const struct doc *others = doc_get(old, "manifests");
    struct doc *entries = doc_new_array();

    for (size_t i = 0; i < doc_count(others); i++)
        if (!has_tag(doc_at(others, i), tag))
            doc_append(entries, doc_copy(doc_at(others, i)));
    doc_append(entries, tagged(root, tag));
    doc_set_int(index, "schemaVersion", 2);
    doc_set_text(index, "mediaType", MEDIA_OCI_INDEX);
    doc_set(index, "manifests", entries);
    doc_write(index, DOC_WRITE_COMPACT, &text);
    if (buf_ok(&text, "index.json", err) < 0 ||
        fs_replace_file_at(dir, "oci-layout",
                           VIEW_LIT("{\"imageLayoutVersion\":\"1.0.0\"}"), 0644, err) < 0)
        return -1;
    return fs_replace_file_at(dir, "index.json", buf_view(&text), 0644, err);
}

int build_cache_write_local(const struct build_environment *env,
                            const struct build_cache_to *to,
                            const struct build_cache_files *files,
                            struct error *err)
{
    const struct descriptor *root =
        files->index.media_type ? &files->index : &files->manifest;
    CLEANUP(fd_closep) int dir = -1;

    if (fs_mkdir_all_at(AT_FDCWD, to->place, 0777, err) < 0)
        return -1;
    dir = fs_open_at(AT_FDCWD, to->place, O_RDONLY | O_DIRECTORY, 0, err);
    if (dir < 0)
        return -1;
    while (flock(dir, LOCK_EX) < 0)
        if (errno != EINTR)
            return error_sys(err, "lock %s", to->place);
    for (size_t i = 0; i < files->layer_count; i++)
        if (copy_blob(env, to->place, &files->layers[i], err) < 0)
            return -1;
    if (copy_blob(env, to->place, &files->config, err) < 0 ||
        copy_blob(env, to->place, root, err) < 0)
        return -1;
    return write_index(dir, root, to->tag ? to->tag : "latest", err);
}
