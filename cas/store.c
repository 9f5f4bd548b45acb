#include "cas/store.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/layout.h"
#include "cas/ref_priv.h"
#include "cas/store_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CREATE_LOCK ".create"

char *cas_store_default_path(unsigned real_uid)
{
    const char *root = getenv("COOPER_ROOT");
    const char *data = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");

    if (root && *root)
        return base_strdup(root);
    if (real_uid == 0)
        return base_strdup("/var/lib/cooper");
    /* The XDG base directory specification: relative paths are to be ignored. */
    if (data && *data == '/')
        return base_format("%s/cooper", data);
    if (!home || !*home) {
        const struct passwd *user = getpwuid(real_uid);
        home = user ? user->pw_dir : NULL;
    }
    return home ? base_format("%s/.local/share/cooper", home) : NULL;
}

/* --- What the directory is --- */

/* Network file systems: their locks and their shared memory do not hold what SQLite and
 * flock promise between machines, and layers cannot be overlaid on most of them. */
static const struct {
    unsigned long type;
    const char *name;
} refused[] = {
    {NFS_SUPER_MAGIC, "NFS"}, {SMB_SUPER_MAGIC, "SMB"},   {0xFE534D42UL, "SMB2"},
    {0xFF534D42UL, "CIFS"},   {NCP_SUPER_MAGIC, "NCP"},   {AFS_SUPER_MAGIC, "AFS"},
    {AFS_FS_MAGIC, "AFS"},    {CODA_SUPER_MAGIC, "Coda"}, {V9FS_MAGIC, "9p"},
    {0x00C36400UL, "Ceph"},   {0x0BD00BD0UL, "Lustre"},   {0x47504653UL, "GPFS"},
};

static int check_file_system(struct cas_store *s, struct error *err)
{
    struct statfs fs;

    if (fstatfs(s->fd, &fs) < 0)
        return error_sys(err, "statfs");
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        if (((unsigned long)fs.f_type & 0xFFFFFFFFUL) == refused[i].type)
            return error_set(err, ERROR_UNSUPPORTED,
                             "it is on %s, a network file system; set COOPER_ROOT to a "
                             "directory on a local disk",
                             refused[i].name);
    }
    return 0;
}

static int check_owner(struct cas_store *s, struct error *err)
{
    struct stat st;

    if (fstat(s->fd, &st) < 0)
        return error_sys(err, "stat");
    if (st.st_uid == geteuid() || geteuid() == 0)
        return 0;
    return error_set(
        err, ERROR_DENIED,
        "it belongs to user %u, not to %u; set COOPER_ROOT to a directory of your own",
        st.st_uid, geteuid());
}

static int open_directory(const char *path,
                          enum cas_store_open_flags flags,
                          struct error *err)
{
    const int how = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    const int fd = open(path, how);

    if (fd >= 0)
        return fd;
    if (errno != ENOENT)
        return error_sys(err, "open");
    if (flags & CAS_STORE_OPEN_NO_CREATE)
        return error_set(err, ERROR_NOT_FOUND, "there is none");
    if (fs_mkdir_all_at(AT_FDCWD, path, 0700, err) < 0)
        return -1;
    return fs_open_at(AT_FDCWD, path, how, 0, err);
}

/* --- Creating --- */

