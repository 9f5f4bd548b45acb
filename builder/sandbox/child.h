/*
 * The child of the helper: carries out a plan and becomes the step's program. What runs
 * here allocates nothing, takes no lock, logs nothing and calls nobody but the kernel; it
 * is child.c (the switch), child_root.c, child_overlay.c and child_mount.c (mounts),
 * child_target.c (paths inside the root), child_network.c.
 */
#pragma once

#include "builder/sandbox/op.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct sandbox_child {
    char *plan; /* private, writable, and checked by sandbox_plan_valid */
    size_t plan_size;
    uint32_t op_count;
    int *slots;
    size_t slot_count;
    int socket;     /* to cooper */
    int root;       /* the new root; -1 before OP_ROOT */
    int dev;        /* the new /dev; -1 before OP_DEV */
    uint32_t files; /* counts OP_FILE, to name them */
};

/* Does every offset, slot and count of the plan lie inside it? The sender is trusted, but a
 * mistake there must not become a wild pointer in a privileged process. */
bool sandbox_plan_valid(const char *plan,
                        size_t size,
                        uint32_t op_count,
                        size_t slot_count);

/* Carries out the plan. Ends in execve or _exit. */
_Noreturn void sandbox_child_run(struct sandbox_child *child);

/* Text of an operation, NULL for none. */
const char *child_text(const struct sandbox_child *child, uint32_t offset);

/* Tells cooper. */
void child_send(const struct sandbox_child *child,
                const struct sandbox_message *message,
                const char *path,
                int fd);

/* --- child_target.c: 0 or a descriptor; -1 and errno --- */

/* Opens `path` inside directory `root`: symlinks mean what they mean there, those of /proc
 * lead nowhere. With `kernel` symlinks are errors. O_PATH. */
int child_open(int root, const char *path, bool kernel);

enum child_target_kind { CHILD_TARGET_DIRECTORY, CHILD_TARGET_FILE };
/* Opens a mount point in the root; what is missing is created and reported as a stub. */
int child_target(struct sandbox_child *child,
                 const char *path,
                 enum child_target_kind kind,
                 bool kernel);
/* Opens a directory in the root; what is missing is created for uid and gid. */
int child_directory(struct sandbox_child *child, const char *path, uid_t uid, gid_t gid);

/* "/proc/self/fd/N" in a buffer of its own. */
struct child_fd_path {
    char text[32];
};
struct child_fd_path child_fd_path(int fd);

/* --- child_overlay.c: 0; -1 and errno --- */

/* Puts a descriptor into a slot, closing what was there; an fd of -1 is passed on. */
int child_set_slot(struct sandbox_child *child, uint32_t slot, int fd);
/* What the flags of an operation mean to the new API, and to mount(2). */
uint64_t child_attributes(const struct sandbox_op *op);
unsigned long child_mount_flags(const struct sandbox_op *op);
/* Adds flags to a mount with mount(2). */
int child_remount(int fd, unsigned long flags);
/* Closes, keeps errno, returns `result`. */
int child_close_after(int fd, int result);
int child_overlay(struct sandbox_child *child, const struct sandbox_op *op);
int child_reopen(struct sandbox_child *child, const struct sandbox_op *op);
int child_classic_overlay(struct sandbox_child *child, const struct sandbox_op *op);
int child_classic_self(struct sandbox_child *child, const struct sandbox_op *op);

/* --- child_mount.c: 0; -1 and errno --- */

int child_tree(struct sandbox_child *child, const struct sandbox_op *op);
int child_subtree(struct sandbox_child *child, const struct sandbox_op *op);
int child_mount(struct sandbox_child *child, const struct sandbox_op *op);
int child_bind(struct sandbox_child *child, const struct sandbox_op *op);
int child_dev(struct sandbox_child *child, const struct sandbox_op *op);
int child_file(struct sandbox_child *child, const struct sandbox_op *op);
int child_socket(struct sandbox_child *child, const struct sandbox_op *op);
int child_attach(struct sandbox_child *child, const struct sandbox_op *op);
int child_mask(struct sandbox_child *child, const struct sandbox_op *op);
int child_readonly(struct sandbox_child *child, const struct sandbox_op *op);

/* --- child_root.c: 0; -1 and errno --- */

/* A mount namespace, in which this process is at the root of all. */
int child_unshare(void);
int child_stage(struct sandbox_child *child, const struct sandbox_op *op);
int child_root(struct sandbox_child *child, const struct sandbox_op *op);
int child_pivot(struct sandbox_child *child);
int child_root_readonly(void);

/* --- child_network.c: 0; -1 and errno --- */

int child_join_network(struct sandbox_child *child, const struct sandbox_op *op);
int child_make_network(struct sandbox_child *child, const struct sandbox_op *op);
int child_loopback(void);
