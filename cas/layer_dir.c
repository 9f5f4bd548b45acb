#include "cas/layer_dir.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/lease.h"
#include "cas/owner.h"
#include "cas/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#define META_HEAD   "cooper-layer 1\n"
#define BY_DIFF_ID  "layers/d-"
#define BY_CHAIN_ID "layers/c-"
/* The inode of the user namespace that the kernel starts with (PROC_USER_INIT_INO). */
#define INITIAL_USER_NAMESPACE "user:[4026531837]"

enum { META_SIZE_MAX = 4096, ID_MAP_SIZE_MAX = 64 << 10 };

/* --- Form --- */

/* trusted.* attributes are for CAP_SYS_ADMIN of the initial user namespace. */
static bool may_use_trusted(void)
{
    char name[64] = {0};

    if (readlink("/proc/self/ns/user", name, sizeof name - 1) < 0 ||
        !view_eq_text(view_of(name), INITIAL_USER_NAMESPACE))
        return false;
    return fs_capable(CAP_SYS_ADMIN);
}

static uint32_t hash_of(struct view text)
{
    uint32_t hash = 0x811c9dc5u;

    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (uint8_t)text.data[i]) * 0x01000193u;
    return hash;
}

int cas_layer_form(struct cas_layer_form *out, struct error *err)
{
    CLEANUP(buf_release) struct buf maps = BUF_INIT(ID_MAP_SIZE_MAX);

    if (may_use_trusted()) {
        *out = (struct cas_layer_form){.userxattr = false, .text = "t"};
        return 0;
    }
    if (fs_read_file_at(AT_FDCWD, "/proc/self/uid_map", &maps, err) < 0 ||
        fs_read_file_at(AT_FDCWD, "/proc/self/gid_map", &maps, err) < 0)
        return error_wrap(err, "id maps");
    out->userxattr = true;
    out->recorded = cas_owners_are_recorded();
    snprintf(out->text, sizeof out->text, "%c-%08" PRIx32, out->recorded ? 'r' : 'u',
             hash_of(buf_view(&maps)));
    return 0;
}

const char *cas_layer_form_opaque(const struct cas_layer_form *form)
{
    return form->userxattr ? "user.overlay.opaque" : "trusted.overlay.opaque";
}

char *cas_layer_dir_path(const struct cas_layer_form *form,
                         const struct digest *id,
                         bool is_chain)
{
    return base_format("%s%s-%s-%s", is_chain ? BY_CHAIN_ID : BY_DIFF_ID,
                       digest_alg_name(id->alg), digest_hex(id).text, form->text);
}

bool cas_layer_dir_is_for_any_chain(const char *path)
{
    return view_starts(view_of(path), BY_DIFF_ID);
}

struct digest cas_layer_chain_id(const struct digest *below, const struct digest *diff_id)
{
    if (!below)
        return *diff_id;

    CLEANUP(base_freep)
    char *text =
        base_format("%s %s", digest_format(below).text, digest_format(diff_id).text);

    return digest_of(DIGEST_SHA256, view_of(text));
}

/* --- Meta --- */

