/*
 * An archive as a context: its entries in memory, its bytes in one unnamed file of the
 * store. Nothing is unpacked, so no name in it can lead anywhere; what tries to leave the
 * root is an error all the same.
 *
 * One thread makes it; the tree may be shared.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "builder/source_tree.h"
#include "parser/ignore.h"

#include <stdbool.h>

struct context_tar;

/* Reads all of `fd` (a file, from its start): tar, alone or in gzip, bzip2, xz or zstd. The
 * unnamed file is made in the directory `store_fd`.
 * ERROR_INVALID, ERROR_CORRUPT, ERROR_LIMIT: what the archive tries. */
MUST_CHECK struct context_tar *context_tar_open(int store_fd, int fd, struct error *err);
/* One file of that name, mode 0600; `text` is copied. */
struct context_tar *context_tar_of_file(const char *name, struct view text);
void context_tar_free(struct context_tar *t); /* NULL is fine */
void context_tar_freep(struct context_tar **t);

/* Takes out what the set leaves out; NULL: nothing. Once, before the tree is used by
 * others. */
MUST_CHECK int context_tar_ignore(struct context_tar *t,
                                  const struct dockerfile_ignore *ignore,
                                  struct error *err);
/* Is the path in the archive, left out or not? */
bool context_tar_has(const struct context_tar *t, struct view path);
struct build_tree *context_tar_tree(struct context_tar *t); /* lives as long as `t` */

/* Does it begin as an archive does: gzip, bzip2, xz, zstd or tar? 512 bytes tell. */
bool context_tar_is_archive(struct view head);
