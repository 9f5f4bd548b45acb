#include "builder/builds.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/journal.h"
#include "cas/note.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { TIME_DIGITS = 8, TICK_NS = 10000000 };

/* Without letters that look like digits; in the order of their bytes. */
static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

/* --- IDs --- */

static void put_digits(char *out, size_t count, uint64_t value)
{
    for (size_t i = count; i > 0; i--, value >>= 5)
        out[i - 1] = digits[value & 31];
}

void build_id_make(int64_t time_ns, char out[BUILD_ID_SIZE + 1])
{
    uint32_t chance = 0;

    /* Two builds within 10 ms on a machine without random numbers: the second one's entry
     * replaces the first's. */
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) < 0)
        chance = (uint32_t)getpid();
    put_digits(out, TIME_DIGITS, (uint64_t)(time_ns / TICK_NS));
    put_digits(out + TIME_DIGITS, BUILD_ID_SIZE - TIME_DIGITS, chance);
    out[BUILD_ID_SIZE] = '\0';
}

bool build_id_time(const char *id, int64_t *time_ns)
{
    uint64_t ticks = 0;

    if (strlen(id) != BUILD_ID_SIZE || strspn(id, digits) != BUILD_ID_SIZE)
        return false;
    for (size_t i = 0; i < TIME_DIGITS; i++)
        ticks = ticks << 5 | (uint64_t)(strchr(digits, id[i]) - digits);
    *time_ns = (int64_t)ticks * TICK_NS;
    return true;
}

/* --- Listing --- */

static void dir_closep(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

static int compare_newest(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*y, *x);
}

void build_ids_release(struct build_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        free(ids->items[i]);
    free(ids->items);
    *ids = (struct build_ids){0};
}

