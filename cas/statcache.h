/*
 * The digests of a context's files remembered between builds: path, device, inode, size,
 * mtime, ctime -> SHA-256 of the content. One sorted, mmapped file a context (stat/ID), as
 * git's index is, with git's rule for racily clean files: an entry whose file changed at or
 * after the moment the cache was written is not believed.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/digest.h"
#include "cas/store.h"

#include <stdbool.h>
#include <sys/stat.h>

struct cas_statcache;

/* Opens the cache of the context with this identity (its absolute path); a missing or damaged
 * file is an empty cache. */
MUST_CHECK struct cas_statcache *cas_statcache_open(struct cas_store *s, const char *identity, struct error *err);
void cas_statcache_close(struct cas_statcache *c); /* discards what was put; NULL is fine */
void cas_statcache_closep(struct cas_statcache **c);
/* Thread-safe. */
bool cas_statcache_find(struct cas_statcache *c, struct view path, const struct stat *st, struct digest *out);
void cas_statcache_put(struct cas_statcache *c, struct view path, const struct stat *st, const struct digest *d);
/* Merges what was put over what was there and replaces the file by rename; drops entries
 * below the scanned part that were neither found nor put. A failure to write loses nothing. */
MUST_CHECK int cas_statcache_save(struct cas_statcache *c, struct error *err);
