/*
 * What a context can be other than a directory of the user's: an archive (a file, standard
 * input, a URL), a git repository, a Dockerfile behind a URL. Its files can be read before
 * .dockerignore is known, which is one of them.
 *
 * One thread at a time.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/context.h"

#include <stdbool.h>

struct build_context_source;

/* *out is NULL where `text` is no such thing but the path of a directory (or of nothing).
 * Fetches, and reads archives to their end. */
MUST_CHECK int build_context_source_open(const struct build_environment *env,
                                         const struct build_request *request,
                                         const char *text,
                                         struct build_context_source **out,
                                         struct error *err);
void build_context_source_free(struct build_context_source *s); /* NULL is fine */

/* Is it a Dockerfile itself, with nothing besides? Then that is its one file's name. */
const char *build_context_source_dockerfile(const struct build_context_source *s);

/* Where it came from: the path of a file, absolute; a URL without a password; of a
 * repository with the commit in place of the branch. malloc'ed. */
char *build_context_source_pinned(const struct build_context_source *s);
/* The commit of a repository, or NULL. Borrowed. */
const char *build_context_source_commit(const struct build_context_source *s);
/* Appends a file; symlinks are followed inside. *found false if there is none. */
MUST_CHECK int build_context_source_read(struct build_context_source *s,
                                         const char *path,
                                         bool *found,
                                         struct buf *out,
                                         struct error *err);
/* The context, once; `ignore` (may be NULL) is consumed. The source must outlive it. */
MUST_CHECK struct build_context *build_context_source_take(struct build_context_source *s,
                                                           struct dockerfile_ignore *ignore,
                                                           struct error *err);
