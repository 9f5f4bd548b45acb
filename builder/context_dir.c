#include "builder/context_dir.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

/* A directory that is being read, and by whom. */
struct reading {
    struct context_dir *d;
    struct cas_arena *arena; /* the reader's own */
    struct context_node *dir;
    int fd;
    size_t capacity;
};

static int read_directory(struct context_dir *d,
                          struct cas_arena *arena,
                          struct context_node *dir,
                          struct error *err);

/* --- Nodes --- */

static void drop_children(struct context_node *dir);

/* All but what the arenas have. */
static void node_release(struct context_node *n)
{
    drop_children(n);
    free(n->link);
    free(n->state);
}

static void drop_children(struct context_node *dir)
{
    for (size_t i = 0; i < dir->count; i++)
        node_release(dir->children[i]);
    free(dir->children);
    dir->children = NULL;
    dir->count = 0;
}

static int compare_nodes(const void *a, const void *b)
{
    const struct context_node *const *x = a;
    const struct context_node *const *y = b;

    return view_compare((*x)->path, (*y)->path);
}

static struct context_node *child_named(struct context_node *dir, struct view path)
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

/* --- Reading one directory --- */

void context_node_know(struct context_node *n, const struct stat *st)
{
    n->stamp = cas_file_stamp_of(st);
    n->rdev = st->st_rdev;
    n->mode = st->st_mode;
    n->has_links = st->st_nlink > 1;
}

/* Decides whether the child is part of the context. */
static int judge(const struct reading *r,
                 struct context_node *child,
                 bool *kept,
                 struct error *err)
{
    const struct dockerfile_ignore *ignore = r->d->ignore;
    const bool is_dir = S_ISDIR(child->mode);

    *kept = true;
    if (!ignore)
        return 0;
    const size_t state_size = dockerfile_ignore_state_size(ignore);
    child->state = is_dir ? base_alloc(state_size ? state_size : 1) : NULL;
    child->is_ignored =
        dockerfile_ignore_step(ignore, child->path, r->dir->state, child->state);
    if (!child->is_ignored)
        return 0;
    *kept = false;
    if (!is_dir || !dockerfile_ignore_may_reinclude(ignore, child->path))
        return 0;
    /* Nobody else can see the child yet. */
    if (read_directory(r->d, r->arena, child, err) < 0)
        return -1;
    child->phase = CONTEXT_READ;
    *kept = child->count > 0;
    return 0;
}

static void adopt(struct reading *r, const struct context_node *child)
{
    struct context_node *n = cas_arena_alloc(r->arena, sizeof *n);

    *n = *child;
    r->dir->children =
        base_grow(r->dir->children, r->dir->count, &r->capacity, sizeof(void *));
    r->dir->children[r->dir->count++] = n;
}

