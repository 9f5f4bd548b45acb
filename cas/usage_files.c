/* Taking stock: what is on the disk. */
#include "cas/usage_priv.h"

#include "base/alloc.h"
#include "base/pool.h"
#include "cas/lease.h"
#include "cas/store_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- Trees, measured on all processors --- */

struct usage_tree {
    enum cas_usage_kind kind; /* what it counts for */
    char *path;
    size_t file; /* of an unpacked layer; else SIZE_MAX */
    size_t item; /* or SIZE_MAX */
    uint64_t size;
};

struct measuring {
    struct usage_reader *reader;
    atomic_size_t next;
};

static void measure_some(void *arg)
{
    struct measuring *m = arg;
    struct usage_reader *r = m->reader;

    for (;;) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;
        const size_t i = atomic_fetch_add(&m->next, 1);
        if (i >= r->tree_count)
            return;
        /* What cannot be measured counts nothing, as with du. */
        if (cas_disk_tree_size(r->store->fd, r->trees[i].path, r->links, &r->trees[i].size,
                               NULL, &ignored) < 0)
            r->trees[i].size = 0;
    }
}

static void measure_trees(struct usage_reader *r)
{
    struct measuring m = {.reader = r};
    CLEANUP(pool_freep) struct pool *pool = r->tree_count > 1 ? pool_new(0) : NULL;

    for (unsigned i = 0; pool && i < pool_threads(pool); i++)
        pool_submit(pool, measure_some, &m);
    if (!pool)
        measure_some(&m);
    pool_freep(&pool); /* waits */
    for (size_t i = 0; i < r->tree_count; i++) {
        struct usage_tree *t = &r->trees[i];
        if (t->file != SIZE_MAX)
            r->out->files[t->file].size = t->size;
        if (t->item != SIZE_MAX)
            r->out->items[t->item].size = r->out->items[t->item].unique = t->size;
        r->out->kinds[t->kind].size += t->size;
        free(t->path);
    }
    free(r->trees);
    r->trees = NULL;
    r->tree_count = 0;
}

/* `path` is consumed. */
static void add_tree(
    struct usage_reader *r, enum cas_usage_kind kind, char *path, size_t file, size_t item)
{
    r->trees = base_grow(r->trees, r->tree_count, &r->tree_capacity, sizeof *r->trees);
    r->trees[r->tree_count++] = (struct usage_tree){kind, path, file, item, 0};
}

/* --- Directories of the store --- */

typedef void name_fn(struct usage_reader *r,
                     const char *dir,
                     const char *name,
                     const struct stat *st);

static void dir_closep(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

static void add_size(struct usage_reader *r,
                     enum cas_usage_kind kind,
                     const struct stat *st)
{
    r->out->kinds[kind].size += cas_disk_size(st, r->links);
}

/* Calls `visit` for each name; the directory itself is the store's own. */
static int read_dir(struct usage_reader *r,
                    const char *path,
                    name_fn *visit,
                    struct error *err)
{
    const int fd = cas_disk_open(r->store->fd, path, O_DIRECTORY);
    CLEANUP(dir_closep) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    struct stat st;

    if (!dir)
        return errno == ENOENT || errno == ENOTDIR ? 0 : error_sys(err, "open %s", path);
    if (fstat(fd, &st) == 0)
        add_size(r, CAS_USAGE_META, &st);
    while ((e = readdir(dir))) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            visit(r, path, e->d_name, &st);
    }
    return 0;
}

static char *path_of(const char *dir, const char *name)
{
    return strcmp(dir, ".") == 0 ? base_strdup(name) : base_format("%s/%s", dir, name);
}

static void add_other(struct usage_reader *r,
                      const char *dir,
                      const char *name,
                      const struct stat *st)
{
    (void)st;
    r->out->kinds[CAS_USAGE_OTHER].count++;
    add_tree(r, CAS_USAGE_OTHER, path_of(dir, name), SIZE_MAX, SIZE_MAX);
}

/* --- Files under digests --- */

static bool parse_hex(const char *alg, const char *hex, struct digest *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(base_freep) char *text = base_format("%s:%s", alg, hex);

    return digest_parse(view_of(text), out, &ignored) == 0;
}

