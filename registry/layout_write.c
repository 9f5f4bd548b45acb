/*
 * Writing a layout. A blob lies in blobs/ under a name of ours until it is verified and
 * flushed; then it is renamed, so that who reads the layout sees whole blobs only.
 */
#include "registry/layout_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define VERSION_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"
#define EMPTY_INDEX                                                                        \
    "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[]}"
#define BLOCK_SIZE ((size_t)256 << 10)

struct registry_layout_writer {
    char *path;
    int fd;
    atomic_uint files; /* made so far: each has a name of its own */
};

/* ---- Opening ---- */

static int is_empty(int fd, bool *empty, struct error *err)
{
    const int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;

    if (!dir)
        return error_sys(err, "list the directory");
    *empty = true;
    while ((entry = readdir(dir)) != NULL)
        *empty =
            *empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    closedir(dir);
    return 0;
}

/* The version comes last: a directory that has it has the rest. */
static int initialize(int fd, struct error *err)
{
    if (fs_mkdir_all_at(fd, "blobs/sha256", 0755, err) < 0 ||
        fs_replace_file_at(fd, "index.json", VIEW_LIT(EMPTY_INDEX), 0644, err) < 0)
        return -1;
    return fs_replace_file_at(fd, "oci-layout", VIEW_LIT(VERSION_TEXT), 0644, err);
}

static int lock(int fd, struct error *err)
{
    while (flock(fd, LOCK_EX) < 0) {
        if (errno != EINTR)
            return error_sys(err, "lock the directory");
    }
    return 0;
}

static int prepare_locked(int fd, struct error *err)
{
    bool empty;

    if (is_empty(fd, &empty, err) < 0)
        return -1;
    if (empty)
        return initialize(fd, err);
    if (faccessat(fd, "oci-layout", F_OK, 0) < 0)
        return error_set(err, ERROR_INVALID,
                         "the directory is not empty, and no OCI layout");
    return registry_layout_check_version(fd, err);
}

static int prepare(int fd, struct error *err)
{
    if (lock(fd, err) < 0)
        return -1;
    const int rc = prepare_locked(fd, err);
    (void)flock(fd, LOCK_UN);
    return rc;
}

struct registry_layout_writer *registry_layout_writer_open(const char *path,
                                                           struct error *err)
{
    CLEANUP(fd_closep) int fd = -1;

    if (fs_mkdir_all_at(AT_FDCWD, path, 0755, err) == 0)
        fd = fs_open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, err);
    if (fd < 0 || prepare(fd, err) < 0) {
        (void)error_wrap(err, "OCI layout %s", path);
        return NULL;
    }
    struct registry_layout_writer *w = base_alloc(sizeof *w);
    w->path = base_strdup(path);
    w->fd = fd_take(&fd);
    return w;
}

void registry_layout_writer_close(struct registry_layout_writer *w)
{
    if (!w)
        return;
    fd_closep(&w->fd);
    free(w->path);
    free(w);
}

/* ---- Blobs ---- */

static char *blob_path(const struct digest *digest)
{
    return base_format("blobs/%s/%s", digest_alg_name(digest->alg),
                       digest_hex(digest).text);
}

int registry_layout_writer_has(struct registry_layout_writer *w,
                               const struct descriptor *blob,
                               bool *found,
                               struct error *err)
{
    CLEANUP(base_freep) char *path = blob_path(&blob->digest);
    struct stat st;

    *found = false;
    if (fstatat(w->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        *found = S_ISREG(st.st_mode) && (uint64_t)st.st_size == blob->size;
        return 0;
    }
    return errno == ENOENT ? 0 : error_sys(err, "OCI layout %s: %s", w->path, path);
}

int registry_layout_writer_create(struct registry_layout_writer *w,
                                  char **name,
                                  struct error *err)
{
    CLEANUP(base_freep)
    char *path =
        base_format("blobs/.tmp-%d-%u", (int)getpid(), atomic_fetch_add(&w->files, 1));
    CLEANUP(fd_closep)
    int fd = fs_open_nofollow(w->fd, path, O_RDWR | O_CREAT | O_TRUNC, 0644, err);