static int read_entry(struct reading *r, const char *name, struct error *err)
{
    struct context_node child = {.path =
                                     cas_arena_join(r->arena, r->dir->path, view_of(name))};
    struct stat st;
    bool kept = false;
    int status = 0;

    if (fstatat(r->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        status = errno == ENOENT ? 0 : error_sys(err, "stat %.*s", VIEW_ARG(child.path));
    } else if (!S_ISSOCK(st.st_mode)) {
        context_node_know(&child, &st);
        status = judge(r, &child, &kept, err);
    }
    if (kept && S_ISLNK(child.mode)) {
        child.link = fs_readlink_at(r->fd, name, err);
        status = child.link ? 0 : -1;
    }
    if (kept)
        adopt(r, &child);
    else
        node_release(&child);
    return status;
}

/* Sets errno to 0 at the end, as readdir tells an end and an error by nothing else. */
static struct dirent *next_entry(DIR *stream)
{
    errno = 0;
    return readdir(stream);
}

/* All of a directory, or nothing. */
static int read_directory(struct context_dir *d,
                          struct cas_arena *arena,
                          struct context_node *dir,
                          struct error *err)
{
    struct reading r = {.d = d, .arena = arena, .dir = dir};
    struct dirent *entry;
    DIR *stream;
    int status = 0;

    r.fd = fs_open_nofollow(d->fd, dir->path.size ? dir->path.data : ".",
                            O_RDONLY | O_DIRECTORY, 0, err);
    if (r.fd < 0)
        return -1;
    stream = fdopendir(r.fd);
    if (!stream) {
        error_sys(err, "read directory %.*s", VIEW_ARG(dir->path));
        fd_closep(&r.fd);
        return -1;
    }
    while (status == 0 && (entry = next_entry(stream)) != NULL) {
        const struct view name = view_of(entry->d_name);

        if (!view_eq_text(name, ".") && !view_eq_text(name, ".."))
            status = read_entry(&r, entry->d_name, err);
    }
    if (status == 0 && errno != 0)
        status = error_sys(err, "read directory %.*s", VIEW_ARG(dir->path));
    closedir(stream);
    if (status < 0)
        drop_children(dir);
    else if (dir->count > 1)
        qsort(dir->children, dir->count, sizeof(struct context_node *), compare_nodes);
    return status;
}

/* --- Who reads it --- */

/* True: the directory is the caller's to read. False: it was read, by now. */
static bool claim(struct context_dir *d, struct context_node *dir, bool wait)
{
    bool is_ours;

    pthread_mutex_lock(&d->lock);
    while (wait && dir->phase == CONTEXT_READING)
        pthread_cond_wait(&d->was_read, &d->lock);
    is_ours = dir->phase == CONTEXT_UNREAD;
    if (is_ours)
        dir->phase = CONTEXT_READING;
    pthread_mutex_unlock(&d->lock);
    return is_ours;
}

static void finish(struct context_dir *d, struct context_node *dir, bool done)
{
    pthread_mutex_lock(&d->lock);
    dir->phase = done ? CONTEXT_READ : CONTEXT_UNREAD;
    pthread_cond_broadcast(&d->was_read);
    pthread_mutex_unlock(&d->lock);
}

int context_dir_read(struct context_dir *d, struct context_node *dir, struct error *err)
{
    int status = 0;

    if (dir->phase == CONTEXT_READ)
        return 0;
    pthread_mutex_lock(&d->demand);
    if (claim(d, dir, true)) {
        status = read_directory(d, &d->nodes, dir, err);
        finish(d, dir, status == 0);
    }
    pthread_mutex_unlock(&d->demand);
    return status;
}

/* From the last directory to the first; what fails here fails again when it is asked for.
 */
static void read_backwards(struct context_dir *d, struct context_node *dir)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    if (atomic_load(&d->stop))
        return;
    if (claim(d, dir, false))
        finish(d, dir, read_directory(d, &d->ahead, dir, &ignored) == 0);
    if (dir->phase != CONTEXT_READ)
        return;
    for (size_t i = dir->count; i-- > 0;)
        if (S_ISDIR(dir->children[i]->mode))
            read_backwards(d, dir->children[i]);
}

struct ahead {
    struct context_dir *d;
    struct context_node *dir;
};

static void run_ahead(void *arg)
{
    CLEANUP(base_freep) struct ahead *a = arg;

    read_backwards(a->d, a->dir);
}

void context_dir_read_ahead(struct context_dir *d, struct context_node *dir)
{
    struct ahead *a = NULL;

    pthread_mutex_lock(&d->lock);
    if (!d->reader) {
        d->reader = pool_new(1);
        a = base_alloc(sizeof *a);
        *a = (struct ahead){d, dir};
    }
    pthread_mutex_unlock(&d->lock);
    if (a)
        pool_submit(d->reader, run_ahead, a);
}

int context_dir_find(struct context_dir *d,
                     struct view path,
                     struct context_node **out,
                     struct error *err)
{
    struct context_node *n = &d->root;
    size_t end = 0;

    while (n && end < path.size) {
        if (!S_ISDIR(n->mode)) {
            n = NULL;
            break;
        }
        if (context_dir_read(d, n, err) < 0)
            return -1;
        end += end > 0;
        while (end < path.size && path.data[end] != '/')
            end++;
        n = child_named(n, (struct view){path.data, end});
    }
    *out = n;
    return 0;
}

void context_dir_init(struct context_dir *d, int fd, const struct dockerfile_ignore *ignore)
{
    d->fd = fd;
    d->ignore = ignore;
    d->root.path = VIEW_LIT("");
    pthread_mutex_init(&d->demand, NULL);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->was_read, NULL);
}

void context_dir_release(struct context_dir *d)
{
    atomic_store(&d->stop, true);
    pool_free(d->reader);
    node_release(&d->root);
    cas_arena_release(&d->nodes);
    cas_arena_release(&d->ahead);
    pthread_cond_destroy(&d->was_read);
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->demand);
    fd_closep(&d->fd);
}