static size_t add_file(struct usage_reader *r, const struct cas_usage_file *file)
{
    struct cas_usage *u = r->out;

    u->files = base_grow(u->files, u->file_count, &r->file_capacity, sizeof *u->files);
    u->files[u->file_count] = *file;
    return u->file_count++;
}

static void add_digest_file(struct usage_reader *r,
                            enum cas_usage_file_class class,
                            const char *dir,
                            const char *name,
                            const struct stat *st)
{
    struct cas_usage_file file = {
        .class = class,
        .size = 0,
        .used = usage_ns(cas_lease_stamp(st)),
    };

    if (!S_ISREG(st->st_mode) || !parse_hex(strrchr(dir, '/') + 1, name, &file.digest)) {
        add_other(r, dir, name, st);
        return;
    }
    file.size = cas_disk_size(st, r->links);
    add_file(r, &file);
}

static void add_blob(struct usage_reader *r,
                     const char *dir,
                     const char *name,
                     const struct stat *st)
{
    add_digest_file(r, CAS_USAGE_BLOB, dir, name, st);
}

static void add_index(struct usage_reader *r,
                      const char *dir,
                      const char *name,
                      const struct stat *st)
{
    add_digest_file(r, CAS_USAGE_INDEX_FILE, dir, name, st);
}

static struct cas_usage_item *add_tree_item(struct usage_reader *r,
                                            enum cas_usage_kind kind,
                                            const char *dir,
                                            const char *name,
                                            const struct stat *st)
{
    struct cas_usage_item *item = usage_add_item(r, kind);

    item->created = usage_ns(st->st_mtim);
    item->used = usage_ns(cas_lease_stamp(st));
    usage_add_name(item, path_of(dir, name));
    return item;
}

/* "d-sha256-HEX-FORM", "c-sha256-HEX-FORM": see cas/layer_dir.h. */
static void add_unpacked(struct usage_reader *r,
                         const char *dir,
                         const char *name,
                         const struct stat *st)
{
    const size_t head = sizeof "d-sha256-" - 1;
    CLEANUP(base_freep) char *hex = NULL;
    struct cas_usage_file file = {.class = CAS_USAGE_UNPACKED};

    if (strlen(name) > head)
        hex = base_strndup(name + head, 64);
    if (!hex || !S_ISDIR(st->st_mode) || !parse_hex("sha256", hex, &file.digest)) {
        add_other(r, dir, name, st);
        return;
    }
    file.path = path_of(dir, name);
    file.used = usage_ns(cas_lease_stamp(st));
    struct cas_usage_item *item = add_tree_item(r, CAS_USAGE_LAYER, dir, name, st);
    item->id = file.digest;
    add_tree(r, CAS_USAGE_LAYER, base_strdup(file.path), add_file(r, &file),
             r->out->count - 1);
}

/* --- Trees of other kinds --- */

static void add_plain(struct usage_reader *r,
                      enum cas_usage_kind kind,
                      const char *dir,
                      const char *name,
                      const struct stat *st)
{
    add_tree_item(r, kind, dir, name, st);
    add_tree(r, kind, path_of(dir, name), SIZE_MAX, r->out->count - 1);
}

static void add_mount(struct usage_reader *r,
                      const char *dir,
                      const char *name,
                      const struct stat *st)
{
    if (S_ISDIR(st->st_mode))
        add_plain(r, CAS_USAGE_MOUNT, dir, name, st);
    else if (view_ends(view_of(name), ".lock"))
        add_size(r, CAS_USAGE_META, st);
    else
        add_other(r, dir, name, st);
}