static int read_boot_id(struct buf *out, struct error *err)
{
    if (fs_read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", out, err) < 0)
        return error_wrap(err, "the boot's id");
    return 0;
}

int cas_layer_dir_mark(int scratch_fd, const struct cas_layer_root *root, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(META_SIZE_MAX);

    buf_append_text(&text, META_HEAD "boot ");
    if (read_boot_id(&text, err) < 0)
        return -1;
    buf_printf(&text, "root %d %d %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", root->known,
               root->opaque, root->mode, root->uid, root->gid);

    CLEANUP(fd_closep)
    int fd = fs_open_at(scratch_fd, "meta", O_WRONLY | O_CREAT | O_TRUNC, 0600, err);

    if (fd < 0 || buf_ok(&text, "meta", err) < 0)
        return -1;
    return fs_write_all(fd, text.data, text.size, err);
}

static bool cut_number(struct view *line, uint32_t *out)
{
    struct view word;
    uint64_t value = 0;

    view_cut(*line, ' ', &word, line);
    if (!view_to_u64(word, &value) || value > UINT32_MAX)
        return false;
    *out = (uint32_t)value;
    return true;
}

static bool parse_root(struct view line, struct cas_layer_root *out)
{
    uint32_t known = 0;
    uint32_t opaque = 0;

    if (!view_starts(line, "root "))
        return false;
    line = view_sub(line, 5, line.size);
    if (!cut_number(&line, &known) || !cut_number(&line, &opaque) ||
        !cut_number(&line, &out->mode) || !cut_number(&line, &out->uid) ||
        !cut_number(&line, &out->gid))
        return false;
    out->known = known != 0;
    out->opaque = opaque != 0;
    return true;
}

/* Is it whole, and of this boot? */
static bool check_meta(struct view meta, struct view boot, struct cas_layer_root *root)
{
    struct view line;

    if (!view_starts(meta, META_HEAD "boot "))
        return false;
    meta = view_sub(meta, sizeof META_HEAD - 1 + 5, meta.size);
    view_cut(meta, '\n', &line, &meta);
    if (!view_eq(line, view_trim(boot)))
        return false;
    view_cut(meta, '\n', &line, &meta);
    return parse_root(line, root);
}

static bool read_meta(int fd, struct cas_layer_root *root)
{
    CLEANUP(buf_release) struct buf meta = BUF_INIT(META_SIZE_MAX);
    CLEANUP(buf_release) struct buf boot = BUF_INIT(META_SIZE_MAX);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    /* What cannot be read is as good as absent: it is made again. */
    return fs_read_file_at(fd, "meta", &meta, &ignored) == 0 &&
           read_boot_id(&boot, &ignored) == 0 &&
           check_meta(buf_view(&meta), buf_view(&boot), root);
}

bool cas_layer_dir_is_current(int dir_fd)
{
    struct cas_layer_root root;

    return read_meta(dir_fd, &root);
}

/* Is what stands there now still of an earlier boot? Another process may have seen the same
 * and put a good one in its place. */
static bool is_still_stale(struct cas_store *s, const char *path)
{
    CLEANUP(fd_closep)
    int fd = openat(cas_store_fd(s), path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    return fd >= 0 && !cas_layer_dir_is_current(fd);
}

/* Out of sight by rename first, so that nobody finds half of it. Asked and renamed under
 * one lock, lest the good one that another process made meanwhile, and uses, goes. */
static int remove_stale(struct cas_store *s, const char *path, struct error *err)
{
    struct cas_scratch scratch = CAS_SCRATCH_INIT;
    CLEANUP(fd_closep) int lock = cas_lease_lock(cas_store_fd(s), ".stale", LOCK_EX, err);

    if (lock < 0 || cas_scratch_open(&scratch, s, err) < 0)
        return -1;
    if (is_still_stale(s, path) &&
        renameat(cas_store_fd(s), path, scratch.fd, "stale") < 0 && errno != ENOENT)
        error_sys(err, "remove %s", path);
    fd_closep(&lock);
    cas_scratch_removep(&scratch);
    return err->code == ERROR_NONE ? 0 : -1;
}

int cas_layer_dir_open(struct cas_store *s,
                       const char *path,
                       bool *found,
                       struct cas_layer_unpacked_dir *out,
                       struct error *err)
{
    struct stat st;

    if (cas_lease_hold(s, path, found, &st, err) < 0)
        return -1;
    if (!*found)
        return 0;

    CLEANUP(fd_closep)
    int fd = fs_open_at(cas_store_fd(s), path, O_PATH | O_DIRECTORY, 0, err);
    struct cas_layer_root root = {0};

    if (fd < 0)
        return -1;
    if (!read_meta(fd, &root)) {
        *found = false;
        return remove_stale(s, path, err);
    }

    const int fs_fd = fs_open_at(fd, "fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);

    if (fs_fd < 0)
        return error_wrap(err, "%s", path);
    *out = (struct cas_layer_unpacked_dir){
        .fd = fs_fd, .name = base_strdup(path), .root = root};
    return 0;
}