int build_builds_list(struct cas_store *s, struct build_ids *out, struct error *err)
{
    const int fd =
        openat(cas_store_fd(s), BUILD_JOURNAL_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(dir_closep) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    int64_t time_ns;

    if (!dir)
        return errno == ENOENT ? 0 : error_sys(err, "open the store's journal");
    while ((e = readdir(dir))) {
        if (!build_id_time(e->d_name, &time_ns))
            continue;
        out->items = base_grow(out->items, out->count, &out->capacity, sizeof(char *));
        out->items[out->count++] = base_strdup(e->d_name);
    }
    if (out->count > 1)
        qsort(out->items, out->count, sizeof(char *), compare_newest);
    return 0;
}

static char *find_nth(const struct build_ids *ids, uint64_t n, struct error *err)
{
    if (n < ids->count)
        return base_strdup(ids->items[n]);
    if (ids->count == 0)
        error_set(err, ERROR_NOT_FOUND, "the journal of this store holds no build");
    else
        error_set(err, ERROR_NOT_FOUND, "there are %zu builds only", ids->count);
    return NULL;
}

static char *find_prefix(const struct build_ids *ids, const char *typed, struct error *err)
{
    const char *found = NULL;

    for (size_t i = 0; i < ids->count; i++) {
        if (strncmp(ids->items[i], typed, strlen(typed)) != 0)
            continue;
        if (found) {
            error_set(err, ERROR_INVALID, "%s fits several builds, %s and %s", typed, found,
                      ids->items[i]);
            return NULL;
        }
        found = ids->items[i];
    }
    if (!found)
        error_set(err, ERROR_NOT_FOUND, "no build %s: 'cooper builds' lists them", typed);
    return base_strdup(found);
}

char *build_builds_find(struct cas_store *s, const char *typed, struct error *err)
{
    CLEANUP(build_ids_release) struct build_ids ids = {0};
    uint64_t n = 0;

    if (build_builds_list(s, &ids, err) < 0)
        return NULL;
    if (!typed || strcmp(typed, "latest") == 0)
        return find_nth(&ids, 0, err);
    if (typed[0] == '^' && view_to_u64(view_of(typed + 1), &n))
        return find_nth(&ids, n, err);
    return find_prefix(&ids, typed, err);
}

/* --- Reading --- */

static int dir_open(struct cas_store *s, const char *id, struct error *err)
{
    CLEANUP(base_freep) char *path = base_format(BUILD_JOURNAL_DIR "/%s", id);
    const int fd =
        openat(cas_store_fd(s), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 && errno == ENOENT)
        return error_set(err, ERROR_NOT_FOUND, "no build %s", id);
    return fd < 0 ? error_sys(err, "open %s", path) : fd;
}

/* A build that runs holds the lock alone. */
static bool is_running(int dir_fd)
{
    if (flock(dir_fd, LOCK_SH | LOCK_NB) < 0)
        return true;
    flock(dir_fd, LOCK_UN);
    return false;
}

struct doc *build_builds_read(struct cas_store *s, const char *id, struct error *err)
{
    CLEANUP(base_freep)
    char *path = base_format(BUILD_JOURNAL_DIR "/%s/" BUILD_JOURNAL_ENTRY, id);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(fd_closep) int dir_fd = dir_open(s, id, err);
    struct doc *d;
    bool found = false;
    int64_t version = 0;

    if (dir_fd < 0)
        return NULL;
    /* Asked before the entry is read: a build that ends meanwhile is not taken for killed.
     */
    const bool running = is_running(dir_fd);
    if (cas_note_read(s, path, &text, &found, err) < 0)
        return NULL;
    d = found ? doc_parse(buf_view(&text), err) : doc_new_object();
    if (!d || (found && (!doc_int(doc_get(d, "version"), &version) ||
                         version != BUILD_JOURNAL_VERSION))) {
        doc_unref(d);
        error_set(err, ERROR_CORRUPT, "the entry of build %s is damaged", id);
        return NULL;
    }
    doc_set_text(d, "id", id);
    if (!found)
        doc_set_text(d, "status", running ? "running" : "killed");
    else if (!running && view_eq_text(doc_view(doc_get(d, "status")), "running"))
        doc_set_text(d, "status", "killed");
    return d;
}

int build_builds_log(
    struct cas_store *s, const char *id, unsigned number, bool *found, struct error *err)
{
    CLEANUP(base_freep)
    char *path = base_format(BUILD_JOURNAL_DIR "/%s/%u.log", id, number);
    const int fd = openat(cas_store_fd(s), path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    *found = fd >= 0;
    return fd >= 0 || errno == ENOENT ? fd : error_sys(err, "open %s", path);
}

int build_builds_hold(struct cas_store *s, const char *id, struct error *err)
{
    CLEANUP(fd_closep) int fd = dir_open(s, id, err);

    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? error_set(err, ERROR_FAILED, "build %s still runs", id)
                   : error_sys(err, "lock build %s", id);
    return fd_take(&fd);
}

/* --- Removing --- */

int build_builds_remove(struct cas_store *s,
                        const char *id,
                        bool *removed,
                        struct error *err)
{
    CLEANUP(base_freep) char *path = base_format(BUILD_JOURNAL_DIR "/%s", id);
    CLEANUP(fd_closep) int fd = dir_open(s, id, err);

    *removed = false;
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return 0;
    if (fs_remove_tree_at(cas_store_fd(s), path, err) < 0)
        return error_wrap(err, "remove build %s", id);
    *removed = true;
    return 0;
}

int build_builds_prune(struct cas_store *s, size_t count, int days, struct error *err)
{
    CLEANUP(build_ids_release) struct build_ids ids = {0};
    struct timespec now;
    int64_t made;

    clock_gettime(CLOCK_REALTIME, &now);
    if (build_builds_list(s, &ids, err) < 0)
        return -1;
    for (size_t i = 0; i < ids.count; i++) {
        CLEANUP(error_clear) struct error gone = ERROR_INIT;
        bool removed;

        if (i < count && build_id_time(ids.items[i], &made) &&
            made / 1000000000 + (int64_t)days * 86400 > now.tv_sec)
            continue;
        /* Another process may be removing the same. */
        if (build_builds_remove(s, ids.items[i], &removed, &gone) < 0 &&
            gone.code != ERROR_NOT_FOUND)
            return error_move(err, &gone);
    }
    return 0;
}
