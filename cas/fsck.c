#include "cas/fsck_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/pool.h"
#include "cas/store_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

const char *cas_fsck_kind_name(enum cas_fsck_kind kind)
{
    static const char *const names[CAS_FSCK_KINDS] = {
        [CAS_FSCK_DATABASE] = "database",
        [CAS_FSCK_BLOB] = "blob",
        [CAS_FSCK_REF] = "image",
        [CAS_FSCK_INDEX_JSON] = "index.json",
        [CAS_FSCK_LAYER_RECORD] = "layer record",
        [CAS_FSCK_CACHE_RECORD] = "cache record",
        [CAS_FSCK_INDEX] = "layer index",
        [CAS_FSCK_UNPACKED] = "unpacked layer",
        [CAS_FSCK_LEFTOVER] = "leftover",
        [CAS_FSCK_UNKNOWN] = "unknown file",
    };

    return names[kind];
}

void cas_fsck_report_release(struct cas_fsck_report *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->problems[i].what);
        free(r->problems[i].why);
        free(r->problems[i].advice);
    }
    free(r->problems);
    *r = (struct cas_fsck_report){0};
}

/* --- Reporting --- */

void fsck_count(struct fsck *f, enum cas_fsck_kind kind, uint64_t bytes)
{
    pthread_mutex_lock(&f->lock);
    f->report->checked[kind]++;
    f->report->bytes += bytes;
    pthread_mutex_unlock(&f->lock);
}

static void add(struct fsck *f, const struct cas_fsck_problem *p)
{
    struct cas_fsck_report *r = f->report;

    pthread_mutex_lock(&f->lock);
    r->problems = base_grow(r->problems, r->count, &f->capacity, sizeof *p);
    r->problems[r->count++] = *p;
    pthread_mutex_unlock(&f->lock);
}

void fsck_report(struct fsck *f,
                 enum cas_fsck_kind kind,
                 const char *what,
                 char *why,
                 const char *advice,
                 bool repaired)
{
    const struct cas_fsck_problem p = {.kind = kind,
                                       .what = base_strdup(what),
                                       .why = why,
                                       .advice = base_strdup(advice),
                                       .repaired = repaired};

    add(f, &p);
}

void fsck_note(struct fsck *f, enum cas_fsck_kind kind, const char *what, char *why)
{
    const struct cas_fsck_problem p = {
        .kind = kind, .what = base_strdup(what), .why = why, .harmless = true};

    add(f, &p);
}

bool fsck_is_stopped(struct fsck *f)
{
    if (f->options->stop && f->options->stop(f->options->stop_context))
        atomic_store(&f->stopped, true);
    return atomic_load(&f->stopped);
}

/* --- Names --- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int fsck_names_read(struct fsck *f,
                    const char *dir_path,
                    struct fsck_names *out,
                    struct error *err)
{
    const int fd =
        openat(f->store->fd, dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    *out = (struct fsck_names){0};
    if (!dir)
        return errno == ENOENT || errno == ENOTDIR ? 0
                                                   : error_sys(err, "open %s", dir_path);
    while ((e = readdir(dir))) {
        if (e->d_name[0] == '.')
            continue;
        out->items = base_grow(out->items, out->count, &out->capacity, sizeof(char *));
        out->items[out->count++] = base_strdup(e->d_name);
    }
    closedir(dir);
    if (out->count > 1)
        qsort(out->items, out->count, sizeof(char *), compare_names);
    return 0;
}

void fsck_names_release(struct fsck_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i]);
    free(n->items);
    *n = (struct fsck_names){0};
}

/* --- On all processors --- */

struct each {
    struct fsck *fsck;
    fsck_check_fn *check;
    const void *context;
    size_t count;
    atomic_size_t next;
};

static void each_run(void *arg)
{
    struct each *e = arg;
    struct fsck *f = e->fsck;

    for (;;) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        const size_t i = atomic_fetch_add(&e->next, 1);
        if (i >= e->count || fsck_is_stopped(f))
            return;
        if (e->check(f, e->context, i, &err) == 0)
            continue;
        pthread_mutex_lock(&f->lock);
        if (f->failure.code == ERROR_NONE)
            error_move(&f->failure, &err);
        pthread_mutex_unlock(&f->lock);
        atomic_store(&f->stopped, true);
    }
}

int fsck_each(struct fsck *f,
              size_t count,
              fsck_check_fn *check,
              const void *context,
              struct error *err)
{
    struct each e = {f, check, context, count, 0};
    struct pool *pool = pool_new(0);

    for (unsigned i = 0; i < pool_threads(pool); i++)
        pool_submit(pool, each_run, &e);
    pool_free(pool); /* waits */
    return f->failure.code == ERROR_NONE ? 0 : error_move(err, &f->failure);
}

/* --- All of it --- */

static int compare_problems(const void *a, const void *b)
{
    const struct cas_fsck_problem *x = a;
    const struct cas_fsck_problem *y = b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return strcmp(x->what, y->what);
}

static void conclude(struct cas_fsck_report *r)
{
    if (r->count > 1)
        qsort(r->problems, r->count, sizeof *r->problems, compare_problems);
    r->whole = true;
    for (size_t i = 0; i < r->count; i++)
        r->whole = r->whole && (r->problems[i].repaired || r->problems[i].harmless);
}

/* Blobs come first: who needs one asks which are damaged. Layers come after indexes. */
static int check_all(struct fsck *f, struct error *err)
{
    static int (*const parts[])(struct fsck * f, struct error * err) = {
        fsck_database, fsck_blobs,  fsck_records, fsck_refs,
        fsck_indexes,  fsck_layers, fsck_unknown,
    };

    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        if (parts[i](f, err) < 0)
            return -1;
        if (fsck_is_stopped(f))
            return error_set(err, ERROR_CANCELLED, "interrupted");
    }
    return 0;
}

int cas_fsck_run(struct cas_store *s,
                 const struct cas_fsck_options *options,
                 struct cas_fsck_report *out,
                 struct error *err)
{
    struct fsck f = {.store = s, .options = options, .report = out};

    *out = (struct cas_fsck_report){0};
    if (options->repair && s->read_only)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the store %s is on a read-only file system: it can be checked, "
                         "not repaired",
                         s->path);
    pthread_mutex_init(&f.lock, NULL);
    const int result = check_all(&f, err);
    pthread_mutex_destroy(&f.lock);
    digest_set_release(&f.bad);
    error_clear(&f.failure);
    if (result < 0) {
        cas_fsck_report_release(out);
        return error_wrap(err, "check %s", s->path);
    }
    conclude(out);
    return 0;
}
