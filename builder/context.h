/*
 * A build context: a directory as the build may see it. .dockerignore is applied, owners
 * are root, sockets are not there. Directories are read when something in them is asked
 * for, once.
 *
 * Nothing is followed out of the directory: files are opened beneath its descriptor without
 * following symlinks. The digests of files come from the store's stat cache where the file
 * is provably unchanged. Thread-safe.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/source_tree.h"
#include "cas/store.h"
#include "parser/ignore.h"

#include <stdbool.h>
#include <time.h>

struct build_context;
struct context_tar;

/* Opens `path`. `ignore` may be NULL; it is consumed, also on failure. */
MUST_CHECK struct build_context *build_context_open(struct cas_store *store,
                                                    const char *path,
                                                    struct dockerfile_ignore *ignore,
                                                    struct error *err);
/* A directory that a program of ours filled (git): modes are those that the umask 022
 * gives, and all times are one if has_time. As above. */
struct build_context_checkout {
    bool has_time;
    struct timespec time;
};
MUST_CHECK struct build_context *build_context_open_checkout(
    struct cas_store *store,
    const char *path,
    const struct build_context_checkout *checkout,
    struct dockerfile_ignore *ignore,
    struct error *err);
/* The files of an archive; `tar` and `ignore` (may be NULL) are consumed, also on failure.
 * `shown` is what stands in messages. */
MUST_CHECK struct build_context *build_context_open_tar(struct context_tar *tar,
                                                        const char *shown,
                                                        struct dockerfile_ignore *ignore,
                                                        struct error *err);
/* Also writes the stat cache back; NULL is fine. */
void build_context_close(struct build_context *c);

const char *build_context_path(const struct build_context *c); /* as typed; borrowed */
/* Did it come as a whole, an archive or a repository, rather than as the directory of
 * whoever builds? */
bool build_context_is_whole(const struct build_context *c);
/* The tree of the context; lives as long as the context. */
struct build_tree *build_context_tree(struct build_context *c);
/* A file that was read elsewhere (while its layer was written) has this digest. */
void build_context_remember(struct build_context *c,
                            const struct build_tree_place *place,
                            const struct digest *d);
/*
 * A digest of everything that stat tells of the directory at `path` (cleaned, relative) and
 * of all beneath it: as long as it stays the same, nothing there has changed. Costs a few
 * per cent of looking at each file's remembered digest.
 *
 * *is_known is false if `path` is no directory, if what is there is too little to be worth
 * it, or if something changed too lately for its times to be believed.
 */
MUST_CHECK int build_context_fingerprint(struct build_context *c,
                                         struct view path,
                                         struct digest *out,
                                         bool *is_known,
                                         struct error *err);
/* Is the path (clean, relative) there, but left out of the context by .dockerignore? *rule
 * then tells by which line. For messages. */
bool build_context_is_left_out(struct build_context *c,
                               struct view path,
                               struct dockerfile_ignore_rule *rule);
