/*
 * The digests of a context's files remembered between builds: path, device, inode, size,
 * mtime, ctime -> SHA-256 of the content. One sorted, mmapped file a context (stat/ID), as
 * git's index is.
 *
 * As in git, racily clean files are not believed: a file that changed at or after the
 * moment the cache was opened may change once more within the same tick of the file
 * system's clock, so what is put about it is not kept. Hence the order: open, then stat,
 * then read and put.
 *
 * The cache is a hint that can be lost: a damaged file is an empty one, a damaged entry
 * (each carries a check) is absent.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/digest.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct cas_statcache;

/* What tells that a file is what it was. Without holes: it may be hashed. */
struct cas_file_stamp {
    uint64_t dev;
    uint64_t ino;
    uint64_t size;
    int64_t mtime_s;
    int64_t ctime_s;
    uint32_t mtime_ns;
    uint32_t ctime_ns;
};

struct cas_file_stamp cas_file_stamp_of(const struct stat *st);
bool cas_file_stamp_equal(const struct cas_file_stamp *a, const struct cas_file_stamp *b);

/* Opens the cache of the context with this identity (its absolute path); a missing or
 * damaged file is an empty cache. `s` is borrowed until it is closed. */
MUST_CHECK struct cas_statcache *cas_statcache_open(struct cas_store *s,
                                                    const char *identity,
                                                    struct error *err);
void cas_statcache_close(struct cas_statcache *c); /* discards what was put; NULL is fine */
void cas_statcache_closep(struct cas_statcache **c);

/* Thread-safe. Paths are relative to the context and clean. Asked in the order of entries
 * (cas/entry.h), or nearly so, each costs a comparison or two. */
bool cas_statcache_find(struct cas_statcache *c,
                        struct view path,
                        const struct cas_file_stamp *stamp,
                        struct digest *out);
/* Thread-safe. `stamp` is from before the file was read; `d` is a SHA-256. */
void cas_statcache_put(struct cas_statcache *c,
                       struct view path,
                       const struct cas_file_stamp *stamp,
                       const struct digest *d);
/* Would a change of the file since it was looked at (which gave `stamp`) show in its times?
 */
bool cas_statcache_is_settled(const struct cas_statcache *c,
                              const struct cas_file_stamp *stamp);
/* Everything at and beneath `dir` ("" for all) was asked for: entries there that were
 * neither found nor put are of files that exist no more, and are dropped when saving.
 * Thread-safe. */
void cas_statcache_scanned(struct cas_statcache *c, struct view dir);

/* Merges what was put over what was there and replaces the file by rename; does nothing if
 * nothing new was put. Entries that no build asked for in many saves are dropped. A failure
 * to write loses nothing. Not while other threads use `c`. */
MUST_CHECK int cas_statcache_save(struct cas_statcache *c, struct error *err);
