#include "cas/index_priv.h"

#include <string.h>

/*
 * The content key: SHA-256 over the entries in their order, each as fixed fields followed
 * by its texts with their sizes before them. Times and positions in the tar are left out;
 * of a whiteout only the path counts.
 */
#define KEY_FIELDS 50

/* Bytes are gathered before they are hashed: an entry is small. */
struct key_hash {
    struct hasher *hasher;
    size_t used;
    char gathered[8192];
};

static void key_flush(struct key_hash *k)
{
    hasher_update(k->hasher, k->gathered, k->used);
    k->used = 0;
}

static void key_bytes(struct key_hash *k, const void *data, size_t size)
{
    if (size == 0)
        return;
    if (size > sizeof k->gathered - k->used)
        key_flush(k);
    if (size > sizeof k->gathered) {
        hasher_update(k->hasher, data, size);
        return;
    }
    memcpy(k->gathered + k->used, data, size);
    k->used += size;
}

static void key_text(struct key_hash *k, struct view text)
{
    char size[8];

    index_put(size, sizeof size, text.size);
    key_bytes(k, size, sizeof size);
    key_bytes(k, text.data, text.size);
}

static void key_fields(struct key_hash *k, const struct cas_entry *e)
{
    char fields[KEY_FIELDS] = {0};

    fields[0] = (char)e->type;
    fields[1] = e->opaque ? 1 : 0;
    index_put(fields + 2, 4, e->mode);
    index_put(fields + 6, 4, e->uid);
    index_put(fields + 10, 4, e->gid);
    index_put(fields + 14, 4, e->rdev_major);
    index_put(fields + 18, 4, e->rdev_minor);
    index_put(fields + 22, 8, e->size);
    index_put(fields + 30, 8, e->xattr_count);
    fields[38] = (char)e->content.alg;
    key_bytes(k, fields, sizeof fields);
}

static void key_entry(struct key_hash *k, const struct cas_entry *e)
{
    key_text(k, e->path);
    key_fields(k, e);
    if (e->type == CAS_ENTRY_WHITEOUT)
        return;
    key_bytes(k, e->content.bytes, digest_size(e->content.alg));
    key_text(k, e->target);
    for (size_t i = 0; i < e->xattr_count; i++) {
        key_text(k, e->xattrs[i].name);
        key_text(k, e->xattrs[i].value);
    }
}

struct digest index_content_key(const struct cas_entry *entries, size_t count)
{
    CLEANUP(hasher_freep) struct hasher *hasher = hasher_new(DIGEST_SHA256);
    struct key_hash k;
    struct digest d;

    k.hasher = hasher;
    k.used = 0;
    for (size_t i = 0; i < count; i++)
        key_entry(&k, &entries[i]);
    key_flush(&k);
    hasher_final(hasher, &d);
    return d;
}
