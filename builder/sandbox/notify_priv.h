/*
 * What the parts of notify.c share: one call that was stopped, and how it is answered.
 */
#pragma once

#include "base/limits.h"
#include "builder/sandbox/notify.h"
#include "cas/owner.h"

#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/types.h>

/* More supplementary groups than anybody has; the kernel's own limit is 65536. */
enum { NOTIFY_GROUPS_MAX = 256 };

enum { EXIT_UNKNOWN = -1 };

/* Who a process takes itself for. */
struct notify_ids {
    uid_t real;
    uid_t effective;
    uid_t saved;
    uid_t fs;
};

struct notify_person {
    struct notify_ids uid;
    struct notify_ids gid;
    gid_t groups[NOTIFY_GROUPS_MAX];
    size_t group_count;
};

/* A process whose person is not simply that of the step. */
struct notify_process {
    pid_t pid; /* of a thread, as cooper sees it */
    uint64_t started;
    struct notify_person person;
};

struct sandbox_notify {
    pthread_t thread;
    int socket;                /* the listener comes from here */
    int listener;              /* -1 until then */
    int upper_fd;              /* of the root; -1: none */
    struct cas_owners *owners; /* borrowed from the snapshot */

    atomic_int step_socket;      /* of a traced step: -1 otherwise */
    atomic_int ended;            /* EXIT_UNKNOWN, or how its program ended */
    const char *const *readonly; /* of a traced step; borrowed, NULL-terminated */

    pid_t first;    /* the step's first process; 0: not heard of yet */
    bool is_set;    /* the step's own user was set: what follows is its own */
    bool is_masked; /* what the thread creates gets the mask of all of cooper */
    bool is_plain;  /* nobody changed ids yet: all are `initial` */
    struct notify_person initial;
    struct notify_process *processes;
    size_t process_count;
    size_t process_room;
};

/* One stopped call. */
struct notify_call {
    struct sandbox_notify *n;
    const struct seccomp_notif *request;
};

/* What the step gets. */
struct notify_answer {
    enum { NOTIFY_PASS, NOTIFY_RETURN } kind; /* PASS: the kernel does it */
    int64_t value;                            /* RETURN: >= 0, or -errno */
};

static inline struct notify_answer notify_pass(void)
{
    return (struct notify_answer){.kind = NOTIFY_PASS};
}

static inline struct notify_answer notify_return(int64_t value)
{
    return (struct notify_answer){.kind = NOTIFY_RETURN, .value = value};
}

/* An argument of the call. */
static inline uint64_t notify_argument(const struct notify_call *c, unsigned index)
{
    return c->request->data.args[index];
}

/* --- notify_task.c: 0 or a descriptor; -1 and errno --- */

struct notify_path {
    char text[LIMIT_PATH_SIZE];
};

/* Is the call still waiting? What was opened by its process id is then really its own. */
bool notify_is_valid(const struct notify_call *c);
/* A text, or bytes, at an address of the step's. */
int notify_read_path(const struct notify_call *c,
                     uint64_t address,
                     struct notify_path *out);
int notify_read(const struct notify_call *c, uint64_t address, void *out, size_t size);
int notify_write(const struct notify_call *c,
                 uint64_t address,
                 const void *data,
                 size_t size);
/* What a descriptor of the step's is open on; AT_FDCWD: its working directory. O_PATH. */
int notify_open_fd(const struct notify_call *c, int fd);
/* What a path means to the step. O_PATH; fails where the kernel alone can know it (links of
 * /proc). */
int notify_open(const struct notify_call *c, int dir_fd, const char *path, bool follow);
/* The directory that a path's last name is in; *name lies in `path`, which is cut. */
int notify_open_parent(const struct notify_call *c, int dir_fd, char *path, char **name);
mode_t notify_umask(const struct notify_call *c);

/* --- notify_people.c --- */

/* Of the process that calls; borrowed until the next call of either. */
const struct notify_person *notify_person(const struct notify_call *c);
/* The process of a thread, or a process' parent; 0: it is gone. */
pid_t notify_parent_of(pid_t pid);
/* To be changed. */
struct notify_person *notify_person_change(const struct notify_call *c);
void notify_people_release(struct sandbox_notify *n);

/* --- notify_plain.c --- */

/* Would the call change what a traced step may only read? */
bool notify_is_readonly(const struct notify_call *c);

/* --- the handlers --- */

typedef struct notify_answer notify_handler(const struct notify_call *c);

/* Records the owner of what `fd` is open on. -1 and errno. */
int notify_record(struct sandbox_notify *n, int fd, const struct cas_owner *owner);
/* Is this person the owner, or root? */
bool notify_in_group(const struct notify_person *p, gid_t gid);

notify_handler notify_chown, notify_lchown, notify_fchown, notify_fchownat;
notify_handler notify_stat, notify_lstat, notify_fstat, notify_newfstatat, notify_statx;
notify_handler notify_mknod, notify_mknodat, notify_mkdir, notify_mkdirat;
notify_handler notify_symlink, notify_symlinkat;
notify_handler notify_sys_open, notify_creat, notify_openat;
notify_handler notify_setuid, notify_setgid, notify_setreuid, notify_setregid;
notify_handler notify_setresuid, notify_setresgid, notify_setfsuid, notify_setfsgid;
notify_handler notify_setgroups, notify_getgroups, notify_getresuid, notify_getresgid;
notify_handler notify_exit_group, notify_execve;
notify_handler notify_getuid, notify_getgid, notify_geteuid, notify_getegid;
