#include "builder/context_tar.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/archive.h"
#include "builder/delta.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where a tar has "ustar". */
#define TAR_MAGIC_OFFSET 257

struct context_tar {
    struct build_tree tree;
    struct build_archive_spool *spool; /* or NULL */
    struct build_delta *delta;
    struct cas_entry *entries; /* in order; borrowed from the delta */
    size_t count;
    size_t *kept; /* which of them there are, in order */
    size_t kept_count;
    char *text; /* of the one file */
};

bool context_tar_is_archive(struct view head)
{
    static const struct view magics[] = {
        {"\x1f\x8b\x08", 3}, {"\x28\xb5\x2f\xfd", 4}, {"BZh", 3}, {"\xfd\x37zXZ\0", 6}};

    for (size_t i = 0; i < ARRAY_COUNT(magics); i++)
        if (view_eq(view_sub(head, 0, magics[i].size), magics[i]))
            return true;
    return view_eq_text(view_sub(head, TAR_MAGIC_OFFSET, 5), "ustar");
}

/* --- Entries --- */

static const struct cas_entry *kept_at(const struct context_tar *t, size_t i)
{
    return &t->entries[t->kept[i]];
}

/* The first kept entry at or after `path`. */
static size_t lower_bound(const struct context_tar *t, struct view path)
{
    size_t low = 0;
    size_t high = t->kept_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (cas_entry_path_compare(kept_at(t, middle)->path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Of all entries, kept or not: a link may lead to what is left out. */
static size_t find_any(const struct context_tar *t, struct view path)
{
    size_t low = 0;
    size_t high = t->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = cas_entry_path_compare(t->entries[middle].path, path);

        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return t->count;
}

bool context_tar_has(const struct context_tar *t, struct view path)
{
    return find_any(t, path) < t->count;
}

static int to_entry(const struct context_tar *t,
                    size_t at,
                    struct build_tree_entry *out,
                    struct error *err)
{
    const struct cas_entry *e = &t->entries[at];
    size_t file = at;

    *out = (struct build_tree_entry){.entry = *e, .place = {.path = e->path}};
    for (unsigned hops = 0; t->entries[file].type == CAS_ENTRY_HARDLINK; hops++) {
        file = find_any(t, t->entries[file].target);
        if (file == t->count || hops > LIMIT_SYMLINKS)
            return error_set(err, ERROR_CORRUPT, "%.*s: hard link to nothing",
                             VIEW_ARG(e->path));
    }
    if (t->entries[file].type != CAS_ENTRY_FILE)
        return 0;
    out->entry = t->entries[file];
    out->entry.path = e->path;
    out->place.at = file;
    out->place.size = out->entry.size;
    out->link_key[0] = 1;
    out->link_key[1] = file + 1;
    return 0;
}

/* --- The tree --- */

static int tar_find(void *self,
                    struct view path,
                    bool *found,
                    struct build_tree_entry *out,
                    struct error *err)
{
    const struct context_tar *t = self;
    const size_t i = lower_bound(t, path);

    if (path.size == 0) {
        *found = true;
        *out = (struct build_tree_entry){
            .entry = {.path = VIEW_LIT(""), .type = CAS_ENTRY_DIR, .mode = 0755}};
        return 0;
    }
    *found = i < t->kept_count && view_eq(kept_at(t, i)->path, path);
    return *found ? to_entry(t, t->kept[i], out, err) : 0;
}

static bool is_beneath(struct view path, struct view dir)
{
    return dir.size == 0 || (path.size > dir.size && path.data[dir.size] == '/' &&
                             memcmp(path.data, dir.data, dir.size) == 0);
}

static int tar_walk(void *self,
                    struct view path,
                    build_tree_visit_fn *visit,
                    void *context,
                    struct error *err)
{
    const struct context_tar *t = self;
    struct view skipped = {0}; /* a directory whose inside is not wanted */
    struct build_tree_entry e;
    bool found;
    int more;

    if (tar_find(self, path, &found, &e, err) < 0)
        return -1;
    if (!found)
        return 0;
    more = visit(context, &e, err);
    for (size_t i = lower_bound(t, path); more > 0 && i < t->kept_count; i++) {
        const struct view at = kept_at(t, i)->path;

        if (view_eq(at, path) || (skipped.size > 0 && is_beneath(at, skipped)))
            continue;
        if (!is_beneath(at, path))
            break;
        if (to_entry(t, t->kept[i], &e, err) < 0)
            return -1;
        more = visit(context, &e, err);
        if (more == 0) {
            skipped = at;
            more = 1;
        }
    }
    return more < 0 ? -1 : 0;
}

static int tar_open(void *self,
                    const struct build_tree_place *place,
                    struct cas_content *out,
                    struct error *err)
{
    struct context_tar *t = self;

    return build_delta_content(t->delta, (size_t)place->at, out, err);
}

static int hash_file(int fd, struct hasher *h, struct error *err)
{
    enum { CHUNK = 1 << 18 };
    CLEANUP(base_freep) char *chunk = base_alloc(CHUNK);
    ssize_t got;

    while ((got = read(fd, chunk, CHUNK)) > 0)
        hasher_update(h, chunk, (size_t)got);
    return got < 0 ? error_sys(err, "read a file of the context") : 0;
}

static int tar_digest(void *self,
                      const struct build_tree_place *place,
                      struct digest *out,
                      struct error *err)
{
    struct context_tar *t = self;
    struct cas_content content;
    CLEANUP(hasher_freep) struct hasher *h = hasher_new(DIGEST_SHA256);
    CLEANUP(fd_closep) int fd = -1;

    if (build_delta_content(t->delta, (size_t)place->at, &content, err) < 0)
        return -1;
    fd = content.fd;
    if (fd < 0)
        hasher_update(h, content.memory.data, content.memory.size);
    else if (hash_file(fd, h, err) < 0)
        return -1;
    hasher_final(h, out);
    return 0;
}

/* --- .dockerignore --- */

/* The directories around an entry, whose states the patterns are asked with. */
struct levels {
    struct level {
        size_t entry;
        uint8_t *state;
        bool is_kept;
    } * items;
    size_t count;
    size_t capacity;
};

static void keep(struct context_tar *t, size_t entry)
{
    t->kept[t->kept_count++] = entry;
}

/* A directory that is left out is there all the same for what is taken back beneath. */
static void keep_around(struct context_tar *t, struct levels *l)
{
    for (size_t i = 0; i < l->count; i++) {
        if (!l->items[i].is_kept)
            keep(t, l->items[i].entry);
        l->items[i].is_kept = true;
    }
}

static void leave(struct context_tar *t, struct levels *l, struct view path)
{
    while (l->count > 0 && !is_beneath(path, t->entries[l->items[l->count - 1].entry].path))
        free(l->items[--l->count].state);
}

static void judge(struct context_tar *t,
                  const struct dockerfile_ignore *ignore,
                  struct levels *l,
                  size_t i)
{
    const struct cas_entry *e = &t->entries[i];
    const bool is_dir = e->type == CAS_ENTRY_DIR;
    uint8_t *state = is_dir ? base_alloc(dockerfile_ignore_state_size(ignore)) : NULL;
    const uint8_t *parent = l->count > 0 ? l->items[l->count - 1].state : NULL;
    const bool is_kept = !dockerfile_ignore_step(ignore, e->path, parent, state);

    if (is_kept) {
        keep_around(t, l);
        keep(t, i);
    }
    if (!is_dir)
        return;
    l->items = base_grow(l->items, l->count, &l->capacity, sizeof *l->items);
    l->items[l->count++] = (struct level){.entry = i, .state = state, .is_kept = is_kept};
}

int context_tar_ignore(struct context_tar *t,
                       const struct dockerfile_ignore *ignore,
                       struct error *err)
{
    struct levels l = {0};

    (void)err;
    t->kept_count = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (t->entries[i].path.size == 0)
            continue;
        leave(t, &l, t->entries[i].path);
        if (ignore)
            judge(t, ignore, &l, i);
        else
            keep(t, i);
    }
    leave(t, &l, VIEW_LIT(""));
    while (l.count > 0)
        free(l.items[--l.count].state);
    free(l.items);
    return 0;
}

/* --- Making --- */

static struct context_tar *new_tar(void)
{
    struct context_tar *t = base_alloc(sizeof *t);

    t->delta = build_delta_new(NULL);
    t->tree = (struct build_tree){.self = t,
                                  .find = tar_find,
                                  .walk = tar_walk,
                                  .open = tar_open,
                                  .digest = tar_digest};
    return t;
}

static int finish(struct context_tar *t, struct error *err)
{
    if (build_delta_finish(t->delta, &t->entries, &t->count, err) < 0)
        return -1;
    t->kept = base_alloc_array(t->count + 1, sizeof *t->kept);
    return context_tar_ignore(t, NULL, err);
}

struct context_tar *context_tar_open(int store_fd, int fd, struct error *err)
{
    static const struct build_archive_options options = {.dest = "",
                                                         .is_beneath = true,
                                                         .size_max = LIMIT_CONTEXT_SIZE,
                                                         .count_max =
                                                             LIMIT_CONTEXT_ENTRIES};
    struct context_tar *t = new_tar();

    t->spool = build_archive_spool_new(store_fd);
    if (build_archive_unpack(fd, t->delta, t->spool, &options, err) == 0 &&
        finish(t, err) == 0)
        return t;
    context_tar_free(t);
    return NULL;
}

struct context_tar *context_tar_of_file(const char *name, struct view text)
{
    struct context_tar *t = new_tar();
    CLEANUP(error_clear) struct error impossible = ERROR_INIT;

    t->text = view_dup(text);
    const struct cas_entry e = {
        .path = view_of(name), .type = CAS_ENTRY_FILE, .mode = 0600, .size = text.size};
    const struct build_delta_content content = {.memory = {t->text, text.size}};
    build_delta_put(t->delta, &e, &content);
    const int status = finish(t, &impossible);
    assert(status == 0);
    return t;
}

void context_tar_free(struct context_tar *t)
{
    if (!t)
        return;
    build_delta_free(t->delta);
    build_archive_spool_free(t->spool);
    free(t->kept);
    free(t->text);
    free(t);
}

void context_tar_freep(struct context_tar **t)
{
    context_tar_free(*t);
    *t = NULL;
}

struct build_tree *context_tar_tree(struct context_tar *t)
{
    return &t->tree;
}
