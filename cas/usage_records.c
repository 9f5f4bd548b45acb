/* Taking stock: what the records of meta.db name. */
#include "cas/usage_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "cas/store_priv.h"

#include <stdlib.h>
#include <string.h>

static const char sql_cache[] = "SELECT key, value, time FROM cache ORDER BY key";
static const char sql_layers[] = "SELECT diff_id, blob FROM layer ORDER BY diff_id";

/* A row of the cache. What one step gave stands under several keys: rows that name the keys
 * of others are one record, found by following `parent`. */
struct row {
    struct digest key;
    int64_t time;
    size_t names; /* the first of its names */
    size_t name_count;
    size_t parent; /* itself: it stands for the record */
    size_t item;
};

struct layer_row {
    struct digest diff_id;
    struct digest blob;
};

struct records {
    struct row *rows; /* by key */
    size_t count;
    size_t capacity;
    struct digest *names; /* of all rows */
    size_t name_count;
    size_t name_capacity;
    struct layer_row *layers; /* by diffID */
    size_t layer_count;
    size_t layer_capacity;
};

static void records_release(struct records *x)
{
    free(x->rows);
    free(x->names);
    free(x->layers);
}

/* --- Reading --- */

static void add_names(struct records *x, const struct doc *d)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    const struct doc *value;
    struct digest named;

    if (doc_type(d) == DOC_TEXT && digest_parse(doc_view(d), &named, &ignored) == 0) {
        x->names = base_grow(x->names, x->name_count, &x->name_capacity, sizeof named);
        x->names[x->name_count++] = named;
    } else if (doc_type(d) == DOC_ARRAY) {
        for (size_t i = 0; i < doc_count(d); i++)
            add_names(x, doc_at(d, i));
    } else if (doc_type(d) == DOC_OBJECT) {
        for (const char *key = NULL; doc_next(d, &key, &value);)
            add_names(x, value);
    }
}

static int read_row(struct records *x, struct cas_stmt *q, struct error *err)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(doc_unrefp) struct doc *value = doc_parse(cas_stmt_view(q, 1), &ignored);
    struct row row = {.time = cas_stmt_int(q, 2), .names = x->name_count};

    if (cas_stmt_digest(q, 0, &row.key, err) < 0)
        return -1;
    add_names(x, value);
    row.name_count = x->name_count - row.names;
    row.parent = x->count;
    row.item = SIZE_MAX;
    x->rows = base_grow(x->rows, x->count, &x->capacity, sizeof row);
    x->rows[x->count++] = row;
    return 0;
}

static int read_layer(struct records *x, struct cas_stmt *q, struct error *err)
{
    struct layer_row row;

    if (cas_stmt_digest(q, 0, &row.diff_id, err) < 0 ||
        cas_stmt_digest(q, 1, &row.blob, err) < 0)
        return -1;
    x->layers = base_grow(x->layers, x->layer_count, &x->layer_capacity, sizeof row);
    x->layers[x->layer_count++] = row;
    return 0;
}

static int read_all(struct cas_meta *m,
                    const char *sql,
                    struct records *x,
                    int (*read)(struct records *x, struct cas_stmt *q, struct error *err),
                    struct error *err)
{
    struct cas_stmt *q = cas_meta_stmt(m, sql, err);
    bool row = q != NULL;

    while (row) {
        if (cas_stmt_step(q, &row, err) < 0 || (row && read(x, q, err) < 0))
            return -1;
    }
    return q ? 0 : -1;
}

/* --- Rows to records --- */

static size_t root_of(struct records *x, size_t i)
{
    while (x->rows[i].parent != i) {
        x->rows[i].parent = x->rows[x->rows[i].parent].parent;
        i = x->rows[i].parent;
    }
    return i;
}

static size_t find_row(const struct records *x, const struct digest *key)
{
    size_t low = 0;
    size_t high = x->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = digest_compare(&x->rows[middle].key, key);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return x->count;
}

static void join_rows(struct records *x)
{
    for (size_t i = 0; i < x->count; i++) {
        for (size_t k = 0; k < x->rows[i].name_count; k++) {
            const size_t other = find_row(x, &x->names[x->rows[i].names + k]);
            if (other < x->count)
                x->rows[root_of(x, other)].parent = root_of(x, i);
        }
    }
}

/* --- What a record needs --- */

static size_t first_layer(const struct records *x, const struct digest *diff_id)
{
    size_t low = 0;
    size_t high = x->layer_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (digest_compare(&x->layers[middle].diff_id, diff_id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A name is a blob's digest or a layer's diffID; what is neither is a key. */
static void add_needs(const struct records *x,
                      const struct row *row,
                      const struct cas_usage *u,
                      struct usage_needs *needs)
{
    for (size_t k = 0; k < row->name_count; k++) {
        const struct digest *name = &x->names[row->names + k];
        usage_needs_blob(needs, u, name);
        usage_needs_layer(needs, u, name);
        for (size_t i = first_layer(x, name);
             i < x->layer_count && digest_eq(&x->layers[i].diff_id, name); i++)
            usage_needs_blob(needs, u, &x->layers[i].blob);
    }
}

static void add_key(struct cas_usage_item *item, const struct row *row)
{
    item->keys = base_realloc_array(item->keys, item->key_count + 1, sizeof row->key);
    item->keys[item->key_count++] = row->key;
    if (item->created == 0 || row->time < item->created)
        item->created = row->time;
    if (row->time > item->used)
        item->used = row->time;
}

/* Rows of one record lie anywhere: each finds its item by its root. */
static void make_items(struct usage_reader *r, struct records *x)
{
    const size_t first = r->out->count;
    struct usage_needs *needs;

    for (size_t i = 0; i < x->count; i++) {
        struct row *root = &x->rows[root_of(x, i)];
        if (root->item == SIZE_MAX) {
            usage_add_item(r, CAS_USAGE_CACHE)->id = root->key;
            root->item = r->out->count - 1;
        }
        add_key(&r->out->items[root->item], &x->rows[i]);
    }
    needs = base_alloc_array(r->out->count - first + 1, sizeof *needs);
    for (size_t i = 0; i < x->count; i++)
        add_needs(x, &x->rows[i], r->out, &needs[x->rows[root_of(x, i)].item - first]);
    for (size_t i = first; i < r->out->count; i++)
        usage_needs_give(&needs[i - first], &r->out->items[i]);
    free(needs);
}

int usage_read_records(struct usage_reader *r, struct error *err)
{
    CLEANUP(records_release) struct records x = {0};

    {
        CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(r->store->meta);
        if (read_all(m, sql_cache, &x, read_row, err) < 0 ||
            read_all(m, sql_layers, &x, read_layer, err) < 0)
            return -1;
    }
    join_rows(&x);
    make_items(r, &x);
    return 0;
}
