#include "builder/import_tree.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A file with several names: the first one in order is the file, the others link to it. */
struct inode {
    dev_t dev;
    ino_t ino;
    size_t entry;
};

struct import_tree {
    int root_fd; /* borrowed */
    dev_t dev;
    struct cas_entry *entries; /* texts and xattrs owned */
    size_t count;
    size_t capacity;
    struct inode *inodes; /* open addressing; a power of two; dev 0 and ino 0: free */
    size_t inode_slots;
    size_t inode_count;
    struct buf path; /* of the directory that is being read */
};

static void *unconst(const void *p)
{
    union {
        const void *in;
        void *out;
    } owned = {p};

    return owned.out;
}

static void entry_release(struct cas_entry *e)
{
    for (size_t i = 0; i < e->xattr_count; i++) {
        free(unconst(e->xattrs[i].name.data));
        free(unconst(e->xattrs[i].value.data));
    }
    free(unconst(e->xattrs));
    free(unconst(e->path.data));
    free(unconst(e->target.data));
}

void import_tree_free(struct import_tree *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        entry_release(&t->entries[i]);
    free(t->entries);
    free(t->inodes);
    buf_release(&t->path);
    free(t);
}

void import_tree_freep(struct import_tree **t)
{
    import_tree_free(*t);
    *t = NULL;
}

/* --- Hard links --------------------------------------------------------------------- */

static struct inode *inode_slot(struct inode *slots, size_t count, dev_t dev, ino_t ino)
{
    uint64_t hash = ((uint64_t)ino ^ (uint64_t)dev << 32) * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(hash >> 20) & (count - 1);

    while (slots[i].ino != 0 && (slots[i].ino != ino || slots[i].dev != dev))
        i = (i + 1) & (count - 1);
    return &slots[i];
}

static void inodes_grow(struct import_tree *t)
{
    const size_t slots = t->inode_slots > 0 ? t->inode_slots * 2 : 256;
    struct inode *const next = base_alloc_array(slots, sizeof next[0]);

    for (size_t i = 0; i < t->inode_slots; i++) {
        if (t->inodes[i].ino != 0)
            *inode_slot(next, slots, t->inodes[i].dev, t->inodes[i].ino) = t->inodes[i];
    }
    free(t->inodes);
    t->inodes = next;
    t->inode_slots = slots;
}

/* True if the file was met before: then *first is its entry. */
static bool link_find(struct import_tree *t, const struct stat *st, size_t *first)
{
    struct inode *slot;

    if (t->inode_count * 2 >= t->inode_slots)
        inodes_grow(t);
    slot = inode_slot(t->inodes, t->inode_slots, st->st_dev, st->st_ino);
    if (slot->ino != 0) {
        *first = slot->entry;
        return true;
    }
    *slot = (struct inode){st->st_dev, st->st_ino, t->count};
    t->inode_count++;
    return false;
}

/* --- Attributes --------------------------------------------------------------------- */

/* What belongs to this machine (labels of its security module, its overlays) stays here. */
static bool xattr_is_kept(const char *name)
{
    return strncmp(name, "user.", 5) == 0 ? strncmp(name, "user.overlay.", 13) != 0
                                          : strcmp(name, "security.capability") == 0;
}

static int xattr_compare(const void *a, const void *b)
{
    const struct cas_xattr *const x = a;
    const struct cas_xattr *const y = b;

    return view_compare(x->name, y->name);
}

static int xattr_add(
    struct cas_entry *e, int fd, const char *name, size_t *capacity, struct error *err)
{
    CLEANUP(buf_release) struct buf value = BUF_INIT(LIMIT_XATTR_SIZE);
    struct cas_xattr *list = unconst(e->xattrs);

    if (fs_get_xattr(fd, name, &value, err) < 0)
        return -1;
    list = base_grow(list, e->xattr_count, capacity, sizeof list[0]);
    list[e->xattr_count].name = view_of(base_strdup(name));
    list[e->xattr_count].value = (struct view){base_strdup(""), 0};
    if (value.size > 0) {
        free(unconst(list[e->xattr_count].value.data));
        list[e->xattr_count].value.size = value.size;
        list[e->xattr_count].value.data = buf_take(&value);
    }
    e->xattr_count++;
    e->xattrs = list;
    return 0;
}

static int xattrs_read(int fd, struct cas_entry *e, struct error *err)
{
    CLEANUP(base_freep) char *names = NULL;
    size_t size = 0;
    size_t capacity = 0;

    if (fs_list_xattrs(fd, &names, &size, err) < 0)
        return -1;
    for (size_t at = 0; at < size; at += strlen(names + at) + 1) {
        if (xattr_is_kept(names + at) && xattr_add(e, fd, names + at, &capacity, err) < 0)
            return -1;
    }
    if (e->xattr_count > 1)
        qsort(unconst(e->xattrs), e->xattr_count, sizeof e->xattrs[0], xattr_compare);
    return 0;
}

static void attributes_set(struct cas_entry *e, const struct stat *st)
{
    e->type = cas_entry_type_of(st->st_mode);
    e->mode = st->st_mode & 07777;
    e->uid = st->st_uid;
    e->gid = st->st_gid;
    e->mtime_s = st->st_mtim.tv_sec;
    e->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
    if (e->type == CAS_ENTRY_CHAR || e->type == CAS_ENTRY_BLOCK) {
        e->rdev_major = major(st->st_rdev);
        e->rdev_minor = minor(st->st_rdev);
    }
    if (e->type == CAS_ENTRY_FILE)
        e->size = (uint64_t)st->st_size;
}

