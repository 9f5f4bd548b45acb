#include "cas/owner.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define TABLE_HEAD "cooper-owners 1\n"
#define TABLE_NAME "owners"

/* Half as many slots as entries at least stay empty. */
struct slot {
    bool used;
    struct cas_owner_key key;
    struct cas_owner owner;
};

struct cas_owners {
    pthread_mutex_t lock;
    struct slot *slots;
    size_t room; /* a power of two, or 0 */
    atomic_size_t count;
};

/* --- Where --- */

/* One line "inside outside 1". A map that cannot be read limits nothing. */
static bool maps_one(const char *path)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct view line;

    if (fs_read_file_at(AT_FDCWD, path, &text, &ignored) < 0)
        return false;
    line = view_trim(buf_view(&text));
    return line.size > 2 && !memchr(line.data, '\n', line.size) &&
           line.data[line.size - 1] == '1' && line.data[line.size - 2] == ' ';
}

bool cas_owners_are_recorded(void)
{
    return !fs_capable(CAP_CHOWN) || maps_one("/proc/self/uid_map") ||
           maps_one("/proc/self/gid_map");
}

/* --- The table --- */

struct cas_owners *cas_owners_new(void)
{
    struct cas_owners *t = base_alloc(sizeof *t);

    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void cas_owners_free(struct cas_owners *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t->slots);
    free(t);
}

void cas_owners_freep(struct cas_owners **t)
{
    cas_owners_free(*t);
    *t = NULL;
}

static size_t hash_of(const struct cas_owner_key *key)
{
    uint64_t h = key->ino * UINT64_C(0x9e3779b97f4a7c15);

    h ^= ((uint64_t)key->born_s << 30) ^ key->born_ns;
    h *= UINT64_C(0xbf58476d1ce4e5b9);
    return (size_t)(h ^ (h >> 31));
}

static bool same_key(const struct cas_owner_key *a, const struct cas_owner_key *b)
{
    return a->ino == b->ino && a->born_s == b->born_s && a->born_ns == b->born_ns;
}

/* The slot of the key, or the empty one where it belongs. */
static struct slot *slot_of(struct slot *slots,
                            size_t room,
                            const struct cas_owner_key *key)
{
    size_t at = hash_of(key) & (room - 1);

    while (slots[at].used && !same_key(&slots[at].key, key))
        at = (at + 1) & (room - 1);
    return &slots[at];
}

static void grow_locked(struct cas_owners *t)
{
    const size_t room = t->room ? t->room * 2 : 64;
    struct slot *const slots = base_alloc_array(room, sizeof *slots);

    for (size_t i = 0; i < t->room; i++)
        if (t->slots[i].used)
            *slot_of(slots, room, &t->slots[i].key) = t->slots[i];
    free(t->slots);
    t->slots = slots;
    t->room = room;
}

void cas_owners_put(struct cas_owners *t,
                    const struct cas_owner_key *key,
                    const struct cas_owner *owner)
{
    pthread_mutex_lock(&t->lock);
    if (t->count * 2 >= t->room)
        grow_locked(t);

    struct slot *const s = slot_of(t->slots, t->room, key);

    if (!s->used)
        t->count++;
    *s = (struct slot){.used = true, .key = *key, .owner = *owner};
    pthread_mutex_unlock(&t->lock);
}

bool cas_owners_find(struct cas_owners *t,
                     const struct cas_owner_key *key,
                     struct cas_owner *out)
{
    bool found = false;

    if (t->count == 0)
        return false;
    pthread_mutex_lock(&t->lock);

    const struct slot *const s = slot_of(t->slots, t->room, key);

    found = s->used;
    if (found)
        *out = s->owner;
    pthread_mutex_unlock(&t->lock);
    return found;
}

bool cas_owners_is_empty(struct cas_owners *t)
{
    return t->count == 0;
}

int cas_owner_key(int dir_fd, const char *name, struct cas_owner_key *out)
{
    struct statx st;

    if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_INO | STATX_BTIME,
              &st) < 0)
        return -1;
    *out = (struct cas_owner_key){.ino = st.stx_ino};
    /* A file system without times of birth has to do with the number. */
    if (st.stx_mask & STATX_BTIME) {
        out->born_s = st.stx_btime.tv_sec;
        out->born_ns = st.stx_btime.tv_nsec;
    }
    return 0;
}

