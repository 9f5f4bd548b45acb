#include "builder/context_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* So many directories in one walk make it worth a second thread. */
enum { READ_AHEAD_FROM = 32 };

/* As with the umask 022, whatever it really was. */
static uint32_t checked_out_mode(mode_t mode)
{
    if (S_ISDIR(mode))
        return 0755;
    return (mode & 0200 ? 0644U : 0444U) | (mode & 0100 ? 0111U : 0U);
}

static void to_checked_out(const struct build_context_checkout *checkout,
                           const struct context_node *n,
                           struct cas_entry *e)
{
    if (!S_ISLNK(n->mode))
        e->mode = checked_out_mode(n->mode);
    if (!checkout->has_time)
        return;
    e->mtime_s = checkout->time.tv_sec;
    e->mtime_ns = (uint32_t)checkout->time.tv_nsec;
}

static void to_entry(const struct build_context *c,
                     const struct context_node *n,
                     struct build_tree_entry *out)
{
    *out = (struct build_tree_entry){
        .entry = {.path = n->path,
                  .type = cas_entry_type_of(n->mode),
                  .mode = n->mode & 07777,
                  .mtime_s = n->stamp.mtime_s,
                  .mtime_ns = n->stamp.mtime_ns},
        .place = {.origin = n, .path = n->path},
    };
    if (S_ISLNK(n->mode))
        out->entry.target = view_of(n->link);
    if (S_ISREG(n->mode))
        out->entry.size = out->place.size = n->stamp.size;
    if (S_ISCHR(n->mode) || S_ISBLK(n->mode)) {
        out->entry.rdev_major = major(n->rdev);
        out->entry.rdev_minor = minor(n->rdev);
    }
    if (S_ISREG(n->mode) && n->has_links) {
        out->link_key[0] = n->stamp.dev + 1;
        out->link_key[1] = n->stamp.ino + 1;
    }
    if (c->is_checkout)
        to_checked_out(&c->checkout, n, &out->entry);
}

static int context_find(void *self,
                        struct view path,
                        bool *found,
                        struct build_tree_entry *out,
                        struct error *err)
{
    struct build_context *c = self;
    struct context_node *n = NULL;
    int status;

    status = context_dir_find(&c->dir, path, &n, err);
    if (status == 0 && n)
        to_entry(c, n, out);
    *found = n != NULL;
    return status;
}

struct walk {
    const struct build_context *c;
    struct context_dir *dir;
    struct context_node *top;
    build_tree_visit_fn *visit;
    void *context;
    size_t directories;
};

static int walk_node(struct walk *w, struct context_node *n, struct error *err)
{
    struct build_tree_entry e;
    int status;

    to_entry(w->c, n, &e);
    status = w->visit(w->context, &e, err);
    if (status <= 0 || !S_ISDIR(n->mode))
        return status < 0 ? -1 : 0;
    if (++w->directories == READ_AHEAD_FROM)
        context_dir_read_ahead(w->dir, w->top);
    status = context_dir_read(w->dir, n, err);
    for (size_t i = 0; status == 0 && i < n->count; i++)
        status = walk_node(w, n->children[i], err);
    return status;
}

static int context_walk(void *self,
                        struct view path,
                        build_tree_visit_fn *visit,
                        void *context,
                        struct error *err)
{
    struct build_context *c = self;
    struct walk w = {.c = c, .dir = &c->dir, .visit = visit, .context = context};
    const int status = context_dir_find(&c->dir, path, &w.top, err);

    return status < 0 || !w.top ? status : walk_node(&w, w.top, err);
}

