#include "builder/context.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/arena.h"
#include "cas/statcache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A path of the context. A directory's children are read when somebody asks for them; nodes
 * are never moved or freed before the context is. */
struct node {
    struct view path;
    struct stat st;
    char *link;             /* a symlink's text */
    struct node **children; /* sorted by name */
    size_t count;
    bool is_loaded;
    bool is_ignored; /* a directory that is there only for what is beneath it */
    uint8_t *state;  /* of the patterns, for directories */
};

struct build_context {
    struct build_tree tree;
    struct cas_statcache *cache;
    struct dockerfile_ignore *ignore;
    char *path;
    int fd;
    pthread_mutex_t
        lock; /* guards what follows, but not what a node says once it is there */
    struct cas_arena arena; /* the nodes and their paths */
    struct node root;
};

static int load(struct build_context *c, struct node *dir, struct error *err);
static void drop_children(struct node *dir);

/* All but what the arena has. */
static void node_release(struct node *n)
{
    drop_children(n);
    free(n->link);
    free(n->state);
}

/* Decides whether the child is part of the context. */
static int judge(struct build_context *c,
                 const struct node *dir,
                 struct node *child,
                 bool *kept,
                 struct error *err)
{
    const bool is_dir = S_ISDIR(child->st.st_mode);
    const size_t state_size = c->ignore ? dockerfile_ignore_state_size(c->ignore) : 0;

    *kept = false;
    if (c->ignore) {
        child->state = is_dir ? base_alloc(state_size ? state_size : 1) : NULL;
        child->is_ignored =
            dockerfile_ignore_step(c->ignore, child->path, dir->state, child->state);
    }
    if (child->is_ignored) {
        if (!is_dir || !dockerfile_ignore_may_reinclude(c->ignore, child->path))
            return 0;
        if (load(c, child, err) < 0)
            return -1;
        if (child->count == 0)
            return 0;
    }
    *kept = true;
    return 0;
}

static void adopt(struct build_context *c,
                  struct node *dir,
                  const struct node *child,
                  size_t *capacity)
{
    struct node *n = cas_arena_alloc(&c->arena, sizeof *n);

    *n = *child;
    dir->children = base_grow(dir->children, dir->count, capacity, sizeof(struct node *));
    dir->children[dir->count++] = n;
}

static int load_entry(struct build_context *c,
                      int fd,
                      struct node *dir,
                      const char *name,
                      size_t *capacity,
                      struct error *err)
{
    struct node child = {.path = cas_arena_join(&c->arena, dir->path, view_of(name))};
    bool kept = false;
    int status = 0;

    if (fstatat(fd, name, &child.st, AT_SYMLINK_NOFOLLOW) < 0)
        status = errno == ENOENT ? 0 : error_sys(err, "stat %.*s", VIEW_ARG(child.path));
    else if (!S_ISSOCK(child.st.st_mode))
        status = judge(c, dir, &child, &kept, err);
    if (kept && S_ISLNK(child.st.st_mode)) {
        child.link = fs_readlink_at(fd, name, err);
        status = child.link ? 0 : -1;
    }
    if (kept)
        adopt(c, dir, &child, capacity);
    else
        node_release(&child);
    return status;
}

static int compare_nodes(const void *a, const void *b)
{
    const struct node *const *x = a;
    const struct node *const *y = b;

    return view_compare((*x)->path, (*y)->path);
}

static void drop_children(struct node *dir)
{
    for (size_t i = 0; i < dir->count; i++)
        node_release(dir->children[i]);
    free(dir->children);
    dir->children = NULL;
    dir->count = 0;
}

/* Sets errno to 0 at the end, as readdir tells an end and an error by nothing else. */
static struct dirent *next_entry(DIR *stream)
{
    errno = 0;
    return readdir(stream);
}