/* --- The walk ----------------------------------------------------------------------- */

/* Reads what `fd` (O_PATH) is and adds it under the current path. */
static int entry_add(struct import_tree *t,
                     int fd,
                     const struct stat *st,
                     struct error *err)
{
    struct cas_entry e = {0};
    size_t first = 0;

    if (t->count >= LIMIT_LAYER_ENTRIES)
        return error_set(err, ERROR_LIMIT, "more files than a layer can hold");
    attributes_set(&e, st);
    if (e.type == CAS_ENTRY_FILE && st->st_nlink > 1 && link_find(t, st, &first)) {
        e.type = CAS_ENTRY_HARDLINK;
        e.size = 0;
        e.target = view_of(base_strdup(t->entries[first].path.data));
    } else if (e.type == CAS_ENTRY_SYMLINK) {
        char *const target = fs_readlink_at(fd, "", err);

        if (target == NULL)
            return -1;
        e.target = view_of(target);
    }
    e.path = view_of(base_strdup(buf_text(&t->path)));
    if (e.type != CAS_ENTRY_HARDLINK && e.type != CAS_ENTRY_SYMLINK &&
        xattrs_read(fd, &e, err) < 0) {
        entry_release(&e);
        return -1;
    }
    t->entries = base_grow(t->entries, t->count, &t->capacity, sizeof e);
    t->entries[t->count++] = e;
    return 0;
}

/* The names in a directory, sorted bytewise. */
struct names {
    char **items;
    size_t count;
    size_t capacity;
};

static void names_release(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i]);
    free(n->items);
}

static int name_compare(const void *a, const void *b)
{
    const char *const *const x = a;
    const char *const *const y = b;

    return strcmp(*x, *y);
}

static void dir_closep(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
    *dir = NULL;
}

static int names_read(const struct import_tree *t, struct names *out, struct error *err)
{
    const char *const path = t->path.size > 0 ? buf_text(&t->path) : ".";
    CLEANUP(fd_closep)
    int fd = fs_open_nofollow(t->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, err);
    CLEANUP(dir_closep) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    if (fd < 0)
        return -1;
    if (dir == NULL)
        return error_sys(err, "read directory");
    fd_take(&fd); /* the stream's now */
    errno = 0;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        out->items = base_grow(out->items, out->count, &out->capacity, sizeof(char *));
        out->items[out->count++] = base_strdup(entry->d_name);
    }
    if (errno != 0)
        return error_sys(err, "read directory");
    if (out->count > 1)
        qsort(out->items, out->count, sizeof(char *), name_compare);
    return 0;
}

static int dir_walk(struct import_tree *t, struct error *err);

/* One thing at the current path; *is_dir: it is to be entered. */
static int path_add(struct import_tree *t, bool *is_dir, struct error *err)
{
    CLEANUP(fd_closep)
    int fd = fs_open_nofollow(t->root_fd, buf_text(&t->path),
                              O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, err);
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0)
        return error_sys(err, "stat");
    *is_dir = S_ISDIR(st.st_mode) && st.st_dev == t->dev;
    return cas_entry_type_of(st.st_mode) == 0 ? 0 : entry_add(t, fd, &st, err);
}

/* Depth is bounded by the length of a path, which the kernel refuses past PATH_MAX. */
static int child_walk(struct import_tree *t, const char *name, struct error *err)
{
    const size_t parent_size = t->path.size;
    bool is_dir = false;
    int result;

    if (parent_size > 0)
        buf_append_char(&t->path, '/');
    buf_append_text(&t->path, name);
    result = buf_ok(&t->path, "path", err);
    if (result == 0)
        result = path_add(t, &is_dir, err);
    if (result < 0)
        return error_wrap(err, "%s", buf_text(&t->path));
    if (is_dir)
        result = dir_walk(t, err);
    t->path.size = parent_size;
    t->path.data[parent_size] = '\0';
    return result;
}

static int dir_walk(struct import_tree *t, struct error *err)
{
    CLEANUP(names_release) struct names names = {0};

    if (names_read(t, &names, err) < 0)
        return error_wrap(err, "%s", t->path.size > 0 ? buf_text(&t->path) : "/");
    for (size_t i = 0; i < names.count; i++) {
        if (child_walk(t, names.items[i], err) < 0)
            return -1;
    }
    return 0;
}

struct import_tree *import_tree_read(int root_fd, struct error *err)
{
    struct import_tree *const t = base_alloc(sizeof *t);
    struct stat st;

    t->root_fd = root_fd;
    buf_init(&t->path, LIMIT_PATH_SIZE);
    if (fstat(root_fd, &st) < 0) {
        error_sys(err, "stat");
        import_tree_free(t);
        return NULL;
    }
    t->dev = st.st_dev;
    if (dir_walk(t, err) < 0) {
        import_tree_free(t);
        return NULL;
    }
    return t;
}

struct cas_entry *import_tree_entries(struct import_tree *t, size_t *count)
{
    *count = t->count;
    return t->entries;
}

int import_tree_content(void *context, size_t i, struct cas_content *out, struct error *err)
{
    const struct import_tree *const t = context;

    out->fd = fs_open_nofollow(t->root_fd, t->entries[i].path.data,
                               O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0, err);
    return out->fd >= 0 ? 0 : -1;
}