/* What was a file when it was looked at may be a pipe or a terminal by now. */
static int open_file(const struct build_context *c, struct view path, struct error *err)
{
    return fs_open_nofollow(c->dir.fd, path.data, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
}

static int context_open(void *self,
                        const struct build_tree_place *place,
                        struct cas_content *out,
                        struct error *err)
{
    *out = (struct cas_content){.fd = open_file(self, place->path, err)};
    return out->fd < 0 ? -1 : 0;
}

/* Hashes the file and remembers the digest if nobody changed it meanwhile. */
static int hash_file(struct build_context *c,
                     const struct context_node *n,
                     struct digest *out,
                     struct error *err)
{
    enum { CHUNK = 1 << 18 };
    CLEANUP(fd_closep) int fd = open_file(c, n->path, err);
    CLEANUP(hasher_freep) struct hasher *h = NULL;
    CLEANUP(base_freep) char *chunk = NULL;
    struct stat after;
    struct cas_file_stamp now;
    ssize_t got;

    if (fd < 0)
        return -1;
    h = hasher_new(DIGEST_SHA256);
    chunk = base_alloc(CHUNK);
    while ((got = read(fd, chunk, CHUNK)) > 0)
        hasher_update(h, chunk, (size_t)got);
    if (got < 0 || fstat(fd, &after) < 0)
        return error_sys(err, "read %.*s", VIEW_ARG(n->path));
    hasher_final(h, out);
    now = cas_file_stamp_of(&after);
    if (cas_file_stamp_equal(&now, &n->stamp))
        cas_statcache_put(c->cache, n->path, &n->stamp, out);
    return 0;
}

static int context_digest(void *self,
                          const struct build_tree_place *place,
                          struct digest *out,
                          struct error *err)
{
    struct build_context *c = self;
    const struct context_node *n = place->origin;

    if (cas_statcache_find(c->cache, n->path, &n->stamp, out))
        return 0;
    return hash_file(c, n, out, err);
}

void build_context_remember(struct build_context *c,
                            const struct build_tree_place *place,
                            const struct digest *d)
{
    const struct context_node *n = place->origin;

    if (c->tar)
        return;
    /* Had the file changed since, its ctime would have too: then this is never found. */
    cas_statcache_put(c->cache, n->path, &n->stamp, d);
}

/* A file of its own for each place keeps the digests of what is there. */
static int open_directory(struct build_context *c,
                          struct cas_store *store,
                          struct error *err)
{
    CLEANUP(base_freep) char *real = NULL;
    struct stat st;

    context_dir_init(&c->dir, fs_open_at(AT_FDCWD, c->path, O_RDONLY | O_DIRECTORY, 0, err),
                     c->ignore);
    if (c->dir.fd < 0)
        return error_wrap(err, "build context");
    if (fstat(c->dir.fd, &st) < 0 || !(real = realpath(c->path, NULL)))
        return error_sys(err, "build context %s", c->path);
    context_node_know(&c->dir.root, &st);
    c->cache = cas_statcache_open(store, real, err);
    return c->cache ? 0 : -1;
}

static struct build_context *open_as(struct cas_store *store,
                                     const char *path,
                                     const struct build_context_checkout *checkout,
                                     struct dockerfile_ignore *ignore,
                                     struct error *err)
{
    struct build_context *c = base_alloc(sizeof *c);

    c->ignore = ignore;
    c->path = base_strdup(path);
    c->is_checkout = checkout != NULL;
    if (checkout)
        c->checkout = *checkout;
    c->tree = (struct build_tree){.self = c,
                                  .find = context_find,
                                  .walk = context_walk,
                                  .open = context_open,
                                  .digest = context_digest};
    if (open_directory(c, store, err) == 0)
        return c;
    build_context_close(c);
    return NULL;
}

struct build_context *build_context_open(struct cas_store *store,
                                         const char *path,
                                         struct dockerfile_ignore *ignore,
                                         struct error *err)
{
    return open_as(store, path, NULL, ignore, err);
}

struct build_context *build_context_open_checkout(
    struct cas_store *store,
    const char *path,
    const struct build_context_checkout *checkout,
    struct dockerfile_ignore *ignore,
    struct error *err)
{
    return open_as(store, path, checkout, ignore, err);
}

struct build_context *build_context_open_tar(struct context_tar *tar,
                                             const char *shown,
                                             struct dockerfile_ignore *ignore,
                                             struct error *err)
{
    struct build_context *c = base_alloc(sizeof *c);

    c->ignore = ignore;
    c->path = base_strdup(shown);
    c->tar = tar;
    if (context_tar_ignore(tar, ignore, err) < 0) {
        build_context_close(c);
        return NULL;
    }
    c->tree = *context_tar_tree(tar);
    return c;
}

void build_context_close(struct build_context *c)
{
    struct error ignored = ERROR_INIT;

    if (!c)
        return;
    /* The cache only saves time: without it the files are read again. */
    if (c->cache && cas_statcache_save(c->cache, &ignored) < 0)
        error_clear(&ignored);
    cas_statcache_close(c->cache);
    if (c->tar)
        context_tar_free(c->tar);
    else
        context_dir_release(&c->dir);
    dockerfile_ignore_free(c->ignore);
    free(c->path);
    free(c);
}

bool build_context_is_whole(const struct build_context *c)
{
    return c->tar || c->is_checkout;
}

const char *build_context_path(const struct build_context *c)
{
    return c->path;
}

struct build_tree *build_context_tree(struct build_context *c)
{
    return &c->tree;
}

static bool is_on_disk(const struct build_context *c, const char *path)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* it says that it is absent */
    CLEANUP(fd_closep)
    int fd = fs_open_beneath(c->dir.fd, path, O_PATH | O_NOFOLLOW, 0, &ignored);

    return fd >= 0;
}

bool build_context_is_left_out(struct build_context *c,
                               struct view path,
                               struct dockerfile_ignore_rule *rule)
{
    CLEANUP(base_freep) char *text = view_dup(path);

    if (path.size == 0 || !c->ignore || !dockerfile_ignore_find_rule(c->ignore, path, rule))
        return false;
    return c->tar ? context_tar_has(c->tar, path) : is_on_disk(c, text);
}
