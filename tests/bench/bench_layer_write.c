/*
 * bench_layer_write STORE DIR [THREADS [gzip|zstd|none [LEVEL]]]
 *
 * Writes a layer of everything below DIR into the store and prints what it took.
 */
#include "base/alloc.h"
#include "base/fs.h"
#include "base/pool.h"
#include "cas/layer.h"
#include "cas/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

struct tree {
    int root;
    struct cas_entry *entries;
    size_t count;
    size_t capacity;
    uint64_t bytes;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool entry_type(mode_t mode, enum cas_entry_type *type)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        *type = CAS_ENTRY_FILE;
        return true;
    case S_IFDIR:
        *type = CAS_ENTRY_DIR;
        return true;
    case S_IFLNK:
        *type = CAS_ENTRY_SYMLINK;
        return true;
    default:
        return false;
    }
}

static void add(
    struct tree *t, int dir, const char *name, char *path, const struct stat *st)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct cas_entry e = {
        .path = view_of(path),
        .mode = st->st_mode & 07777,
        .mtime_s = st->st_mtim.tv_sec,
    };

    if (!entry_type(st->st_mode, &e.type)) {
        free(path);
        return;
    }
    if (e.type == CAS_ENTRY_FILE)
        e.size = (uint64_t)st->st_size;
    if (e.type == CAS_ENTRY_SYMLINK)
        e.target = view_of(fs_readlink_at(dir, name, &err));
    t->bytes += e.size;
    t->entries = base_grow(t->entries, t->count, &t->capacity, sizeof *t->entries);
    t->entries[t->count++] = e;
}

static void walk(struct tree *t, int fd, const char *prefix)
{
    DIR *dir = fdopendir(fd);
    const struct dirent *d;

    while (dir && (d = readdir(dir))) {
        struct stat st;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
            fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        char *path = base_format("%s%s%s", prefix, *prefix ? "/" : "", d->d_name);
        add(t, fd, d->d_name, path, &st);
        if (S_ISDIR(st.st_mode))
            walk(t, openat(fd, d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), path);
    }
    if (dir)
        closedir(dir);
}

static int compare(const void *a, const void *b)
{
    const struct cas_entry *x = a;
    const struct cas_entry *y = b;

    return cas_entry_path_compare(x->path, y->path);
}

static int open_file(void *context, size_t i, struct cas_content *out, struct error *err)
{
    const struct tree *t = context;
    const char *path = t->entries[i].path.data;

    out->fd = openat(t->root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return out->fd < 0 ? error_sys(err, "open %s", path) : 0;
}

static void report(const struct tree *t, struct cas_layer *l, double seconds)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    printf("%zu entries, %.1f MB -> %.1f MB, %s, %s\n", t->count, (double)t->bytes / 1e6,
           (double)cas_layer_blob(l)->size / 1e6,
           digest_format(&cas_layer_blob(l)->digest).text,
           digest_format(cas_layer_diff_id(l)).text);
    printf("%.6f s, user %ld.%06ld s, system %ld.%06ld s, peak %ld KiB\n", seconds,
           (long)use.ru_utime.tv_sec, (long)use.ru_utime.tv_usec, (long)use.ru_stime.tv_sec,
           (long)use.ru_stime.tv_usec, use.ru_maxrss);
}

static enum cas_compression compression_of(const char *name)
{
    if (strcmp(name, "zstd") == 0)
        return CAS_COMPRESSION_ZSTD;
    return strcmp(name, "none") == 0 ? CAS_COMPRESSION_NONE : CAS_COMPRESSION_GZIP;
}

int main(int argc, char **argv)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (argc < 3) {
        fprintf(stderr,
                "usage: bench_layer_write STORE DIR [THREADS [gzip|zstd|none [LEVEL]]]\n");
        return 2;
    }
    const unsigned threads = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    struct tree t = {.root = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    walk(&t, open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC), "");
    qsort(t.entries, t.count, sizeof *t.entries, compare);

    CLEANUP(cas_store_closep)
    struct cas_store *s = cas_store_open(argv[1], CAS_STORE_OPEN_DEFAULT, &err);
    CLEANUP(pool_freep) struct pool *pool = pool_new(threads);
    CLEANUP(cas_layer_unrefp) struct cas_layer *l = NULL;
    if (s) {
        const double begin = now();
        l = cas_layer_write(s, t.entries, t.count, open_file, &t,
                            &(struct cas_layer_options){
                                .compression = compression_of(argc > 4 ? argv[4] : "gzip"),
                                .level = argc > 5 ? (int)strtol(argv[5], NULL, 10) : 0,
                                .epoch = -1,
                                .pool = threads == 1 ? NULL : pool,
                            },
                            &err);
        if (l)
            report(&t, l, now() - begin);
    }
    if (!l) {
        fprintf(stderr, "bench_layer_write: %s\n", error_text(&err));
        return 1;
    }
    return 0;
}
