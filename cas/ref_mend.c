#include "base/fs.h"
#include "cas/layout.h"
#include "cas/reach.h"
#include "cas/ref_priv.h"
#include "cas/store_priv.h"

#include <sys/file.h>

/* The refs that are known already stay as they are; of the others those that are whole
 * come. */
static int keep_whole(struct cas_store *s, struct cas_ref_list *refs, struct error *err)
{
    size_t kept = 0;

    for (size_t i = 0; i < refs->count; i++) {
        CLEANUP(error_clear) struct error why = ERROR_INIT;
        CLEANUP(cas_ref_release) struct cas_ref known = {0};
        bool found;
        if (cas_ref_find(s, refs->items[i].name, &found, &known, err) < 0)
            return -1;
        if (found || cas_reach_check(s, &refs->items[i].target, &why) < 0)
            cas_ref_release(&refs->items[i]);
        else if (kept != i) {
            refs->items[kept] = refs->items[i];
            refs->items[i] = (struct cas_ref){0};
            kept++;
        } else
            kept++;
    }
    refs->count = kept;
    return 0;
}

static int apply_recover(struct cas_meta *m, const void *context, struct error *err)
{
    const struct cas_ref_list *refs = context;

    for (size_t i = 0; i < refs->count; i++) {
        if (cas_ref_set_locked(m, refs->items[i].name, &refs->items[i].target, "recover",
                               err) < 0)
            return -1;
    }
    return 0;
}

static int recover(struct cas_store *s, int64_t generation, struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};

    if (cas_layout_read_index(s->fd, &refs, err) < 0 || keep_whole(s, &refs, err) < 0 ||
        cas_blob_sync_dirs(s, err) < 0)
        return -1;
    return cas_ref_change_locked(s, apply_recover, &refs, generation, err);
}

static int read_generations(struct cas_store *s,
                            int64_t *refs,
                            int64_t *index,
                            struct error *err)
{
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);

    if (cas_ref_generation_locked(m, refs, err) < 0)
        return -1;
    return cas_layout_generation(s->fd, index, err);
}

static int rewrite_index(struct cas_store *s, int64_t generation, struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};

    if (cas_ref_list(s, &refs, err) < 0)
        return -1;
    return cas_layout_write_index(s->fd, generation, &refs, err);
}

int cas_ref_mend(struct cas_store *s, struct error *err)
{
    int64_t refs;
    int64_t index;

    if (read_generations(s, &refs, &index, err) < 0)
        return -1;
    if (refs == index)
        return 0;
    /* Somebody may be between the two just now: ask again under the lock. */
    CLEANUP(fd_closep) int lock = cas_lease_lock(s->fd, CAS_REF_INDEX_LOCK, LOCK_EX, err);
    if (lock < 0 || read_generations(s, &refs, &index, err) < 0)
        return -1;
    if (refs == index)
        return 0;
    return index > refs ? recover(s, index, err) : rewrite_index(s, refs, err);
}

int cas_ref_lock_index(struct cas_store *s, struct error *err)
{
    return cas_lease_lock(s->fd, CAS_REF_INDEX_LOCK, LOCK_EX, err);
}

int cas_ref_renew_index(struct cas_store *s, struct error *err)
{
    int64_t generation;

    {
        CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
        if (cas_ref_generation_locked(m, &generation, err) < 0)
            return -1;
    }
    return rewrite_index(s, generation, err);
}
