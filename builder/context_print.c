/*
 * Fingerprints of a context's directories: what stat tells of everything in them, hashed.
 */
#include "builder/context_priv.h"

#include <assert.h>
#include <string.h>

/* Below this, looking at each file costs nothing that anybody would notice. */
enum { WORTH_FROM = 500 };

/* What of a stat a change of content or attributes cannot leave alone. */
struct print {
    struct cas_file_stamp stamp;
    uint32_t mode;
    uint32_t has_links;
    uint64_t path_size;
};

static_assert(sizeof(struct print) == sizeof(struct cas_file_stamp) + 2 * 4 + 8,
              "holes would be hashed");

struct printing {
    const struct build_context *c;
    struct hasher *hasher;
    size_t count;
    bool is_settled;
    size_t used;
    char chunk[16 << 10]; /* hashing many small pieces costs more than copying them */
};

static void add_bytes(struct printing *p, const void *data, size_t size)
{
    if (size > sizeof p->chunk - p->used) {
        hasher_update(p->hasher, p->chunk, p->used);
        p->used = 0;
    }
    if (size > sizeof p->chunk) {
        hasher_update(p->hasher, data, size);
        return;
    }
    memcpy(p->chunk + p->used, data, size);
    p->used += size;
}

static int add_node(void *context, const struct build_tree_entry *e, struct error *err)
{
    struct printing *p = context;
    const struct context_node *n = e->place.origin;
    const struct print print = {
        .stamp = n->stamp,
        .mode = n->mode,
        .has_links = n->has_links,
        .path_size = n->path.size,
    };

    (void)err;
    add_bytes(p, &print, sizeof print);
    add_bytes(p, n->path.data, n->path.size);
    p->count++;
    /* A directory is known by what is in it, not by its times. */
    p->is_settled = p->is_settled &&
                    (S_ISDIR(n->mode) || cas_statcache_is_settled(p->c->cache, &n->stamp));
    return 1;
}

int build_context_fingerprint(struct build_context *c,
                              struct view path,
                              struct digest *out,
                              bool *is_known,
                              struct error *err)
{
    CLEANUP(hasher_freep) struct hasher *hasher = hasher_new(DIGEST_SHA256);
    struct printing p = {.c = c, .hasher = hasher, .is_settled = true};
    struct build_tree_entry top;
    bool found = false;

    *is_known = false;
    if (c->tar)
        return 0;
    if (c->tree.find(c->tree.self, path, &found, &top, err) < 0)
        return -1;
    if (!found || top.entry.type != CAS_ENTRY_DIR)
        return 0;
    if (c->tree.walk(c->tree.self, path, add_node, &p, err) < 0)
        return -1;
    hasher_update(hasher, p.chunk, p.used);
    hasher_final(hasher, out);
    *is_known = p.is_settled && p.count >= WORTH_FROM;
    return 0;
}
