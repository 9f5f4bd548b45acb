/*
 * One pass over an archive's tar, which may come from a pipe: documents are kept in memory,
 * whatever may be a blob goes into the store. Which files are layers is known only at the
 * end, when manifest.json has come, so every *.tar and *.json goes there; what nothing
 * names is garbage, and collected as such.
 */
#include "registry/archive_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/codec.h"
#include "cas/tar_read.h"
#include "registry/meter.h"

#include <stdlib.h>
#include <string.h>

#define INPUT_SIZE ((size_t)256 << 10)
/* Files of an archive: blobs of a few images. */
#define FILES_MAX 65536
#define LINKS_MAX 8

/* What is being done with the entry at hand. */
enum file_kind { FILE_SKIPPED, FILE_DOCUMENT, FILE_BLOB };

struct scan_file {
    enum file_kind kind;
    char *path;
    uint64_t size;
    uint64_t done;
    struct buf text;                /* of a document */
    struct cas_blob_writer *writer; /* of a blob */
    struct digest want;             /* the digest its name gives; alg NONE: none */
};

void registry_archive_scan_release(struct registry_archive_scan *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->files[i].path);
        free(s->files[i].link);
    }
    free(s->files);
    doc_unref(s->index);
    doc_unref(s->manifest);
    *s = (struct registry_archive_scan){0};
}

static void scan_file_release(struct scan_file *f)
{
    free(f->path);
    f->path = NULL;
    buf_release(&f->text);
    cas_blob_writer_abortp(&f->writer);
}

/* "./a//b/../c" -> "a/c"; nothing leads above the root. Names are only ever compared. */
static char *clean_path(struct view path)
{
    CLEANUP(base_freep) char *rooted = path_clean_rooted(path);

    return base_strdup(rooted + 1);
}

static int add_file(struct registry_archive_scan *s,
                    struct registry_archive_file file,
                    struct error *err)
{
    if (s->count == FILES_MAX) {
        free(file.path);
        free(file.link);
        return error_set(err, ERROR_LIMIT, "the archive has more than %d files", FILES_MAX);
    }
    s->files = base_grow(s->files, s->count, &s->capacity, sizeof *s->files);
    s->files[s->count++] = file;
    return 0;
}

static const struct registry_archive_file *find_exact(const struct registry_archive_scan *s,
                                                      const char *path)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->files[i].path, path) == 0)
            return &s->files[i];
    }
    return NULL;
}

const struct registry_archive_file *registry_archive_find(
    const struct registry_archive_scan *s, const char *path)
{
    CLEANUP(base_freep) char *clean = clean_path(view_of(path));
    const struct registry_archive_file *file = find_exact(s, clean);

    for (int i = 0; file && file->link && i < LINKS_MAX; i++)
        file = find_exact(s, file->link);
    return file && !file->link ? file : NULL;
}

/* ---- Entries ---- */

/* blobs/ALG/HEX: the digest, or none. */
static struct digest digest_in_path(const char *path)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* then it is just a file */
    struct digest digest = {0};
    struct view rest = view_of(path), alg, hex;

    if (!view_starts(rest, "blobs/") ||
        !view_cut(view_sub(rest, 6, rest.size), '/', &alg, &hex))
        return digest;
    CLEANUP(base_freep) char *text = base_format("%.*s:%.*s", VIEW_ARG(alg), VIEW_ARG(hex));
    if (digest_parse(view_of(text), &digest, &ignored) < 0)
        return (struct digest){0};
    return digest;
}

static enum file_kind kind_of(const struct scan_file *f)
{
    const struct view path = view_of(f->path);

    if (strcmp(f->path, "index.json") == 0 || strcmp(f->path, "manifest.json") == 0)
        return FILE_DOCUMENT;
    if (digest_is_set(&f->want) || view_ends(path, ".tar") || view_ends(path, ".tar.gz"))
        return FILE_BLOB;
    return view_ends(path, ".json") && f->size <= LIMIT_CONFIG_SIZE ? FILE_BLOB
                                                                    : FILE_SKIPPED;
}

static int add_link(struct registry_archive_scan *s,
                    const struct tar_entry *e,
                    struct error *err)
{
    char *path = clean_path(e->path);
    char *target;

    if (e->type == TAR_HARDLINK) {
        target = clean_path(e->link);
    } else {
        CLEANUP(base_freep) char *joined = path_join(path_dir(view_of(path)), e->link);

        target = clean_path(view_of(joined));
    }
    return add_file(s, (struct registry_archive_file){.path = path, .link = target}, err);
}

