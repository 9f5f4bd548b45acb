/* The ways into a user namespace, and what each maps. */
#include "builder/sandbox/userns_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const char userns_no_ranges[] = "/etc/subuid and /etc/subgid give this user no ids: "
                                "usermod --add-subuids 100000-165535 "
                                "--add-subgids 100000-165535 USER, as root, would";
static const char no_programs[] = "newuidmap and newgidmap are missing or not allowed to "
                                  "map: the package uidmap has them";

static const char no_container_ids[] =
    "the root of this container may not map its ids: it needs CAP_SETUID, CAP_SETGID and "
    "CAP_SETFCAP, which docker and podman give by default";

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

/* Of unshare; NULL: nothing that one could change. */
static const char *why_no_namespace(int sys)
{
    if (sys == ENOSPC || sys == EUSERS)
        return "create a user namespace: the limit is reached; raise "
               "/proc/sys/user/max_user_namespaces";
    if (sys == EPERM || sys == EACCES)
        return "create a user namespace: not permitted; as root, set "
               "kernel.unprivileged_userns_clone=1 (Debian), "
               "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), or, in a "
               "container, allow unshare in its seccomp profile";
    return "create a user namespace: this kernel has none (CONFIG_USER_NS)";
}

static int write_proc(const char *path, const char *text, struct error *err)
{
    CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return error_sys(err, "write %s", path);
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
static enum userns_entered enter_with_ranges(const struct maps *maps,
                                             const char **why,
                                             struct error *err)
{
    struct mapper by_uid = {0, -1};
    struct mapper by_gid = {0, -1};
    const bool started = mapper_start(&by_uid, &maps->uids, err) == 0 &&
                         mapper_start(&by_gid, &maps->gids, err) == 0;
    const bool entered = started && unshare(CLONE_NEWUSER) == 0;

    if (started && !entered)
        *why = why_no_namespace(errno);
    if (entered) {
        mapper_release(&by_uid);
        mapper_release(&by_gid);
    }
    /* Both, before either is waited for: the second one holds a copy of the first one's. */
    fd_closep(&by_uid.go);
    fd_closep(&by_gid.go);
    const bool uids_mapped = mapper_wait(&by_uid);
    const bool gids_mapped = mapper_wait(&by_gid);
    if (!entered)
        return started ? ENTER_REFUSED : ENTER_FAILED;
    return uids_mapped && gids_mapped ? ENTER_MAPPED : ENTER_ALONE;
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

static enum userns_entered enter_alone(const char **why)
{
    if (unshare(CLONE_NEWUSER) == 0)
        return ENTER_ALONE;
    *why = why_no_namespace(errno);
    return ENTER_REFUSED;
}

enum userns_entered userns_enter_user(
    bool alone, uid_t uid, gid_t gid, const char **why, struct error *err)
{
    CLEANUP(maps_release) struct maps maps = {.uids = {.count = 0}};
    const bool found = !alone && find_ranges(&maps, uid, gid);

    *why = alone ? NULL : found ? no_programs : userns_no_ranges;
    const enum userns_entered result =
        found ? enter_with_ranges(&maps, why, err) : enter_alone(why);
    if (result == ENTER_ALONE && map_single(uid, gid, err) < 0)
        return ENTER_FAILED;
    return result;
}

/* --- root of a container --- */

/* The lines of a map, with what is mapped mapped to itself. */
static char *identity_of(const char *path)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* then nothing is mapped */

    if (fs_read_file_at(AT_FDCWD, path, &text, &ignored) < 0)
        return base_strdup("");
    for (struct view rest = buf_view(&text), line; rest.size > 0;) {
        struct view first, outside;

        view_cut(rest, '\n', &line, &rest);
        line = view_trim(line);
        view_cut(line, ' ', &first, &line);
        line = view_trim(line);
        view_cut(line, ' ', &outside, &line);
        line = view_trim(line);
        buf_printf(&out, "%.*s %.*s %.*s\n", (int)first.size, first.data, (int)first.size,
                   first.data, (int)line.size, line.data);
    }
    return base_strdup(buf_text(&out));
}

struct identity {
    char *uids;
    char *gids;
};

static void identity_release(struct identity *i)
{
    free(i->uids);
    free(i->gids);
}

/* Runs outside of the namespace that it maps, with the rights of the container's root. */
static _Noreturn void map_identity(const struct identity *i, pid_t pid, int go)
{
    struct error ignored = ERROR_INIT; /* it is seen in the maps */
    char path[64];
    char byte;

    if (read(go, &byte, 1) != 1)
        _exit(1);
    snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
    if (write_proc(path, i->uids, &ignored) < 0)
        _exit(1);
    snprintf(path, sizeof path, "/proc/%d/gid_map", (int)pid);
    _exit(write_proc(path, i->gids, &ignored) < 0 ? 1 : 0);
}

/* The container's root may map all its ids if it has CAP_SETUID, _SETGID and _SETFCAP, as
 * docker and podman give them; else itself alone. */
enum userns_entered userns_enter_nested(const char **why, struct error *err)
{
    CLEANUP(identity_release)
    struct identity identity = {identity_of("/proc/self/uid_map"),
                                identity_of("/proc/self/gid_map")};
    const pid_t self = getpid();

    *why = no_container_ids;
    /* user_namespaces(7): who maps a root must have it; not even itself could be mapped. */
    if (!fs_capable(CAP_SETFCAP))
        return ENTER_REFUSED;
    struct mapper m = {0, -1};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, "pipe");
    m.go = ends[1];
    m.pid = fork();
    if (m.pid == 0) {
        close(ends[1]);
        map_identity(&identity, self, ends[0]);
    }
    close(ends[0]);
    const enum userns_entered result = m.pid < 0 ? ENTER_REFUSED : enter_alone(why);
    if (result == ENTER_ALONE)
        mapper_release(&m);
    const bool mapped = mapper_wait(&m);
    fd_closep(&m.go);
    if (result == ENTER_REFUSED || mapped)
        return mapped ? ENTER_MAPPED : ENTER_REFUSED;
    return map_single(0, 0, err) < 0 ? ENTER_FAILED : ENTER_ALONE;
}
