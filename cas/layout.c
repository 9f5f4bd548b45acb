#include "cas/layout.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OCI_LAYOUT          "{\"imageLayoutVersion\":\"1.0.0\"}"
#define OCI_LAYOUT_SIZE_MAX ((size_t)4096)
#define REF_NAME            "org.opencontainers.image.ref.name"
#define GENERATION          "cooper.store.generation"

/* What index.json begins with; the generation's digits and a quote follow. */
static const char index_head[] = "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX
                                 "\",\"annotations\":{\"" GENERATION "\":\"";

/* Layers and mounts hold whatever images bring, setuid programs too: like the store itself
 * they are for its owner alone. */
static const char *const directories[] = {
    "leases", "blobs",  "blobs/sha256", "ingest", "layers",
    "index",  "mounts", "stat",         "builds",
};

int cas_layout_make_dirs(int store_fd, struct error *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(directories); i++) {
        if (mkdirat(store_fd, directories[i], 0700) < 0 && errno != EEXIST)
            return error_sys(err, "make directory %s", directories[i]);
    }
    return 0;
}

static int write_synced(int store_fd, const char *name, struct view data, struct error *err)
{
    const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW;
    CLEANUP(fd_closep) int fd = fs_open_at(store_fd, name, flags, 0644, err);

    if (fd < 0 || fs_write_all(fd, data.data, data.size, err) < 0 ||
        fs_sync(fd, name, err) < 0)
        return -1;
    return 0;
}

/* As fs_replace_file_at, but `temporary` is a fixed name, so that a killed process leaves
 * at most one file, which the next one overwrites. The caller keeps other writers out. A
 * power failure may bring the old file back, whole. */
static int replace_file(int store_fd,
                        const char *temporary,
                        const char *name,
                        struct view data,
                        struct error *err)
{
    if (write_synced(store_fd, temporary, data, err) < 0) {
        unlinkat(store_fd, temporary, 0);
        return error_wrap(err, "write %s", name);
    }
    if (renameat(store_fd, temporary, store_fd, name) < 0) {
        error_sys(err, "rename to %s", name);
        unlinkat(store_fd, temporary, 0);
        return -1;
    }
    return 0;
}

int cas_layout_seal(int store_fd, struct error *err)
{
    return replace_file(store_fd, "oci-layout.new", "oci-layout", VIEW_LIT(OCI_LAYOUT),
                        err);
}

int cas_layout_is_sealed(int store_fd, bool *sealed, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(OCI_LAYOUT_SIZE_MAX);

    *sealed = faccessat(store_fd, "oci-layout", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*sealed)
        return errno == ENOENT ? 0 : error_sys(err, "look for oci-layout");
    if (fs_read_file_at(store_fd, "oci-layout", &text, err) < 0)
        return -1;
    if (view_eq_text(view_trim(buf_view(&text)), OCI_LAYOUT))
        return 0;
    return error_set(err, ERROR_UNSUPPORTED,
                     "oci-layout is not of version 1.0.0 as cooper writes it");
}

/* --- index.json --- */

static ssize_t read_head(int fd, char *head, size_t size)
{
    ssize_t got;

    do
        got = pread(fd, head, size, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

int cas_layout_generation(int store_fd, int64_t *generation, struct error *err)
{
    CLEANUP(fd_closep)
    int fd = openat(store_fd, "index.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char head[sizeof index_head + 32];
    struct view digits;
    struct view rest;
    uint64_t value;

    *generation = -1;
    if (fd < 0)
        return errno == ENOENT ? 0 : error_sys(err, "open index.json");
    const ssize_t got = read_head(fd, head, sizeof head);
    if (got < 0)
        return error_sys(err, "read index.json");
    const struct view text = {head, (size_t)got};
    if (view_starts(text, index_head) &&
        view_cut(view_sub(text, sizeof index_head - 1, text.size), '"', &digits, &rest) &&
        view_to_u64(digits, &value) && value <= INT64_MAX)
        *generation = (int64_t)value;
    return 0;
}

static struct doc *ref_entry(const struct cas_ref *r)
{
    CLEANUP(descriptor_release) struct descriptor d;

    descriptor_copy(&d, &r->target);
    if (!d.annotations)
        d.annotations = doc_new_object();
    doc_set_text(d.annotations, REF_NAME, r->name);
    return descriptor_doc(&d);
}

int cas_layout_write_index(int store_fd,
                           int64_t generation,
                           const struct cas_ref_list *refs,
                           struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *index = doc_new_object();
    CLEANUP(buf_release) struct buf text = BUF_INIT(SIZE_MAX / 2);
    struct doc *annotations = doc_new_object();
    struct doc *manifests = doc_new_array();
    char digits[24];

    snprintf(digits, sizeof digits, "%jd", (intmax_t)generation);
    doc_set_int(index, "schemaVersion", 2);
    doc_set_text(index, "mediaType", MEDIA_OCI_INDEX);
    doc_set_text(annotations, GENERATION, digits);
    doc_set(index, "annotations", annotations);
    for (size_t i = 0; i < refs->count; i++)
        doc_append(manifests, ref_entry(&refs->items[i]));
    doc_set(index, "manifests", manifests);
    doc_write(index, DOC_WRITE_COMPACT, &text);
    if (buf_ok(&text, "index.json", err) < 0)
        return -1;
    return replace_file(store_fd, "index.json.new", "index.json", buf_view(&text), err);
}

/* The annotation that we added is taken out again, so that a ref survives the round trip.
 */
static int parse_entry(const struct doc *entry,
                       struct cas_ref_list *out,
                       size_t *capacity,
                       struct error *err)
{
    const char *name = doc_text(doc_get(doc_get(entry, "annotations"), REF_NAME));
    struct cas_ref r = {0};

    if (!name)
        return 0;
    if (descriptor_parse(entry, &r.target, err) < 0)
        return -1;
    r.name = base_strdup(name);
    doc_remove(r.target.annotations, REF_NAME);
    if (doc_count(r.target.annotations) == 0) {
        doc_unref(r.target.annotations);
        r.target.annotations = NULL;
    }
    out->items = base_grow(out->items, out->count, capacity, sizeof *out->items);
    out->items[out->count++] = r;
    return 0;
}

int cas_layout_read_index(int store_fd, struct cas_ref_list *out, struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list list = {0};
    CLEANUP(buf_release) struct buf text = BUF_INIT(SIZE_MAX / 2);
    size_t capacity = 0;

    if (fs_read_file_at(store_fd, "index.json", &text, err) < 0)
        return -1;
    CLEANUP(doc_unrefp) struct doc *index = doc_parse(buf_view(&text), err);
    if (!index)
        return error_wrap(err, "index.json");
    const struct doc *manifests = doc_get(index, "manifests");
    for (size_t i = 0; i < doc_count(manifests); i++) {
        if (parse_entry(doc_at(manifests, i), &list, &capacity, err) < 0)
            return error_wrap(err, "index.json");
    }
    *out = list;
    list = (struct cas_ref_list){0};
    return 0;
}
