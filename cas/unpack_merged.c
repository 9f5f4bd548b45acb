#include "cas/unpack.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/arena.h"
#include "cas/index.h"
#include "cas/layer_scan.h"
#include "cas/path_map.h"
#include "cas/tree.h"
#include "cas/unpacker.h"

#include <fcntl.h>
#include <stdlib.h>

/*
 * The merged tree says what is visible and which layer holds it: directories, symlinks and
 * devices are made from that alone. Then the files of each layer are taken out of one pass
 * over its blob, only those that show through. So nothing is ever removed again, and no
 * whiteout is needed on disk.
 */
struct merged {
    struct cas_layer *const *layers;
    size_t count;
    struct cas_tree *tree;
    struct cas_unpacker *unpacker;
    struct cas_arena arena;
    struct cas_path_map *wanted;   /* one a layer: paths of files to take from it */
    struct cas_entry_list links;   /* hard links within a layer, still valid when merged */
    struct cas_tree_entry *strays; /* links whose file shows only under their name */
    size_t stray_count;
    size_t stray_capacity;
};

/* Is the file's own entry at this path in its layer, so that a pass over the layer meets
 * it? Otherwise a hard link led here whose target is hidden or further below. */
static int is_plain_file(struct merged *m,
                         const struct cas_tree_entry *e,
                         bool *plain,
                         struct error *err)
{
    const struct cas_index *index = cas_layer_index(m->layers[e->layer], err);
    struct cas_entry own;
    size_t at = 0;

    if (!index)
        return -1;
    *plain = cas_index_find(index, e->entry.path, &at);
    if (*plain) {
        cas_index_at(index, at, &own);
        *plain = own.type == CAS_ENTRY_FILE;
    }
    return 0;
}

static int add_file(struct merged *m, const struct cas_tree_entry *e, struct error *err)
{
    bool plain = false;

    if (e->entry.target.size > 0) {
        struct cas_entry link = cas_arena_entry(&m->links.arena, &e->entry);

        link.type = CAS_ENTRY_HARDLINK;
        cas_entry_list_add(&m->links, &link);
        return 0;
    }
    if (is_plain_file(m, e, &plain, err) < 0)
        return -1;
    if (plain) {
        const struct view path = cas_arena_view(&m->arena, e->entry.path);

        cas_path_map_put(&m->wanted[e->layer], path, m);
        return 0;
    }
    m->strays = base_grow(m->strays, m->stray_count, &m->stray_capacity, sizeof *m->strays);
    m->strays[m->stray_count].entry = cas_arena_entry(&m->arena, &e->entry);
    m->strays[m->stray_count++].layer = e->layer;
    return 0;
}

static int on_entry(void *context, const struct cas_tree_entry *e, struct error *err)
{
    struct merged *m = context;

    if (e->entry.path.size == 0)
        return 1; /* the directory itself is the caller's */
    if (e->entry.type == CAS_ENTRY_FILE)
        return add_file(m, e, err) < 0 ? -1 : 1;
    return cas_unpacker_entry(m->unpacker, &e->entry, err) < 0 ? -1 : 1;
}

static int take_files(struct merged *m, size_t layer, struct error *err)
{
    int result = 0;

    if (m->wanted[layer].count == 0)
        return 0;
    cas_unpacker_only(m->unpacker, &m->wanted[layer]);
    result = cas_layer_scan(m->layers[layer], m->unpacker, CAS_LAYER_SCAN_NO_INDEX, err);
    cas_unpacker_only(m->unpacker, NULL);
    return result;
}

static int take_stray(struct merged *m, const struct cas_tree_entry *e, struct error *err)
{
    CLEANUP(fd_closep) int fd = cas_tree_open(m->tree, e, err);

    if (fd < 0 || cas_unpacker_entry(m->unpacker, &e->entry, err) < 0)
        return -1;
    return cas_unpacker_copy(m->unpacker, fd, err);
}

static int run(struct merged *m, struct error *err)
{
    if (cas_tree_walk(m->tree, (struct view){"", 0}, on_entry, m, err) < 0)
        return -1;
    for (size_t i = 0; i < m->count; i++) {
        if (take_files(m, i, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < m->stray_count; i++) {
        if (take_stray(m, &m->strays[i], err) < 0)
            return -1;
    }
    for (size_t i = 0; i < m->links.count; i++) {
        if (cas_unpacker_entry(m->unpacker, &m->links.items[i], err) < 0)
            return -1;
    }
    return cas_unpacker_finish(m->unpacker, NULL, err);
}

int cas_unpack_merged(struct cas_layer *const *layers,
                      size_t count,
                      int dir_fd,
                      struct cas_owners *owners,
                      struct error *err)
{
    struct merged m = {.layers = layers, .count = count};

    m.tree = cas_tree_new(layers, count);
    m.unpacker = cas_unpacker_new_plain(dir_fd, owners);
    m.wanted = base_alloc_array(count + 1, sizeof *m.wanted);

    const int result = run(&m, err);

    for (size_t i = 0; i < count; i++)
        cas_path_map_release(&m.wanted[i]);
    free(m.wanted);
    free(m.strays);
    cas_entry_list_release(&m.links);
    cas_arena_release(&m.arena);
    cas_unpacker_free(m.unpacker);
    cas_tree_free(m.tree);
    return result;
}
