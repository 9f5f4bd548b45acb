/*
 * Steps where no namespace can be had, and only when this is asked for
 * (SANDBOX_GRADE_NONE): proot(1) shows the program another root, by looking at each of its
 * system calls with ptrace. That is no border: a program that wants to leave it can. What
 * steps do to owners is recorded as where one id is mapped (notify.h).
 *
 * Files in memory, sockets and empty directories that the step's mounts want lie in a
 * directory of their own while it runs, in /dev/shm where there is one.
 *
 * Private to builder/sandbox.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/sandbox/sandbox.h"

struct sandbox_plain;

/*
 * Makes what the step needs; sockets that listen are put to `listeners`, in the order of
 * its mounts. Errors: ERROR_UNSUPPORTED names what cannot be had without namespaces, or
 * that proot is not installed; ERROR_SYSTEM.
 */
MUST_CHECK struct sandbox_plain *sandbox_plain_new(const struct sandbox_spec *spec,
                                                   int *listeners,
                                                   struct error *err);
/* Removes it. */
void sandbox_plain_free(struct sandbox_plain *p); /* NULL is fine */

/* Where something of the host's will be seen: mount points, in the order of the mounts. The
 * path is borrowed. */
struct sandbox_plain_target {
    const char *path;
    bool is_directory;
};
size_t sandbox_plain_target_count(const struct sandbox_plain *p);
struct sandbox_plain_target sandbox_plain_target_at(const struct sandbox_plain *p,
                                                    size_t index);

/* Where on the host nothing may be changed; ends with NULL; borrowed. */
const char *const *sandbox_plain_readonly(const struct sandbox_plain *p);
/* What to execute; borrowed. */
const char *const *sandbox_plain_argv(const struct sandbox_plain *p);
const char *const *sandbox_plain_env(const struct sandbox_plain *p);
