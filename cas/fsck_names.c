/* What stands in the store and is not of cooper's making; what killed processes left. */
#include "cas/fsck_priv.h"

#include "base/alloc.h"
#include "base/view.h"
#include "cas/store_priv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef bool knows_fn(const char *name, mode_t mode);

static bool is_hex(const char *name, size_t size)
{
    return strspn(name, "0123456789abcdef") >= size && strlen(name) >= size;
}

static bool knows_root(const char *name, mode_t mode)
{
    static const char *const names[] = {
        "blobs",          "index",       "layers",         "mounts",     "git",
        "builds",         "stat",        "steps",          "ingest",     "leases",
        "meta.db",        "meta.db-wal", "meta.db-shm",    "oci-layout", "index.json",
        "oci-layout.new", "lost+found",  "index.json.new", "uploads",    "provenance",
    };

    (void)mode;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static bool knows_algorithm(const char *name, mode_t mode)
{
    return S_ISDIR(mode) && (strcmp(name, "sha256") == 0 || strcmp(name, "sha512") == 0);
}

static bool knows_sha256(const char *name, mode_t mode)
{
    return S_ISREG(mode) && strlen(name) == 64 && is_hex(name, 64);
}

static bool knows_sha512(const char *name, mode_t mode)
{
    return S_ISREG(mode) && strlen(name) == 128 && is_hex(name, 128);
}

static bool knows_layer(const char *name, mode_t mode)
{
    return S_ISDIR(mode) && (name[0] == 'd' || name[0] == 'c') &&
           strncmp(name + 1, "-sha256-", 8) == 0 && is_hex(name + 9, 64);
}

/* "HEX", "HEX-1", and their locks. */
static bool knows_mount(const char *name, mode_t mode)
{
    return is_hex(name, 64) && (S_ISDIR(mode) || view_ends(view_of(name), ".lock"));
}

static bool knows_source(const char *name, mode_t mode)
{
    return (S_ISDIR(mode) && is_hex(name, 32)) || view_starts(view_of(name), "known_hosts");
}

static bool knows_build(const char *name, mode_t mode)
{
    return S_ISDIR(mode) && strlen(name) == 12;
}

static const struct {
    const char *dir;
    knows_fn *knows;
} rooms[] = {
    {".", knows_root},
    {"blobs", knows_algorithm},
    {"blobs/sha256", knows_sha256},
    {"blobs/sha512", knows_sha512},
    {"index", knows_algorithm},
    {"index/sha256", knows_sha256},
    {"index/sha512", knows_sha512},
    {"layers", knows_layer},
    {"mounts", knows_mount},
    {"git", knows_source},
    {"builds", knows_build},
    {"stat", knows_sha256},
    {"steps", knows_sha256},
    {"uploads", knows_sha256},
    {"provenance", knows_sha256},
};

static int check_room(struct fsck *f, const char *dir, knows_fn *knows, struct error *err)
{
    struct fsck_names names;

    if (fsck_names_read(f, dir, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(base_freep)
        char *path = strcmp(dir, ".") == 0 ? base_strdup(names.items[i])
                                           : base_format("%s/%s", dir, names.items[i]);
        struct stat st;
        if (fstatat(f->store->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            !knows(names.items[i], st.st_mode))
            fsck_note(f, CAS_FSCK_UNKNOWN, path,
                      base_strdup("was not made by cooper, and is left alone"));
    }
    fsck_names_release(&names);
    return 0;
}

/* Opening the store cleared what could be; what is there now belongs to a lease that is
 * held, or to ids that this user does not have. */
static int check_leftovers(struct fsck *f, struct error *err)
{
    struct fsck_names names;

    if (fsck_names_read(f, "ingest", &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(base_freep) char *lease = base_format("leases/%.32s", names.items[i]);
        CLEANUP(base_freep) char *path = base_format("ingest/%s", names.items[i]);
        fsck_count(f, CAS_FSCK_LEFTOVER, 0);
        if (faccessat(f->store->fd, lease, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
            faccessat(f->store->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            fsck_note(f, CAS_FSCK_LEFTOVER, path,
                      base_strdup("was left by a process that was killed, and cannot be "
                                  "removed by this user"));
    }
    fsck_names_release(&names);
    return 0;
}

int fsck_unknown(struct fsck *f, struct error *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(rooms); i++) {
        if (check_room(f, rooms[i].dir, rooms[i].knows, err) < 0)
            return -1;
    }
    return check_leftovers(f, err);
}
