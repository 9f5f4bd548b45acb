#include "base/alloc.h"
#include "cas/ref.h"
#include "cas/store_priv.h"

#include <stdlib.h>

static const char sql_history[] =
    "SELECT time, old, new, why FROM ref_event WHERE name = ? ORDER BY id DESC";

static int read_event(struct cas_stmt *q, struct cas_ref_event *out, struct error *err)
{
    *out = (struct cas_ref_event){.time = cas_stmt_int(q, 0)};
    if (cas_stmt_digest(q, 1, &out->from, err) < 0 ||
        cas_stmt_digest(q, 2, &out->to, err) < 0)
        return -1;
    out->why = view_dup(cas_stmt_view(q, 3));
    return 0;
}

int cas_ref_history(struct cas_store *s,
                    const char *name,
                    struct cas_ref_event **out,
                    size_t *count,
                    struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    struct cas_stmt *q = cas_meta_stmt(m, sql_history, err);
    struct cas_ref_event *events = NULL;
    size_t n = 0;
    size_t capacity = 0;
    bool row;

    if (!q)
        return -1;
    cas_stmt_bind_text(q, 1, name);
    for (;;) {
        if (cas_stmt_step(q, &row, err) < 0)
            break;
        if (!row) {
            *out = events;
            *count = n;
            return 0;
        }
        events = base_grow(events, n, &capacity, sizeof *events);
        if (read_event(q, &events[n], err) < 0)
            break;
        n++;
    }
    cas_ref_history_free(events, n);
    return -1;
}

void cas_ref_history_free(struct cas_ref_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(events[i].why);
    free(events);
}
