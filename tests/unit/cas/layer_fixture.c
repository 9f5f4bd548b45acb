#include "layer_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/blob.h"
#include "cas/dir_read.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- Tars --- */

static void octal(char *field, size_t size, uint64_t value)
{
    for (size_t i = size - 1; i-- > 0; value >>= 3)
        field[i] = (char)('0' + (value & 7));
}

void tar_fix_sum(struct buf *tar, size_t offset)
{
    char *h = tar->data + offset;
    unsigned sum = 0;

    memset(h + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += (unsigned char)h[i];
    octal(h + 148, 8, sum);
}

static void put_text(char *field, size_t size, const char *text)
{
    const size_t length = text ? strlen(text) : 0;

    if (length > 0)
        memcpy(field, text, length < size ? length : size);
}

void tar_header(struct buf *tar, const struct tar_spec *spec, uint64_t size)
{
    const size_t offset = tar->size;
    const char type = spec->type ? spec->type : '0';
    const unsigned mode = spec->mode ? spec->mode : type == '5' ? 0755 : 0644;
    char h[512] = {0};

    put_text(h, 100, spec->name);
    octal(h + 100, 8, mode);
    octal(h + 108, 8, spec->uid);
    octal(h + 116, 8, spec->gid);
    octal(h + 124, 12, size);
    octal(h + 136, 12, (uint64_t)(spec->mtime ? spec->mtime : 1000000000));
    h[156] = type;
    put_text(h + 157, 100, spec->link);
    memcpy(h + 257, "ustar\00000", 8);
    octal(h + 329, 8, spec->major);
    octal(h + 337, 8, spec->minor);
    buf_append(tar, h, sizeof h);
    tar_fix_sum(tar, offset);
}

void tar_pad(struct buf *tar)
{
    static const char zeros[512];

    buf_append(tar, zeros, -tar->size & 511);
}

/* "LENGTH KEY=VALUE\n": the length counts its own digits. */
static void pax_record(struct buf *out, const char *line, size_t size)
{
    size_t length = size + 2;

    while (length != size + 1 + (size_t)snprintf(NULL, 0, "%zu", length))
        length++;
    buf_printf(out, "%zu ", length);
    buf_append(out, line, size);
}

static void add_pax(struct buf *tar, const char *records)
{
    CLEANUP(buf_release) struct buf body = BUF_INIT(TAR_MAX);

    for (const char *line = records; *line;) {
        const char *end = strchr(line, '\n') + 1;

        pax_record(&body, line, (size_t)(end - line));
        line = end;
    }
    tar_header(tar, &(struct tar_spec){.name = "pax", .type = 'x'}, body.size);
    buf_append_view(tar, buf_view(&body));
    tar_pad(tar);
}

void tar_add(struct buf *tar, const struct tar_spec *spec)
{
    const size_t size = spec->size ? spec->size : spec->data ? strlen(spec->data) : 0;

    if (spec->pax)
        add_pax(tar, spec->pax);
    tar_header(tar, spec, size);
    buf_append(tar, spec->data, size);
    tar_pad(tar);
}

void tar_end(struct buf *tar)
{
    static const char zeros[1024];

    buf_append(tar, zeros, sizeof zeros);
}

/* --- Layers --- */

struct cas_layer *layer_of_tar(struct fixture *f, struct buf *tar)
{
    struct digest digest;
    struct descriptor blob;

    assert_ok(f, cas_blob_put(f->store, buf_view(tar), &digest, &f->err));
    descriptor_init(&blob, MEDIA_OCI_LAYER, &digest, tar->size);

    struct cas_layer *layer = cas_layer_new(f->store, &digest, &blob, NULL, NULL);

    descriptor_release(&blob);
    buf_release(tar);
    return layer;
}

struct cas_layer *layer_of(struct fixture *f, const struct tar_spec *specs, size_t count)
{
    struct buf tar = BUF_INIT(TAR_MAX);

    for (size_t i = 0; i < count; i++)
        tar_add(&tar, &specs[i]);
    tar_end(&tar);
    return layer_of_tar(f, &tar);
}

/* --- Mounts --- */

static void set_path(int fs_fd, const char *key, int fd)
{
    CLEANUP(base_freep) char *path = base_format("/proc/self/fd/%d", fd);

    if (syscall(SYS_fsconfig, fs_fd, FSCONFIG_SET_STRING, key, path, 0) < 0)
        fail_msg("overlay %s: %s", key, strerror(errno));
}

static void set_text(int fs_fd, const char *key, const char *value)
{
    if (syscall(SYS_fsconfig, fs_fd, FSCONFIG_SET_STRING, key, value, 0) < 0)
        fail_msg("overlay %s=%s: %s", key, value, strerror(errno));
}

int snapshot_mount(struct fixture *f, const struct cas_snapshot *snap)
{
    const struct cas_snapshot_mount m = cas_snapshot_mount(snap);
    static const char *const off[] = {"index", "metacopy", "xino"};

    (void)f;
    if (!m.overlay)
        return fcntl(m.upper_fd, F_DUPFD_CLOEXEC, 0);

    CLEANUP(fd_closep) int fs_fd = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);

    assert_true(fs_fd >= 0);
    for (size_t i = m.lower_count; i-- > 0;)
        set_path(fs_fd, "lowerdir+", m.lower_fds[i]);
    set_path(fs_fd, "upperdir", m.upper_fd);
    set_path(fs_fd, "workdir", m.work_fd);
    for (size_t i = 0; i < ARRAY_COUNT(off); i++)
        set_text(fs_fd, off[i], "off");
    set_text(fs_fd, "redirect_dir", m.userxattr ? "nofollow" : "off");
    if (m.userxattr)
        assert_int_equal(
            0, syscall(SYS_fsconfig, fs_fd, FSCONFIG_SET_FLAG, "userxattr", NULL, 0));
    if (syscall(SYS_fsconfig, fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        fail_msg("mount overlay: %s", strerror(errno));

    const int fd = (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC, 0);

    assert_true(fd >= 0);
    return fd;
}

/* --- User namespaces --- */

static void write_text(const char *path, const char *text)
{
    CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        fail_msg("%s: %s", path, strerror(errno));
}

/* From outside, as only that may map more than one id: root maps every id to itself, others
 * themselves to root. */
static void write_maps(pid_t child)
{
    const bool root = geteuid() == 0;
    CLEANUP(base_freep) char *setgroups = base_format("/proc/%d/setgroups", child);
    CLEANUP(base_freep) char *uid_map = base_format("/proc/%d/uid_map", child);
    CLEANUP(base_freep) char *gid_map = base_format("/proc/%d/gid_map", child);
    CLEANUP(base_freep)
    char *uids = base_format("0 %u %s\n", geteuid(), root ? "4294967295" : "1");
    CLEANUP(base_freep)
    char *gids = base_format("0 %u %s\n", root ? 0 : getegid(), root ? "4294967295" : "1");

    if (!root)
        write_text(setgroups, "deny");
    write_text(gid_map, gids);
    write_text(uid_map, uids);
}

static void run_child(struct fixture *f, void (*test)(struct fixture *f), int to, int from)
{
    char byte = 0;

    setenv("CMOCKA_TEST_ABORT", "1", 1);
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || write(to, &byte, 1) != 1 ||
        read(from, &byte, 1) != 1)
        fail_msg("new user namespace: %s", strerror(errno));
    /* A descriptor belongs to the mounts of the namespace that it was opened in. */
    fixture_close(f);
    fixture_open(f);
    test(f);
    fixture_close(f);
    error_clear(&f->err);
    _exit(0);
}

void run_in_user_namespace(struct fixture *f, void (*test)(struct fixture *f))
{
    int to_parent[2];
    int to_child[2];
    int status = 0;
    char byte = 0;

    assert_int_equal(0, pipe(to_parent));
    assert_int_equal(0, pipe(to_child));

    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        run_child(f, test, to_parent[1], to_child[0]);
    close(to_parent[1]); /* a child that dies early is read as the end, not waited for */
    close(to_child[0]);
    assert_int_equal(1, read(to_parent[0], &byte, 1));
    write_maps(child);
    assert_int_equal(1, write(to_child[1], &byte, 1));
    close(to_parent[0]);
    close(to_child[1]);
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_true(WIFEXITED(status));
    assert_int_equal(0, WEXITSTATUS(status));
}

unsigned some_owner(void)
{
    struct buf map = BUF_INIT(4096);
    struct error err = ERROR_INIT;
    const bool single = fs_read_file_at(AT_FDCWD, "/proc/self/uid_map", &map, &err) < 0 ||
                        view_ends(view_trim(buf_view(&map)), " 1");

    error_clear(&err);
    buf_release(&map);
    return geteuid() == 0 && !single ? 1000 : geteuid();
}

/* --- Looking --- */

static char type_letter(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return 'f';
    case S_IFDIR:
        return 'd';
    case S_IFLNK:
        return 'l';
    case S_IFCHR:
        return 'c';
    case S_IFBLK:
        return 'b';
    case S_IFIFO:
        return 'p';
    default:
        return '?';
    }
}