/* All of a directory, or nothing. */
static int load(struct build_context *c, struct node *dir, struct error *err)
{
    size_t capacity = 0;
    struct dirent *d;
    DIR *stream;
    int status = 0;
    int fd;

    if (dir->is_loaded)
        return 0;
    fd = fs_open_nofollow(c->fd, dir->path.size ? dir->path.data : ".",
                          O_RDONLY | O_DIRECTORY, 0, err);
    if (fd < 0)
        return -1;
    stream = fdopendir(fd);
    if (!stream) {
        error_sys(err, "read directory %.*s", VIEW_ARG(dir->path));
        fd_closep(&fd);
        return -1;
    }
    while (status == 0 && (d = next_entry(stream)) != NULL) {
        if (view_eq_text(view_of(d->d_name), ".") || view_eq_text(view_of(d->d_name), ".."))
            continue;
        status = load_entry(c, fd, dir, d->d_name, &capacity, err);
    }
    if (status == 0 && errno != 0)
        status = error_sys(err, "read directory %.*s", VIEW_ARG(dir->path));
    closedir(stream);
    if (status < 0)
        drop_children(dir);
    else if (dir->count > 1)
        qsort(dir->children, dir->count, sizeof(struct node *), compare_nodes);
    dir->is_loaded = status == 0;
    return status;
}

static enum cas_entry_type type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return CAS_ENTRY_DIR;
    case S_IFLNK:
        return CAS_ENTRY_SYMLINK;
    case S_IFCHR:
        return CAS_ENTRY_CHAR;
    case S_IFBLK:
        return CAS_ENTRY_BLOCK;
    case S_IFIFO:
        return CAS_ENTRY_FIFO;
    default:
        return CAS_ENTRY_FILE;
    }
}

static void to_entry(const struct node *n, struct build_tree_entry *out)
{
    *out = (struct build_tree_entry){
        .entry = {.path = n->path,
                  .type = type_of(n->st.st_mode),
                  .mode = n->st.st_mode & 07777,
                  .mtime_s = n->st.st_mtim.tv_sec,
                  .mtime_ns = (uint32_t)n->st.st_mtim.tv_nsec},
        .place = {.origin = n, .path = n->path},
    };
    if (S_ISLNK(n->st.st_mode))
        out->entry.target = view_of(n->link);
    if (S_ISREG(n->st.st_mode))
        out->entry.size = out->place.size = (uint64_t)n->st.st_size;
    if (S_ISCHR(n->st.st_mode) || S_ISBLK(n->st.st_mode)) {
        out->entry.rdev_major = major(n->st.st_rdev);
        out->entry.rdev_minor = minor(n->st.st_rdev);
    }
    if (S_ISREG(n->st.st_mode) && n->st.st_nlink > 1) {
        out->link_key[0] = n->st.st_dev + 1;
        out->link_key[1] = n->st.st_ino + 1;
    }
}

static struct node *child_named(struct node *dir, struct view path)
{
    size_t low = 0;
    size_t high = dir->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = view_compare(dir->children[middle]->path, path);

        if (order == 0)
            return dir->children[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int find_node(struct build_context *c,
                     struct view path,
                     struct node **out,
                     struct error *err)
{
    struct node *n = &c->root;
    size_t end = 0;

    while (n && end < path.size) {
        if (!S_ISDIR(n->st.st_mode)) {
            n = NULL;
            break;
        }
        if (load(c, n, err) < 0)
            return -1;
        end += end > 0;
        while (end < path.size && path.data[end] != '/')
            end++;
        n = child_named(n, (struct view){path.data, end});
    }
    *out = n;
    return 0;
}

static int context_find(void *self,
                        struct view path,
                        bool *found,
                        struct build_tree_entry *out,
                        struct error *err)
{
    struct build_context *c = self;
    struct node *n = NULL;
    int status;

    pthread_mutex_lock(&c->lock);
    status = find_node(c, path, &n, err);
    if (status == 0 && n)
        to_entry(n, out);
    pthread_mutex_unlock(&c->lock);
    *found = n != NULL;
    return status;
}

static int walk_node(struct build_context *c,
                     struct node *n,
                     build_tree_visit_fn *visit,
                     void *context,
                     struct error *err)
{
    struct build_tree_entry e;
    int status;

    to_entry(n, &e);
    status = visit(context, &e, err);
    if (status <= 0 || !S_ISDIR(n->st.st_mode))
        return status < 0 ? -1 : 0;
    pthread_mutex_lock(&c->lock);
    status = load(c, n, err);
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; status == 0 && i < n->count; i++)
        status = walk_node(c, n->children[i], visit, context, err);
    return status;
}

static int context_walk(void *self,
                        struct view path,
                        build_tree_visit_fn *visit,
                        void *context,
                        struct error *err)
{
    struct build_context *c = self;
    struct node *n = NULL;
    int status;

