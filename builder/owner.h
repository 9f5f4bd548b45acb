/*
 * Names of users and groups looked up in an image's own /etc/passwd and /etc/group.
 * Two rules, as BuildKit has them: owners of files (--chown, WORKDIR) and users of
 * processes (USER of a RUN, of a container).
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/tree.h"

#include <stddef.h>
#include <stdint.h>

/* Where those two files are read from. `read` appends the file at a path relative to the
 * root
 * ("etc/passwd"), nothing if it does not exist. */
struct build_user_files {
    int (*read)(void *context, const char *path, struct buf *out, struct error *err);
    void *context;
};

/*
 * "USER[:GROUP]", names or ids, as owner of files. A name alone brings its primary group,
 * an id alone is the group too. As BuildKit has it, a name that is in no file is root (0),
 * and so is "root" whatever the files say, and an empty name. `tree` NULL is an empty
 * image, where a name is ERROR_NOT_FOUND.
 */
MUST_CHECK int build_owner_of_files(struct cas_tree *tree,
                                    const char *spec,
                                    uint32_t *uid,
                                    uint32_t *gid,
                                    struct error *err);

struct build_process_user {
    uint32_t uid;
    uint32_t gid;
    uint32_t *groups; /* supplementary; owned */
    size_t group_count;
    char *home; /* from passwd, "/" where unknown; owned */
};

void build_process_user_release(struct build_process_user *u); /* idempotent */

/*
 * The same text as user of a process: NULL or "" is root. A name must exist; supplementary
 * groups are those that list the user, unless a group is given.
 */
MUST_CHECK int build_user_of_process(struct cas_tree *tree,
                                     const char *spec,
                                     struct build_process_user *out,
                                     struct error *err);
/* The same with the files read elsewhere. */
MUST_CHECK int build_user_of_process_in(const struct build_user_files *files,
                                        const char *spec,
                                        struct build_process_user *out,
                                        struct error *err);