static int begin_entry(struct registry_archive_scan *s,
                       struct scan_file *f,
                       const struct tar_entry *e,
                       struct error *err)
{
    scan_file_release(f);
    *f = (struct scan_file){.text = BUF_INIT(LIMIT_MANIFEST_SIZE)};
    if (e->type == TAR_SYMLINK || e->type == TAR_HARDLINK)
        return add_link(s, e, err);
    if (e->type != TAR_FILE)
        return 0;
    f->path = clean_path(e->path);
    f->size = e->size;
    f->want = digest_in_path(f->path);
    f->kind = kind_of(f);
    if (f->kind != FILE_BLOB)
        return 0;
    f->writer = cas_blob_writer_new(
        s->store, digest_is_set(&f->want) ? f->want.alg : DIGEST_SHA256, err);
    return f->writer ? 0 : -1;
}

static int take_data(struct scan_file *f,
                     struct view data,
                     uint64_t offset,
                     struct error *err)
{
    if (f->kind == FILE_SKIPPED)
        return 0;
    if (offset != f->done)
        return error_set(err, ERROR_UNSUPPORTED, "%s is a sparse file", f->path);
    f->done += data.size;
    if (f->kind == FILE_BLOB)
        return cas_blob_writer_write(f->writer, data.data, data.size, err);
    buf_append_view(&f->text, data);
    return buf_ok(&f->text, f->path, err);
}

static int end_blob(struct registry_archive_scan *s, struct scan_file *f, struct error *err)
{
    struct registry_archive_file file = {0};
    struct cas_blob_writer *w = f->writer;

    f->writer = NULL;
    if (cas_blob_writer_commit(w, digest_is_set(&f->want) ? &f->want : NULL, f->size,
                               &file.digest, &file.size, err) < 0)
        return error_wrap(err, "%s", f->path);
    file.path = f->path;
    f->path = NULL;
    return add_file(s, file, err);
}

static int end_document(struct registry_archive_scan *s,
                        struct scan_file *f,
                        struct error *err)
{
    struct doc **to = strcmp(f->path, "index.json") == 0 ? &s->index : &s->manifest;
    struct doc *d = doc_parse(buf_view(&f->text), err);

    if (!d)
        return error_wrap(err, "%s", f->path);
    doc_unref(*to);
    *to = d;
    return 0;
}

static int end_entry(struct registry_archive_scan *s,
                     struct scan_file *f,
                     struct error *err)
{
    if (!f->path || f->kind == FILE_SKIPPED)
        return 0;
    if (f->done != f->size)
        return error_set(err, ERROR_UNSUPPORTED, "%s is a sparse file", f->path);
    const int rc = f->kind == FILE_BLOB ? end_blob(s, f, err) : end_document(s, f, err);
    f->kind = FILE_SKIPPED;
    return rc;
}

/* ---- The pass ---- */

static int feed(struct tar_reader *tar,
                struct codec_reader *codec,
                char *block,
                struct error *err)
{
    size_t got;

    if (codec_reader_read(codec, block, INPUT_SIZE, &got, err) < 0)
        return -1;
    if (got > 0)
        tar_reader_feed(tar, (struct view){block, got});
    else
        tar_reader_end_input(tar);
    return 0;
}

static int on_event(struct registry_archive_scan *s,
                    struct scan_file *f,
                    struct tar_reader *tar,
                    enum tar_event event,
                    struct error *err)
{
    uint64_t offset;

    switch (event) {
    case TAR_ENTRY:
        if (end_entry(s, f, err) < 0)
            return -1;
        return begin_entry(s, f, tar_reader_entry(tar), err);
    case TAR_DATA: {
        const struct view data = tar_reader_data(tar, &offset);

        return take_data(f, data, offset, err);
    }
    case TAR_END:
        return end_entry(s, f, err);
    case TAR_MORE_INPUT:
        break;
    }
    return 0;
}

/* What stands behind the end mark is read as well: a pipe's writer wants to get rid of it,
 * and the compressed stream's check sum comes last. */
static int drain(struct codec_reader *codec, char *block, struct error *err)
{
    size_t got;

    do {
        if (codec_reader_read(codec, block, INPUT_SIZE, &got, err) < 0)
            return -1;
    } while (got > 0);
    return 0;
}

int registry_archive_scan_fd(struct registry_archive_scan *s,
                             int fd,
                             const struct registry_progress *progress,
                             struct error *err)
{
    CLEANUP(codec_reader_freep) struct codec_reader *codec = codec_reader_new_fd(fd);
    CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new();
    CLEANUP(base_freep) char *block = base_alloc(INPUT_SIZE);
    CLEANUP(scan_file_release) struct scan_file f = {.text = BUF_INIT(LIMIT_MANIFEST_SIZE)};
    enum tar_event event = TAR_MORE_INPUT;
    struct registry_meter meter = {.progress = progress, .name = "load"};

    while (event != TAR_END) {
        if (tar_reader_step(tar, &event, err) < 0)
            return -1;
        if (event == TAR_MORE_INPUT ? feed(tar, codec, block, err) < 0
                                    : on_event(s, &f, tar, event, err) < 0)
            return -1;
        registry_meter_set(&meter, codec_reader_consumed(codec));
    }
    return drain(codec, block, err);
}
