/* Files of a layer that is unpacked: their bytes, and holes where these are zeros. */
#include "cas/unpacker_priv.h"

#include "base/fs.h"
#include "cas/file_attr.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Zeros are looked for in pieces of this size: holes smaller than it gain little. */
#define HOLE_SIZE ((size_t)32 << 10)

int unpack_end_file(struct cas_unpacker *u, struct error *err)
{
    CLEANUP(fd_closep) int fd = fd_take(&u->file_fd);

    if (fd < 0)
        return 0;
    if (u->file_end < u->file.size && ftruncate(fd, (off_t)u->file.size) < 0)
        return error_sys(err, "write '%.*s'", VIEW_ARG(u->file.path));
    return cas_file_attr_set(fd, &u->file, u->owners, err);
}

int unpack_make_file(struct cas_unpacker *u, const struct cas_entry *e, struct error *err)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const char *name = NULL;
    const int dir_fd = unpack_open_parent(u, e->path, &name, err);

    if (dir_fd < 0)
        return -1;
    u->file_fd = openat(dir_fd, name, flags, 0600);
    if (u->file_fd < 0 && errno == EEXIST) {
        if (unpack_clear_name(u, dir_fd, name, e->path, err) < 0)
            return -1;
        u->file_fd = openat(dir_fd, name, flags, 0600);
    }
    if (u->file_fd < 0)
        return error_sys(err, "make file '%.*s'", VIEW_ARG(e->path));
    u->file_end = 0;
    if (e->size == 0) {
        u->file = *e; /* no bytes come: nothing needs to outlive the call */
        return unpack_end_file(u, err);
    }
    cas_arena_release(&u->file_texts);
    u->file = cas_arena_entry(&u->file_texts, e);
    return 0;
}

static int write_at(struct cas_unpacker *u,
                    uint64_t offset,
                    struct view data,
                    struct error *err)
{
    while (data.size > 0) {
        const ssize_t done = pwrite(u->file_fd, data.data, data.size, (off_t)offset);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return error_sys(err, "write '%.*s'", VIEW_ARG(u->file.path));
        offset += (uint64_t)done;
        data = view_sub(data, (size_t)done, data.size);
    }
    return 0;
}

/* Other data is told from zeros by its first bytes, mostly. */
static bool is_zero(const char *data, size_t size)
{
    return size > 0 && data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

/* Bytes of the pieces at the start of `data` that are all zeros, or all something else. */
static size_t run_size(struct view data, bool zeros)
{
    size_t at = 0;

    while (at < data.size) {
        const size_t left = data.size - at;
        const size_t piece = left < HOLE_SIZE ? left : HOLE_SIZE;

        if (is_zero(data.data + at, piece) != zeros)
            break;
        at += piece;
    }
    return at;
}

/* Zeros become holes: ten gigabytes of them, which fit into ten megabytes of gzip, shall
 * not fill the disk. */
int cas_unpacker_data(struct cas_unpacker *u,
                      uint64_t offset,
                      struct view data,
                      struct error *err)
{
    if (u->skipping)
        return 0;
    assert(u->file_fd >= 0 && offset >= u->file_end && offset + data.size <= u->file.size);
    while (data.size > 0) {
        const size_t hole = run_size(data, true);

        offset += hole;
        data = view_sub(data, hole, data.size);

        const size_t run = run_size(data, false);

        if (run > 0) {
            if (write_at(u, offset, view_sub(data, 0, run), err) < 0)
                return -1;
            offset += run;
            data = view_sub(data, run, data.size);
            u->file_end = offset;
        }
    }
    return 0;
}

/* One run of data, kernel to kernel. */
static int copy_range(
    struct cas_unpacker *u, int fd, off_t from, off_t to, struct error *err)
{
    off_t in = from;
    off_t out = from;

    while (in < to) {
        const ssize_t done =
            copy_file_range(fd, &in, u->file_fd, &out, (size_t)(to - in), 0);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return error_sys(err, "copy '%.*s'", VIEW_ARG(u->file.path));
        if (done == 0)
            return error_set(err, ERROR_FAILED, "'%.*s' changed while it was read",
                             VIEW_ARG(u->file.path));
    }
    return 0;
}

int cas_unpacker_copy(struct cas_unpacker *u, int fd, struct error *err)
{
    const off_t size = (off_t)u->file.size;
    off_t at = 0;

    if (u->file_fd < 0)
        return 0; /* an empty file is complete already */
    while (at < size) {
        const off_t data = lseek(fd, at, SEEK_DATA);

        if (data < 0 && errno == ENXIO)
            break;

        const off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);

        if (hole < 0)
            return error_sys(err, "read '%.*s'", VIEW_ARG(u->file.path));

        const off_t end = hole < size ? hole : size;

        if (data < end && copy_range(u, fd, data, end, err) < 0)
            return -1;
        u->file_end = (uint64_t)end;
        at = hole;
    }
    return 0;
}