/* --- The attribute --- */

enum { VALUE_SIZE_MAX = 64, PATH_SIZE = 32 + LIMIT_NAME_SIZE };

static bool cut_number(struct view *text, uint32_t *out)
{
    struct view word;
    uint64_t number = 0;

    view_cut(*text, ' ', &word, text);
    if (!view_to_u64(word, &number) || number > UINT32_MAX)
        return false;
    *out = (uint32_t)number;
    return true;
}

bool cas_owner_parse(struct view text, struct cas_owner *out)
{
    struct view word;

    *out = (struct cas_owner){0};
    if (!cut_number(&text, &out->uid) || !cut_number(&text, &out->gid))
        return false;
    if (text.size == 0)
        return true;
    view_cut(text, ' ', &word, &text);
    if (!view_eq_text(word, "c") && !view_eq_text(word, "b"))
        return false;
    out->device = word.data[0] == 'c' ? CAS_ENTRY_CHAR : CAS_ENTRY_BLOCK;
    return cut_number(&text, &out->rdev_major) && cut_number(&text, &out->rdev_minor) &&
           text.size == 0;
}

static size_t format_value(const struct cas_owner *o, char *out)
{
    int size = snprintf(out, VALUE_SIZE_MAX, "%" PRIu32 " %" PRIu32, o->uid, o->gid);

    if (o->device)
        size +=
            snprintf(out + size, VALUE_SIZE_MAX - (size_t)size, " %c %" PRIu32 " %" PRIu32,
                     o->device == CAS_ENTRY_CHAR ? 'c' : 'b', o->rdev_major, o->rdev_minor);
    return (size_t)size;
}

/* A path by which the attribute calls, which know no descriptor of O_PATH, find the file;
 * theirs that follow no symlink go with a name, the others through /proc's link. */
static void path_of(int dir_fd, const char *name, char *out)
{
    if (*name)
        snprintf(out, PATH_SIZE, "/proc/self/fd/%d/%s", dir_fd, name);
    else
        snprintf(out, PATH_SIZE, "/proc/self/fd/%d", dir_fd);
}

static ssize_t get_value(int dir_fd, const char *name, char *value)
{
    char path[PATH_SIZE];

    path_of(dir_fd, name, path);
    return *name ? lgetxattr(path, CAS_OWNER_XATTR, value, VALUE_SIZE_MAX)
                 : getxattr(path, CAS_OWNER_XATTR, value, VALUE_SIZE_MAX);
}

static int set_value(int dir_fd, const char *name, const struct cas_owner *o)
{
    char value[VALUE_SIZE_MAX];
    char path[PATH_SIZE];
    const size_t size = format_value(o, value);

    path_of(dir_fd, name, path);
    return *name ? lsetxattr(path, CAS_OWNER_XATTR, value, size, 0)
                 : setxattr(path, CAS_OWNER_XATTR, value, size, 0);
}

static int remove_value(int dir_fd, const char *name)
{
    char path[PATH_SIZE];

    path_of(dir_fd, name, path);
    return *name ? lremovexattr(path, CAS_OWNER_XATTR) : removexattr(path, CAS_OWNER_XATTR);
}

/* --- Both --- */

int cas_owner_read(
    struct cas_owners *t, int dir_fd, const char *name, struct cas_owner *out, bool *found)
{
    char value[VALUE_SIZE_MAX];
    struct cas_owner_key key;
    const ssize_t size = get_value(dir_fd, name, value);

    if (size >= 0) {
        *found = cas_owner_parse((struct view){value, (size_t)size}, out);
        return 0;
    }
    *found = false;
    *out = (struct cas_owner){0};
    if (errno != ENODATA && errno != ENOTSUP && errno != EPERM && errno != EACCES &&
        errno != ERANGE)
        return -1;
    if (cas_owners_is_empty(t))
        return 0;
    if (cas_owner_key(dir_fd, name, &key) < 0)
        return -1;
    *found = cas_owners_find(t, &key, out);
    return 0;
}

