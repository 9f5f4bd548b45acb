#include "cas/ref.h"

#include "base/alloc.h"
#include "cas/meta.h"
#include "cas/ref_priv.h"
#include "cas/store_priv.h"

/* The names with a prefix are those from the prefix itself up to, not including, the prefix
 * with its last byte made one larger: no name holds the byte 0xff. */
static const char sql_page[] =
    "SELECT name, digest, target, time FROM ref WHERE name > ? AND name < ? "
    "ORDER BY name LIMIT ?";

static int read_page(struct cas_stmt *q, struct cas_ref_list *list, struct error *err)
{
    size_t capacity = 0;
    bool row;

    for (;;) {
        if (cas_stmt_step(q, &row, err) < 0)
            return -1;
        if (!row)
            return 0;
        list->items = base_grow(list->items, list->count, &capacity, sizeof *list->items);
        if (cas_ref_read_row(q, &list->items[list->count], err) < 0)
            return -1;
        list->count++;
    }
}

int cas_ref_page(struct cas_store *s,
                 const char *prefix,
                 const char *after,
                 size_t limit,
                 struct cas_ref_list *out,
                 struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list list = {0};
    CLEANUP(base_freep) char *from = base_format("%s%s", prefix, after);
    CLEANUP(base_freep) char *to = base_format("%s\xff", prefix);
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_page, err);

    if (!q)
        return -1;
    cas_stmt_bind_text(q, 1, from);
    cas_stmt_bind_text(q, 2, to);
    cas_stmt_bind_int(q, 3, limit < INT32_MAX ? (int64_t)limit : -1);
    if (read_page(q, &list, err) < 0)
        return -1;
    *out = list;
    list = (struct cas_ref_list){0};
    return 0;
}