    pthread_mutex_lock(&c->lock);
    status = find_node(c, path, &n, err);
    pthread_mutex_unlock(&c->lock);
    return status < 0 || !n ? status : walk_node(c, n, visit, context, err);
}

/* What was a file when it was looked at may be a pipe or a terminal by now. */
static int open_file(const struct build_context *c, struct view path, struct error *err)
{
    return fs_open_nofollow(c->fd, path.data, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
}

static int context_open(void *self,
                        const struct build_tree_place *place,
                        struct cas_content *out,
                        struct error *err)
{
    *out = (struct cas_content){.fd = open_file(self, place->path, err)};
    return out->fd < 0 ? -1 : 0;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Did nobody touch the file between the two? */
static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           is_same_time(a->st_mtim, b->st_mtim) && is_same_time(a->st_ctim, b->st_ctim);
}

/* Hashes the file and remembers the digest if nobody changed it meanwhile. */
static int hash_file(struct build_context *c,
                     const struct node *n,
                     struct digest *out,
                     struct error *err)
{
    enum { CHUNK = 1 << 18 };
    CLEANUP(fd_closep) int fd = open_file(c, n->path, err);
    CLEANUP(hasher_freep) struct hasher *h = NULL;
    CLEANUP(base_freep) char *chunk = NULL;
    struct stat after;
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
    if (is_same_file(&after, &n->st))
        cas_statcache_put(c->cache, n->path, &n->st, out);
    return 0;
}

static int context_digest(void *self,
                          const struct build_tree_place *place,
                          struct digest *out,
                          struct error *err)
{
    struct build_context *c = self;
    const struct node *n = place->origin;

    if (cas_statcache_find(c->cache, n->path, &n->st, out))
        return 0;
    return hash_file(c, n, out, err);
}

void build_context_remember(struct build_context *c,
                            const struct build_tree_place *place,
                            const struct digest *d)
{
    const struct node *n = place->origin;

    /* Had the file changed since, its ctime would have too: then this is never found. */
    cas_statcache_put(c->cache, n->path, &n->st, d);
}

struct build_context *build_context_open(struct cas_store *store,
                                         const char *path,
                                         struct dockerfile_ignore *ignore,
                                         struct error *err)
{
    struct build_context *c = base_alloc(sizeof *c);
    char *real = NULL;

    c->ignore = ignore;
    c->path = base_strdup(path);
    pthread_mutex_init(&c->lock, NULL);
    c->root.path = VIEW_LIT("");
    c->tree = (struct build_tree){.self = c,
                                  .find = context_find,
                                  .walk = context_walk,
                                  .open = context_open,
                                  .digest = context_digest};
    c->fd = fs_open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, err);
    if (c->fd < 0) {
        error_wrap(err, "build context");
        goto fail;
    }
    if (fstat(c->fd, &c->root.st) < 0 || !(real = realpath(path, NULL))) {
        error_sys(err, "build context %s", path);
        goto fail;
    }
    c->cache = cas_statcache_open(store, real, err);
    free(real);
    if (c->cache)
        return c;
fail:
    build_context_close(c);
    return NULL;
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
    dockerfile_ignore_free(c->ignore);
    node_release(&c->root);
    cas_arena_release(&c->arena);
    pthread_mutex_destroy(&c->lock);
    fd_closep(&c->fd);
    free(c->path);
    free(c);
}

const char *build_context_path(const struct build_context *c)
{
    return c->path;
}

int build_context_fd(const struct build_context *c)
{
    return c->fd;
}

struct build_tree *build_context_tree(struct build_context *c)
{
    return &c->tree;
}

bool build_context_is_ignored(struct build_context *c, const char *path)
{
    return c->ignore && dockerfile_ignore_match(c->ignore, view_of(path));
}