char *stat_text(int dir_fd, const char *path)
{
    struct stat st;

    if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return NULL;
    return base_format("%c %04o %u:%u %ld", type_letter(st.st_mode), st.st_mode & 07777,
                       st.st_uid, st.st_gid, (long)st.st_mtim.tv_sec);
}

char *file_text(int dir_fd, const char *path)
{
    struct buf text = BUF_INIT(TAR_MAX);
    struct error err = ERROR_INIT;

    if (fs_read_file_at(dir_fd, path, &text, &err) < 0) {
        error_clear(&err);
        buf_release(&text);
        return NULL;
    }
    buf_append_text(&text, "");
    return text.data ? buf_take(&text) : base_strdup("");
}

char *names_text(int dir_fd, const char *path)
{
    CLEANUP(fd_closep) int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct cas_dir_names names;
    struct error err = ERROR_INIT;
    struct buf text = BUF_INIT(TAR_MAX);

    if (fd < 0 || cas_dir_names_read(fd, &names, &err) < 0) {
        error_clear(&err);
        return NULL;
    }
    for (size_t i = 0; i < names.count; i++) {
        if (i > 0)
            buf_append_char(&text, ' ');
        buf_append_view(&text, names.items[i]);
    }
    cas_dir_names_release(&names);
    return text.data ? buf_take(&text) : base_strdup("");
}
