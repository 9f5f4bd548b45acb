/*
 * Git repositories as sources of files. A repository that was asked for once is kept in the
 * store, and so are the trees of its commits that were used last:
 *
 *     git/ID/lock        held while something of it is changed
 *     git/ID/repo        bare, shallow: the commits that were asked for
 *     git/ID/tree.KEY    a commit's files, as git checks them out; mtime: the commit's
 *
 * ID stands for the repository's URL. All of it can be lost: it is fetched again. The
 * program git does the work, in an environment of its own (builder/git_run.h).
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/git_url.h"
#include "cas/digest.h"

#include <stdbool.h>
#include <time.h>

struct build_git;

struct build_git_options {
    const struct build_environment *env; /* borrowed */
    const struct build_request *request; /* borrowed: secrets, cancellation */
    const struct build_git_url *url;     /* borrowed */
    bool keep_git_dir;
};

/* Opens no connection yet. */
struct build_git *build_git_new(const struct build_git_options *options);
void build_git_free(struct build_git *g); /* NULL is fine; gives the tree back */

/*
 * Which commit is meant, asked of the server unless the URL itself says so. *key gets what
 * stands for the tree: equal keys, equal files. The second call asks nobody.
 * Errors: ERROR_NOT_FOUND: no such branch or tag; ERROR_CORRUPT: it is not the commit that
 *         the checksum names, both are shown; what git says.
 */
MUST_CHECK int build_git_resolve(struct build_git *g,
                                 struct digest *key,
                                 struct error *err);

/* The files of the commit, fetched if need be. *path is their directory (absolute,
 * borrowed; it stays until `g` is freed), *time what stands for all their times. */
MUST_CHECK int build_git_checkout(struct build_git *g,
                                  const char **path,
                                  struct timespec *time,
                                  struct error *err);

/* The commit, after build_git_resolve. Borrowed. */
const char *build_git_commit(const struct build_git *g);
