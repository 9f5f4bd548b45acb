/*
 * Sources of files that are elsewhere: http(s) URLs and git repositories. Nothing is asked
 * of anybody before a key or the files are wanted; then once a build.
 *
 * A file that was fetched stays in the store as a blob, and a record of the URL says which:
 * the next build asks the server only whether it changed; with a checksum, nothing.
 * Thread-safe.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/source_tree.h"
#include "cas/digest.h"

#include <stdbool.h>
#include <time.h>

struct build_remote;

enum build_remote_kind { BUILD_REMOTE_NONE, BUILD_REMOTE_FILE, BUILD_REMOTE_GIT };

struct build_remote_options {
    const struct build_environment *env; /* borrowed */
    const struct build_request *request; /* borrowed */
    const char *source;                  /* as typed */
    const char *checksum;                /* --checksum, or NULL */
    bool is_context;                     /* github.com/owner/repo is git too */
    bool has_keep_git_dir;               /* --keep-git-dir was given */
    bool keep_git_dir;
};

/* What the text means: a file's URL, a repository, or nothing of both. ERROR_INVALID: a
 * repository, but malformed. */
MUST_CHECK int build_remote_kind(const char *source,
                                 bool is_context,
                                 enum build_remote_kind *out,
                                 struct error *err);

/* ERROR_INVALID: no such thing, a checksum that is none or contradicts the URL. */
MUST_CHECK struct build_remote *build_remote_new(const struct build_remote_options *options,
                                                 struct error *err);
void build_remote_free(struct build_remote *r); /* NULL is fine */

enum build_remote_kind build_remote_kind_of(const struct build_remote *r);
const char *build_remote_shown(
    const struct build_remote *r); /* without secrets; borrowed */
/* The same with the commit that was found, where it is a repository. malloc'ed. */
char *build_remote_pinned(const struct build_remote *r);
const char *build_remote_commit(const struct build_remote *r); /* or NULL; borrowed */
/* The name of the file in its tree, from the URL; "/" of a repository: all of it. */
const char *build_remote_path(const struct build_remote *r); /* borrowed */

/* What stands for the content: equal keys, equal files. Asks the server; may fetch. */
MUST_CHECK int build_remote_key(struct build_remote *r,
                                struct digest *out,
                                struct error *err);
/* Is that a short question? True of repositories, and of files that the store has a copy
 * of. */
bool build_remote_is_quick(struct build_remote *r);
/* The files, fetched if need be; the tree lives as long as `r`. NULL on failure. */
MUST_CHECK struct build_tree *build_remote_tree(struct build_remote *r, struct error *err);

/* For contexts. The blob of a file; a repository's directory and the time of its files. */
MUST_CHECK int build_remote_blob(struct build_remote *r,
                                 struct digest *out,
                                 struct error *err);
MUST_CHECK int build_remote_directory(struct build_remote *r,
                                      const char **path,
                                      bool *has_time,
                                      struct timespec *time,
                                      struct error *err);