static void dir_closep(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

/* A store that somebody began to make has leases/ first. Anything else in the directory is
 * not ours, and gc is not to be let loose on it. */
static int check_empty(struct cas_store *s, struct error *err)
{
    const int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(dir_closep) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    if (!dir)
        return error_sys(err, "read");
    if (faccessat(s->fd, "leases", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    while ((e = readdir(dir))) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            strcmp(e->d_name, "lost+found") != 0)
            break;
    }
    /* Asked again: somebody may be making the store at this moment. */
    if (!e || faccessat(s->fd, "leases", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    return error_set(err, ERROR_INVALID,
                     "the directory is not empty ('%s') and no store of cooper's",
                     e->d_name);
}

static bool has_database(const struct cas_store *s)
{
    return faccessat(s->fd, "meta.db", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int open_database(struct cas_store *s, struct error *err)
{
    CLEANUP(base_freep) char *path = base_format("%s/meta.db", s->path);

    s->meta = s->read_only ? cas_meta_open_read_only(path, err) : cas_meta_open(path, err);
    return s->meta ? 0 : -1;
}

static int require_layout(struct cas_store *s,
                          enum cas_store_open_flags flags,
                          bool *sealed,
                          struct error *err)
{
    if (cas_layout_is_sealed(s->fd, sealed, err) < 0)
        return -1;
    if (*sealed) /* what somebody tidied away is empty again, not an error for ever */
        return cas_layout_make_dirs(s->fd, err);
    if (flags & CAS_STORE_OPEN_NO_CREATE)
        return error_set(err, ERROR_NOT_FOUND, "there is none");
    if (check_empty(s, err) < 0)
        return -1;
    return cas_layout_make_dirs(s->fd, err);
}

/* --- Opening --- */

static int open_metadata(struct cas_store *s, struct error *err)
{
    return open_database(s, err) < 0 || cas_ref_mend(s, err) < 0 ? -1 : 0;
}

/* One process at a time: making a database of WAL mode is not safe against itself. */
static int create_metadata(struct cas_store *s, struct error *err)
{
    CLEANUP(fd_closep) int lock = cas_lease_lock(s->fd, CREATE_LOCK, LOCK_EX, err);
    bool sealed;

    if (lock < 0 || open_metadata(s, err) < 0 ||
        cas_layout_is_sealed(s->fd, &sealed, err) < 0)
        return -1;
    if (sealed)
        return 0;
    if (cas_layout_seal(s->fd, err) < 0 || cas_blob_sync_dirs(s, err) < 0)
        return -1;
    return fs_sync(s->fd, "the store's directory", err);
}

/* Who can only look needs no lease: nothing of ours is collected by us, and what others
 * collect meanwhile is missing, with an error that says so. */
static int open_read_only(struct cas_store *s, struct error *err)
{
    bool sealed;

    if (cas_layout_is_sealed(s->fd, &sealed, err) < 0)
        return -1;
    if (!sealed)
        return error_set(err, ERROR_NOT_FOUND,
                         "there is none, and none can be made on a read-only file system");
    return open_database(s, err);
}

static int open_parts(struct cas_store *s,
                      enum cas_store_open_flags flags,
                      struct error *err)
{
    bool sealed;

    s->read_only = faccessat(s->fd, ".", W_OK, AT_EACCESS) < 0 && errno == EROFS;
    if (s->read_only)
        return check_file_system(s, err) < 0 ? -1 : open_read_only(s, err);
    if (check_file_system(s, err) < 0 || check_owner(s, err) < 0 ||
        require_layout(s, flags, &sealed, err) < 0)
        return -1;
    s->lease = cas_lease_open(s->fd, err);
    if (!s->lease || cas_lease_clean(s->fd, err) < 0)
        return -1;
    return sealed && has_database(s) ? open_metadata(s, err) : create_metadata(s, err);
}

struct cas_store *cas_store_open(const char *path,
                                 enum cas_store_open_flags flags,
                                 struct error *err)
{
    CLEANUP(cas_store_closep) struct cas_store *s = base_alloc(sizeof *s);

    s->fd = open_directory(path, flags, err);
    if (s->fd < 0) {
        error_wrap(err, "store %s", path);
        return NULL;
    }
    s->path = realpath(path, NULL);
    if (!s->path) {
        error_sys(err, "store %s", path);
        return NULL;
    }
    if (open_parts(s, flags, err) < 0) {
        error_wrap(err, "store %s", s->path);
        return NULL;
    }
    struct cas_store *opened = s;
    s = NULL;
    return opened;
}

void cas_store_close(struct cas_store *s)
{
    if (!s)
        return;
    cas_meta_close(s->meta);
    cas_lease_close(s->lease);
    fd_closep(&s->fd);
    free(s->path);
    free(s);
}

void cas_store_closep(struct cas_store **s)
{
    const int saved = errno;

    cas_store_close(*s);
    *s = NULL;
    errno = saved;
}

const char *cas_store_path(const struct cas_store *s)
{
    return s->path;
}

int cas_store_fd(const struct cas_store *s)
{
    return s->fd;
}

bool cas_store_is_read_only(const struct cas_store *s)
{
    return s->read_only;
}

int cas_store_sync(struct cas_store *s, struct error *err)
{
    if (cas_blob_sync_dirs(s, err) < 0)
        return -1;
    CLEANUP(cas_meta_unlockp) struct cas_meta *m = cas_meta_lock(s->meta);
    return cas_meta_sync(m, err);
}
