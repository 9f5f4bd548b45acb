#include "builder/sandbox/userns.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/view.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char no_ranges[] = "/etc/subuid and /etc/subgid give this user no ids: "
                                "usermod --add-subuids 100000-165535 "
                                "--add-subgids 100000-165535 USER, as root, would";
static const char no_programs[] = "newuidmap and newgidmap are missing or not allowed to "
                                  "map: the package uidmap has them";

const char *sandbox_grade_name(enum sandbox_grade grade)
{
    switch (grade) {
    case SANDBOX_GRADE_ROOT:
        return "root";
    case SANDBOX_GRADE_SUBIDS:
        return "subordinate ids";
    case SANDBOX_GRADE_SINGLE_ID:
        return "single id";
    }
    return "unknown";
}

/* --- ranges --- */

struct range {
    uint64_t first;
    uint64_t count;
};

/* The kernel takes 340 lines of a map; nobody has more than a few ranges. */
enum { RANGES_MAX = 16 };

/*
 * A mapping as newuidmap takes it: {own id -> 0}, then the ranges one after the other
 * from 1. Each mapping is three numbers.
 */
struct id_map {
    char *words[3 * (RANGES_MAX + 1) + 3]; /* program, pid, numbers, NULL */
    size_t count;
};

static void map_add(struct id_map *map, uint64_t number)
{
    map->words[map->count++] = base_format("%ju", (uintmax_t)number);
}

static void map_release(struct id_map *map)
{
    for (size_t i = 1; i < map->count; i++)
        free(map->words[i]);
    map->count = 0;
}

/* A line "name:first:count" of subuid(5); the user is given by name or number. */
static bool parse_range(struct view line,
                        const char *name,
                        const char *number,
                        struct range *out)
{
    struct view user, first;

    return view_cut(view_trim(line), ':', &user, &line) &&
           ((name && view_eq_text(user, name)) || view_eq_text(user, number)) &&
           view_cut(line, ':', &first, &line) && view_to_u64(first, &out->first) &&
           view_to_u64(view_trim(line), &out->count) && out->count > 0;
}

/* The ranges that a file gives the user; none if it cannot be read. */
static size_t read_ranges(const char *path,
                          const char *name,
                          uid_t uid,
                          struct range *ranges)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_PASSWD_SIZE);
    CLEANUP(base_freep) char *number = base_format("%u", (unsigned)uid);
    struct error ignored = ERROR_INIT; /* no file means no ranges */
    size_t count = 0;

    if (fs_read_file_at(AT_FDCWD, path, &text, &ignored) < 0)
        error_clear(&ignored);
    for (struct view rest = buf_view(&text), line; rest.size > 0 && count < RANGES_MAX;) {
        view_cut(rest, '\n', &line, &rest);
        if (parse_range(line, name, number, &ranges[count]))
            count++;
    }
    return count;
}

static void map_build(struct id_map *map,
                      char *program,
                      uint64_t own,
                      const struct range *ranges,
                      size_t count)
{
    uint64_t next = 1;

    map->words[0] = program;
    map->count = 1;
    map_add(map, (uint64_t)getpid());
    map_add(map, 0);
    map_add(map, own);
    map_add(map, 1);
    for (size_t i = 0; i < count; i++) {
        map_add(map, next);
        map_add(map, ranges[i].first);
        map_add(map, ranges[i].count);
        next += ranges[i].count;
    }
    map->words[map->count] = NULL;
}

/* --- entering --- */

/*
 * The programs must run outside the namespace that they map: they are started beforehand,
 * as children that wait for a byte.
 */
struct mapper {
    pid_t pid;
    int go; /* write end of the pipe that holds it back */
};

static int mapper_start(struct mapper *m, const struct id_map *map, struct error *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, "pipe");
    m->pid = fork();
    if (m->pid == 0) {
        char byte;
        const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        close(ends[1]);
        if (read(ends[0], &byte, 1) != 1 || null < 0 || dup2(null, STDERR_FILENO) < 0)
            _exit(1);
        execvp(map->words[0], map->words);
        _exit(127);
    }
    const int saved = errno;
    close(ends[0]);
    m->go = ends[1];
    errno = saved;
    if (m->pid > 0)
        return 0;
    fd_closep(&m->go);
    return error_sys(err, "fork");
}

static void mapper_release(const struct mapper *m)
{
    (void)!write(m->go, "", 1); /* one that died is seen by mapper_wait */
}