    if (fd < 0)
        return error_wrap(err, "OCI layout %s", w->path);
    *name = base_strdup(path);
    return fd_take(&fd);
}

static int verify(int fd, const struct descriptor *blob, struct error *err)
{
    CLEANUP(hasher_freep) struct hasher *hasher = hasher_new(blob->digest.alg);
    CLEANUP(base_freep) char *block = base_alloc(BLOCK_SIZE);
    struct digest got;
    uint64_t total = 0;
    ssize_t n;

    do {
        n = pread(fd, block, BLOCK_SIZE, (off_t)total);
        if (n < 0 && errno != EINTR)
            return error_sys(err, "read");
        if (n > 0) {
            hasher_update(hasher, block, (size_t)n);
            total += (uint64_t)n;
        }
    } while (n != 0);
    hasher_final(hasher, &got);
    if (total == blob->size && digest_eq(&got, &blob->digest))
        return 0;
    return error_set(err, ERROR_CORRUPT, "it has %" PRIu64 " bytes and is %s", total,
                     digest_format(&got).text);
}

static int publish(const struct registry_layout_writer *w,
                   int fd,
                   const char *name,
                   const struct descriptor *blob,
                   struct error *err)
{
    CLEANUP(base_freep) char *path = blob_path(&blob->digest);
    CLEANUP(base_freep) char *dir = view_dup(path_dir(view_of(path)));

    if (verify(fd, blob, err) < 0 || fs_sync(fd, "blob", err) < 0 ||
        fs_mkdir_all_at(w->fd, dir, 0755, err) < 0)
        return -1;
    if (renameat(w->fd, name, w->fd, path) < 0)
        return error_sys(err, "rename %s", name);
    return 0;
}

int registry_layout_writer_publish(struct registry_layout_writer *w,
                                   int fd,
                                   const char *name,
                                   const struct descriptor *blob,
                                   struct error *err)
{
    if (publish(w, fd, name, blob, err) == 0)
        return 0;
    return error_wrap(err, "OCI layout %s: blob %s", w->path,
                      digest_format(&blob->digest).text);
}

void registry_layout_writer_discard(struct registry_layout_writer *w, const char *name)
{
    (void)unlinkat(w->fd, name, 0);
}

/* ---- index.json ---- */

/* Is this the entry that the new one takes the place of? */
static bool is_replaced(const struct doc *entry, const char *digest, const char *tag)
{
    const char *name =
        doc_text(doc_get(doc_get(entry, "annotations"), REGISTRY_LAYOUT_REF_NAME));
    const char *other = doc_text(doc_get(entry, "digest"));

    if (tag)
        return name && strcmp(name, tag) == 0;
    return !name && other && strcmp(other, digest) == 0;
}

static struct doc *entry_doc(const struct descriptor *root, const char *tag)
{
    struct doc *entry = descriptor_doc(root);
    const struct doc *old = doc_get(entry, "annotations");
    struct doc *annotations = old ? doc_copy(old) : doc_new_object();

    if (tag)
        doc_set_text(annotations, REGISTRY_LAYOUT_REF_NAME, tag);
    else
        doc_remove(annotations, REGISTRY_LAYOUT_REF_NAME);
    if (doc_count(annotations) > 0)
        doc_set(entry, "annotations", annotations);
    else
        doc_unref(annotations);
    return entry;
}

static int list_locked(const struct registry_layout_writer *w,
                       const struct descriptor *root,
                       const char *tag,
                       struct error *err)
{
    CLEANUP(doc_unrefp)
    struct doc *old = registry_layout_read_json(w->fd, "index.json", err);
    CLEANUP(doc_unrefp) struct doc *index = old ? doc_copy(old) : NULL;
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    const struct doc *entries = doc_get(old, "manifests");

    if (!index)
        return -1;
    struct doc *list = doc_new_array();
    for (size_t i = 0; i < doc_count(entries); i++) {
        const struct doc *entry = doc_at(entries, i);

        if (!is_replaced(entry, digest_format(&root->digest).text, tag))
            doc_append(list, doc_copy(entry));
    }
    doc_append(list, entry_doc(root, tag));
    doc_set(index, "manifests", list);
    doc_write(index, DOC_WRITE_COMPACT, &text);
    if (buf_ok(&text, "index.json", err) < 0)
        return -1;
    return fs_replace_file_at(w->fd, "index.json", buf_view(&text), 0644, err);
}

int registry_layout_writer_list(struct registry_layout_writer *w,
                                const struct descriptor *root,
                                const char *tag,
                                struct error *err)
{
    int rc = lock(w->fd, err);

    if (rc == 0) {
        rc = list_locked(w, root, tag, err);
        (void)flock(w->fd, LOCK_UN);
    }
    return rc < 0 ? error_wrap(err, "OCI layout %s", w->path) : 0;
}
