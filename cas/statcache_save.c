#include "base/alloc.h"
#include "base/fs.h"
#include "cas/entry.h"
#include "cas/ingest.h"
#include "cas/statcache_priv.h"

#include <stdlib.h>

/* Builds of other targets of the same context may come back to what this one did not need.
 */
#define AGE_MAX    64u
#define WRITE_SIZE ((size_t)256 << 10)

/* One record of the new file, from either source. */
struct merged {
    const struct statcache_record *record;
    struct view path;
    uint16_t age;
};

struct merge {
    struct merged *items;
    size_t count;
    size_t capacity;
    uint64_t paths_size;
};

static void merge_add(struct merge *m,
                      const struct statcache_record *r,
                      struct view path,
                      uint16_t age)
{
    /* Paths are addressed with 32 bits; what does not fit is not remembered. */
    if (m->paths_size + path.size > UINT32_MAX || m->count >= STATCACHE_COUNT_MAX)
        return;
    m->items = base_grow(m->items, m->count, &m->capacity, sizeof *m->items);
    m->items[m->count++] = (struct merged){r, path, age};
    m->paths_size += path.size;
}

static struct view fresh_path(const struct statcache_fresh *f)
{
    return (struct view){f->path, f->record.path_size};
}

static bool same_path(const struct statcache_fresh *a, const struct statcache_fresh *b)
{
    return view_eq(fresh_path(a), fresh_path(b));
}

/* By path, and of equal paths in the order of putting. */
static int compare_fresh(const void *left, const void *right)
{
    const struct statcache_fresh *a = left;
    const struct statcache_fresh *b = right;
    const int order = cas_entry_path_compare(fresh_path(a), fresh_path(b));

    return order != 0 ? order : (a->serial > b->serial) - (a->serial < b->serial);
}

static bool was_scanned(const struct cas_statcache *c, struct view path)
{
    for (size_t i = 0; i < c->scanned_count; i++) {
        if (*c->scanned[i] == '\0' || path_has_prefix(path, view_of(c->scanned[i])))
            return true;
    }
    return false;
}

static void merge_old(struct merge *m, const struct cas_statcache *c, size_t i)
{
    const struct statcache_record *r = &c->records[i];
    const struct view path = statcache_record_path(c, i);

    if (__atomic_load_n(&c->seen[i], __ATOMIC_RELAXED))
        merge_add(m, r, path, 0);
    else if (r->age < AGE_MAX && !was_scanned(c, path))
        merge_add(m, r, path, (uint16_t)(r->age + 1));
}

/* The first undamaged record from `i` on: those are in order, whatever is between them. */
static size_t next_whole(const struct cas_statcache *c, size_t i)
{
    while (i < c->count &&
           !statcache_record_is_whole(&c->records[i], statcache_record_path(c, i)))
        i++;
    return i;
}

/* Both sides are sorted; of equal paths the fresh one counts, of fresh ones the last. */
static void merge_all(struct merge *m, struct cas_statcache *c)
{
    size_t old = next_whole(c, 0);

    qsort(c->fresh, c->fresh_count, sizeof *c->fresh, compare_fresh);
    for (size_t i = 0; i < c->fresh_count; i++) {
        const struct statcache_fresh *f = &c->fresh[i];
        int order = 1;
        if (i + 1 < c->fresh_count && same_path(f, f + 1))
            continue;
        while (old < c->count && (order = cas_entry_path_compare(
                                      statcache_record_path(c, old), fresh_path(f))) < 0) {
            merge_old(m, c, old);
            old = next_whole(c, old + 1);
        }
        merge_add(m, &f->record, fresh_path(f), 0);
        if (old < c->count && order == 0)
            old = next_whole(c, old + 1);
    }
    for (; old < c->count; old = next_whole(c, old + 1))
        merge_old(m, c, old);
}

/* Gathers small writes. */
struct sink {
    struct cas_ingest *ingest;
    struct buf buffer;
};

static int sink_flush(struct sink *k, struct error *err)
{
    if (k->buffer.size > 0 &&
        cas_ingest_write(k->ingest, k->buffer.data, k->buffer.size, err) < 0)
        return -1;
    buf_clear(&k->buffer);
    return 0;
}

static int sink_write(struct sink *k, const void *data, size_t size, struct error *err)
{
    if (k->buffer.size + size > k->buffer.max && sink_flush(k, err) < 0)
        return -1;
    buf_append(&k->buffer, data, size);
    return 0;
}

static int write_records(struct sink *k, const struct merge *m, struct error *err)
{
    uint32_t offset = 0;

    for (size_t i = 0; i < m->count; i++) {
        struct statcache_record r = *m->items[i].record;
        r.path_offset = offset;
        r.age = m->items[i].age;
        offset += r.path_size;
        if (sink_write(k, &r, sizeof r, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < m->count; i++) {
        if (sink_write(k, m->items[i].path.data, m->items[i].path.size, err) < 0)
            return -1;
    }
    return sink_flush(k, err);
}

static int write_file(struct cas_statcache *c, const struct merge *m, struct error *err)
{
    CLEANUP(cas_ingest_abortp) struct cas_ingest *g = cas_ingest_new(c->store, err);
    struct statcache_header h = {
        .magic = STATCACHE_MAGIC, .count = m->count, .paths_size = m->paths_size};

    if (!g)
        return -1;
    struct sink k = {.ingest = g, .buffer = BUF_INIT(WRITE_SIZE)};
    h.check = statcache_header_check(&h);
    int result = sink_write(&k, &h, sizeof h, err);
    if (result == 0)
        result = write_records(&k, m, err);
    buf_release(&k.buffer);
    if (result < 0)
        return -1;
    struct cas_ingest *whole = g;
    g = NULL;
    return cas_ingest_publish_unsynced(whole, c->path, err);
}

int cas_statcache_save(struct cas_statcache *c, struct error *err)
{
    struct merge m = {0};

    if (c->fresh_count == 0)
        return 0;
    merge_all(&m, c);
    const int result = write_file(c, &m, err);
    free(m.items);
    return result < 0 ? error_wrap(err, "save the stat cache") : 0;
}