static bool mapper_wait(struct mapper *m)
{
    int status = 0;

    if (m->pid <= 0)
        return false;
    fd_closep(&m->go);
    while (waitpid(m->pid, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int unshare_failed(struct error *err)
{
    const int sys = errno;

    errno = sys;
    if (sys == ENOSPC || sys == EUSERS)
        return error_set(err, ERROR_UNSUPPORTED,
                         "create a user namespace: the limit is reached; raise "
                         "/proc/sys/user/max_user_namespaces");
    if (sys == EPERM || sys == EACCES)
        return error_set(
            err, ERROR_UNSUPPORTED,
            "create a user namespace: not permitted; as root, set "
            "kernel.unprivileged_userns_clone=1 (Debian), "
            "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), or, in a "
            "container, allow unshare in its seccomp profile");
    error_sys(err, "create a user namespace");
    err->code = ERROR_UNSUPPORTED;
    return -1;
}

static int write_proc(const char *path, const char *text, struct error *err)
{
    CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return error_sys(err, "write %s", path);
    return 0;
}

/* Mounts of the host that come and go are still seen here; ours are not seen there. */
static int enter_mounts(struct error *err)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return error_sys(err, "create a mount namespace");
    return 0;
}

static int become_root(struct error *err)
{
    if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
        return error_sys(err, "become root of the user namespace");
    return 0;
}

struct maps {
    struct id_map uids;
    struct id_map gids;
};

static void maps_release(struct maps *maps)
{
    map_release(&maps->uids);
    map_release(&maps->gids);
}

/* Both programs at once: each costs a millisecond. What they did is seen in the maps. */
static int enter_with_ranges(const struct maps *maps, struct error *err)
{
    struct mapper by_uid = {0, -1};
    struct mapper by_gid = {0, -1};
    int result = mapper_start(&by_uid, &maps->uids, err);

    if (result == 0)
        result = mapper_start(&by_gid, &maps->gids, err);
    if (result == 0 && unshare(CLONE_NEWUSER) < 0)
        result = unshare_failed(err);
    if (result == 0) {
        mapper_release(&by_uid);
        mapper_release(&by_gid);
    }
    const bool uids_mapped = mapper_wait(&by_uid);
    const bool gids_mapped = mapper_wait(&by_gid);
    return result < 0 ? -1 : uids_mapped && gids_mapped;
}

static bool is_unmapped(const char *path)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct error ignored = ERROR_INIT; /* then writing it fails with the reason */

    if (fs_read_file_at(AT_FDCWD, path, &text, &ignored) < 0)
        error_clear(&ignored);
    return text.size == 0;
}

/* Maps the user alone, in what the programs left unmapped. The kernel lets everybody map
 * the own ids, the group if setgroups is given up (user_namespaces(7)). */
static int map_single(uid_t uid, gid_t gid, struct error *err)
{
    CLEANUP(base_freep) char *uids = base_format("0 %u 1\n", (unsigned)uid);
    CLEANUP(base_freep) char *gids = base_format("0 %u 1\n", (unsigned)gid);

    if (is_unmapped("/proc/self/uid_map") &&
        write_proc("/proc/self/uid_map", uids, err) < 0)
        return -1;
    if (!is_unmapped("/proc/self/gid_map"))
        return 0;
    if (write_proc("/proc/self/setgroups", "deny", err) < 0)
        return -1;
    return write_proc("/proc/self/gid_map", gids, err);
}

static bool find_ranges(struct maps *maps, uid_t uid, gid_t gid)
{
    static char newuidmap[] = "newuidmap";
    static char newgidmap[] = "newgidmap";
    const struct passwd *user = getpwuid(uid);
    struct range uids[RANGES_MAX];
    struct range gids[RANGES_MAX];
    const char *name = user ? user->pw_name : NULL;
    const size_t uid_count = read_ranges("/etc/subuid", name, uid, uids);
    const size_t gid_count = read_ranges("/etc/subgid", name, uid, gids);

    map_build(&maps->uids, newuidmap, uid, uids, uid_count);
    map_build(&maps->gids, newgidmap, gid, gids, gid_count);
    return uid_count > 0 && gid_count > 0;
}

/* 1: with ranges; 0: alone. */
static int enter_user(uid_t uid, gid_t gid, const char **why, struct error *err)
{
    CLEANUP(maps_release) struct maps maps = {.uids = {.count = 0}};
    int mapped = 0;

    *why = no_ranges;
    if (find_ranges(&maps, uid, gid)) {
        *why = no_programs;
        mapped = enter_with_ranges(&maps, err);
    } else if (unshare(CLONE_NEWUSER) < 0) {
        return unshare_failed(err);
    }
    if (mapped == 0 && map_single(uid, gid, err) < 0)
        return -1;
    return mapped;
}

static int grade_of_root(const char **why)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct error ignored = ERROR_INIT; /* a /proc that cannot be read limits nothing */
    struct view first, outside, line;

    if (fs_read_file_at(AT_FDCWD, "/proc/self/uid_map", &text, &ignored) < 0)
        error_clear(&ignored);
    line = view_trim(buf_view(&text));
    view_cut(line, ' ', &first, &line);
    line = view_trim(line);
    view_cut(line, ' ', &outside, &line);
    if (!view_eq_text(view_trim(line), "1"))
        return SANDBOX_GRADE_ROOT;
    *why = no_ranges;
    return SANDBOX_GRADE_SINGLE_ID;
}

int sandbox_userns_enter(const char **why, struct error *err)
{
    const uid_t uid = geteuid();
    const gid_t gid = getegid();

    *why = NULL;
    if (uid == 0)
        return grade_of_root(why);
    const int mapped = enter_user(uid, gid, why, err);
    if (mapped < 0 || become_root(err) < 0 || enter_mounts(err) < 0)
        return -1;
    if (mapped == 0)
        return SANDBOX_GRADE_SINGLE_ID;
    *why = NULL;
    return SANDBOX_GRADE_SUBIDS;
}