static int write_table(struct cas_owners *t,
                       int dir_fd,
                       const char *name,
                       const struct cas_owner *owner,
                       bool forget)
{
    struct cas_owner_key key;
    struct cas_owner old;

    if (forget && cas_owners_is_empty(t))
        return 0;
    if (cas_owner_key(dir_fd, name, &key) < 0)
        return -1;
    if (!forget || cas_owners_find(t, &key, &old))
        cas_owners_put(t, &key, owner);
    return 0;
}

int cas_owner_write(struct cas_owners *t,
                    int dir_fd,
                    const char *name,
                    const struct cas_owner *owner)
{
    const bool forget = owner->uid == 0 && owner->gid == 0 && !owner->device;
    const int result = forget ? remove_value(dir_fd, name) : set_value(dir_fd, name, owner);

    if (result == 0 || (forget && errno == ENODATA))
        return 0;
    if (errno != ENOTSUP && errno != EPERM && errno != EACCES)
        return -1;
    return write_table(t, dir_fd, name, owner, forget);
}

int cas_owner_apply(struct cas_owners *t, int dir_fd, const char *name, struct cas_entry *e)
{
    struct cas_owner owner;
    bool found = false;

    if (cas_owner_read(t, dir_fd, name, &owner, &found) < 0)
        return -1;
    /* Without a user namespace this process is not called 0. */
    if (!found && e->uid != geteuid())
        return 0;
    e->uid = owner.uid;
    e->gid = owner.gid;
    if (owner.device && e->type == CAS_ENTRY_FILE) {
        e->type = owner.device;
        e->rdev_major = owner.rdev_major;
        e->rdev_minor = owner.rdev_minor;
        e->size = 0;
    }
    return 0;
}

/* --- The file --- */

static bool parse_line(struct view line, struct cas_owner_key *key, struct cas_owner *owner)
{
    struct view word;
    uint64_t seconds = 0;

    *owner = (struct cas_owner){0};
    view_cut(line, ' ', &word, &line);
    if (!view_to_u64(word, &key->ino))
        return false;
    view_cut(line, ' ', &word, &line);
    if (!view_to_u64(word, &seconds) || seconds > INT64_MAX)
        return false;
    key->born_s = (int64_t)seconds;
    return cut_number(&line, &key->born_ns) && cut_number(&line, &owner->uid) &&
           cut_number(&line, &owner->gid) && line.size == 0;
}

int cas_owners_load(struct cas_owners *t, int fs_fd, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_OWNERS_SIZE);
    struct view rest, line;

    if (fs_read_file_at(fs_fd, "../" TABLE_NAME, &text, err) < 0) {
        if (err->sys != ENOENT)
            return error_wrap(err, "recorded owners");
        error_clear(err);
        return 0;
    }
    rest = buf_view(&text);
    if (!view_starts(rest, TABLE_HEAD))
        return error_set(err, ERROR_CORRUPT, "recorded owners: no table");
    for (rest = view_sub(rest, sizeof TABLE_HEAD - 1, rest.size); rest.size > 0;) {
        struct cas_owner_key key;
        struct cas_owner owner;

        view_cut(rest, '\n', &line, &rest);
        if (!parse_line(line, &key, &owner))
            return error_set(err, ERROR_CORRUPT, "recorded owners: '%.*s' is no owner",
                             VIEW_ARG(line));
        cas_owners_put(t, &key, &owner);
    }
    return 0;
}

int cas_owners_save(struct cas_owners *t, int scratch_fd, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_OWNERS_SIZE);
    CLEANUP(fd_closep) int fd = -1;

    if (cas_owners_is_empty(t))
        return 0;
    buf_append_text(&text, TABLE_HEAD);
    for (size_t i = 0; i < t->room; i++) {
        const struct slot *const s = &t->slots[i];

        if (s->used)
            buf_printf(
                &text, "%" PRIu64 " %" PRId64 " %" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
                s->key.ino, s->key.born_s, s->key.born_ns, s->owner.uid, s->owner.gid);
    }
    fd = fs_open_at(scratch_fd, TABLE_NAME, O_WRONLY | O_CREAT | O_TRUNC, 0600, err);
    if (fd < 0 || buf_ok(&text, "recorded owners", err) < 0)
        return -1;
    return fs_write_all(fd, text.data, text.size, err);
}