/* A repository was used when one of its trees was. */
static int64_t latest_within(struct usage_reader *r, const char *path, int64_t latest)
{
    const int fd = cas_disk_open(r->store->fd, path, O_DIRECTORY);
    CLEANUP(dir_closep) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    struct stat st;

    while (dir && (e = readdir(dir))) {
        if (strcmp(e->d_name, "..") == 0 ||
            fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (usage_ns(cas_lease_stamp(&st)) > latest)
            latest = usage_ns(cas_lease_stamp(&st));
    }
    return latest;
}

static void add_source(struct usage_reader *r,
                       const char *dir,
                       const char *name,
                       const struct stat *st)
{
    if (!S_ISDIR(st->st_mode)) {
        add_size(r, CAS_USAGE_META, st);
        return;
    }
    add_plain(r, CAS_USAGE_SOURCE, dir, name, st);
    struct cas_usage_item *item = &r->out->items[r->out->count - 1];
    item->used = latest_within(r, item->names[0], item->used);
}

static void add_build(struct usage_reader *r,
                      const char *dir,
                      const char *name,
                      const struct stat *st)
{
    if (S_ISDIR(st->st_mode))
        add_plain(r, CAS_USAGE_BUILD, dir, name, st);
    else
        add_other(r, dir, name, st);
}

static void add_stat(struct usage_reader *r,
                     const char *dir,
                     const char *name,
                     const struct stat *st)
{
    if (S_ISREG(st->st_mode))
        add_plain(r, CAS_USAGE_STAT, dir, name, st);
    else
        add_other(r, dir, name, st);
}

static void add_ingest(struct usage_reader *r,
                       const char *dir,
                       const char *name,
                       const struct stat *st)
{
    (void)st;
    r->out->kinds[CAS_USAGE_INGEST].count++;
    add_tree(r, CAS_USAGE_INGEST, path_of(dir, name), SIZE_MAX, SIZE_MAX);
}

static void add_own(struct usage_reader *r,
                    const char *dir,
                    const char *name,
                    const struct stat *st)
{
    (void)dir;
    (void)name;
    add_size(r, CAS_USAGE_META, st);
}

/* --- The store --- */

static void ignore_dir(struct usage_reader *r,
                       const char *dir,
                       const char *name,
                       const struct stat *st)
{
    if (!S_ISDIR(st->st_mode))
        add_other(r, dir, name, st);
}

static const struct {
    const char *path;
    name_fn *visit;
} directories[] = {
    {"blobs", ignore_dir},    {"blobs/sha256", add_blob},  {"blobs/sha512", add_blob},
    {"index", ignore_dir},    {"index/sha256", add_index}, {"index/sha512", add_index},
    {"layers", add_unpacked}, {"mounts", add_mount},       {"git", add_source},
    {"builds", add_build},    {"stat", add_stat},          {"steps", add_stat},
    {"uploads", add_stat},    {"ingest", add_ingest},      {"leases", add_own},
    {"provenance", add_own},
};

static bool is_own_file(const char *name)
{
    static const char *const own[] = {"meta.db",       "meta.db-wal",    "meta.db-shm",
                                      "oci-layout",    "oci-layout.new", "index.json",
                                      "index.json.new"};

    for (size_t i = 0; i < ARRAY_COUNT(own); i++) {
        if (strcmp(name, own[i]) == 0)
            return true;
    }
    return false;
}

static void add_root(struct usage_reader *r,
                     const char *dir,
                     const char *name,
                     const struct stat *st)
{
    for (size_t i = 0; i < ARRAY_COUNT(directories); i++) {
        if (strcmp(name, directories[i].path) == 0 && S_ISDIR(st->st_mode))
            return;
    }
    if (is_own_file(name))
        add_size(r, CAS_USAGE_META, st);
    else
        add_other(r, dir, name, st);
}

static int compare_files(const void *a, const void *b)
{
    const struct cas_usage_file *x = a;
    const struct cas_usage_file *y = b;

    if (x->class != y->class)
        return x->class < y->class ? -1 : 1;
    return digest_compare(&x->digest, &y->digest);
}

int usage_read_disk(struct usage_reader *r, struct error *err)
{
    struct cas_usage *u = r->out;

    if (read_dir(r, ".", add_root, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_COUNT(directories); i++) {
        if (read_dir(r, directories[i].path, directories[i].visit, err) < 0)
            return -1;
    }
    measure_trees(r);
    if (u->file_count > 1)
        qsort(u->files, u->file_count, sizeof *u->files, compare_files);
    return 0;
}

size_t usage_find_file(const struct cas_usage *u,
                       enum cas_usage_file_class class,
                       const struct digest *digest)
{
    const struct cas_usage_file want = {.class = class, .digest = *digest};
    size_t low = 0;
    size_t high = u->file_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare_files(&u->files[middle], &want) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < u->file_count && compare_files(&u->files[low], &want) == 0 ? low
                                                                            : u->file_count;
}
