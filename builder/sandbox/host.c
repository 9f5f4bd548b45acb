#include "builder/sandbox/host.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Linux: PROC_USER_INIT_INO. */
#define FIRST_USER_NAMESPACE 0xEFFFFFFDu

enum {
    TTY_GROUP = 5,
    PROCESSES_LEAST = 512, /* the kernel takes nothing below 301 */
};

/* Configures an overlay without making it. Layers by descriptor are the youngest part
 * (Linux 6.13); who has them has the rest, unless a filter around us forbids it. */
static bool has_new_mounts(void)
{
    CLEANUP(fd_closep) int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(fd_closep) int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    struct mount_attr none = {0};

    if (dir < 0 || fs < 0 || fsconfig(fs, FSCONFIG_SET_FD, "lowerdir+", NULL, dir) < 0)
        return false;
    return mount_setattr(-1, "", AT_EMPTY_PATH, &none, sizeof none) == 0 || errno != ENOSYS;
}

static bool read_proc(const char *path, struct buf *out)
{
    struct error ignored =
        ERROR_INIT; /* absent and unreadable mean the same to the caller */
    const bool ok = fs_read_file_at(AT_FDCWD, path, out, &ignored) == 0;

    error_clear(&ignored);
    return ok;
}

/* Takes the next number of a map's line. */
static bool next_number(struct view *line, uint64_t *out)
{
    struct view word;

    *line = view_trim(*line);
    view_cut(*line, ' ', &word, line);
    return view_to_u64(word, out);
}

/* Lines "inside outside count" of uid_map and gid_map. */
static bool map_holds(const char *path, uint64_t id, uint64_t *largest)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    bool held = false;

    *largest = 0;
    if (!read_proc(path, &text))
        return false;
    for (struct view rest = buf_view(&text), line; rest.size > 0;) {
        uint64_t first, outside, count;
        view_cut(rest, '\n', &line, &rest);
        if (!next_number(&line, &first) || !next_number(&line, &outside) ||
            !next_number(&line, &count))
            continue;
        held = held || (id >= first && id - first < count);
        *largest = count > *largest ? count : *largest;
    }
    return held;
}

/* The first one also maps all ids, but so may one that its root made. Where /proc does not
 * tell, the map has to do. */
static bool is_first_namespace(void)
{
    struct stat st;

    return stat("/proc/self/ns/user", &st) < 0 || st.st_ino == FIRST_USER_NAMESPACE;
}

/*
 * Half of what the machine has, at most. From Linux 6.14 on the number is one of the pid
 * namespace that writes it. Before, it was everybody's: nothing may be written there then.
 */
static uint32_t process_max(void)
{
    const char *const path = "/proc/sys/kernel/pid_max";
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_PATH_SIZE);
    struct utsname kernel;
    struct statvfs st;
    unsigned major = 0, minor = 0;
    uint64_t all = 0;

    if (uname(&kernel) < 0 || sscanf(kernel.release, "%u.%u", &major, &minor) != 2 ||
        major < 6 || (major == 6 && minor < 14))
        return 0;
    if (statvfs(path, &st) < 0 || (st.f_flag & ST_RDONLY) || !read_proc(path, &text) ||
        !view_to_u64(view_trim(buf_view(&text)), &all) || all / 2 < PROCESSES_LEAST)
        return 0;
    return all / 2 < SANDBOX_PROCESSES_DEFAULT ? (uint32_t)(all / 2)
                                               : SANDBOX_PROCESSES_DEFAULT;
}

struct sandbox_host sandbox_host_look(void)
{
    struct sandbox_host host = {.new_mounts = has_new_mounts()};
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_PATH_SIZE);
    uint64_t largest = 0;

    map_holds("/proc/self/uid_map", 0, &largest);
    host.user_namespace = largest != UINT32_MAX || !is_first_namespace();
    host.mknod = !host.user_namespace && fs_capable(CAP_MKNOD);
    host.tty_group = map_holds("/proc/self/gid_map", TTY_GROUP, &largest);
    host.process_max = process_max();
    host.setgroups =
        !read_proc("/proc/self/setgroups", &text) || !view_starts(buf_view(&text), "deny");
    return host;
}
