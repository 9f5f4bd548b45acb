/*
 * Leases: what keeps garbage collection away from work in progress.
 *
 * Every open store holds a lease: a file leases/ID with a random ID, locked by flock(2).
 * The kernel gives the lock back when the process dies, so a lease is alive if and only if
 * it is locked; process ids, which mean nothing in another pid namespace, play no part.
 *
 * A thing of the store that a lease holder makes or finds is "held": its atime or ctime is
 * not older than the lease. Collection takes only what is older than every other live
 * lease:
 *
 *     finder:    lock .sweep shared    - set atime - is it still there? - unlock
 *     collector: lock .sweep exclusive - older than the oldest lease?   - unlink - unlock
 *
 * so nothing vanishes after it was found. Things that are held already cost one stat and no
 * lock. The holder must not fork children that outlive it: they would share the lock.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/store.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

struct cas_lease;

/* Files in leases/ that begin so are cas/claim.h's: they keep nothing from collection, and
 * are cleaned up as leases are. */
#define CAS_CLAIM_PREFIX "claim-"

/* Takes a new lease in the store's directory. */
MUST_CHECK struct cas_lease *cas_lease_open(int store_fd, struct error *err);
void cas_lease_close(struct cas_lease *l); /* NULL is fine */
const char *cas_lease_id(const struct cas_lease *l);

/* Removes leases that nobody holds, and with each what it left in ingest/. */
MUST_CHECK int cas_lease_clean(int store_fd, struct error *err);

/* When it began. */
struct timespec cas_lease_start(const struct cas_lease *l);
/* *any: somebody else holds a lease; when the oldest and the newest of them began. */
MUST_CHECK int cas_lease_others(int store_fd,
                                const struct cas_lease *own,
                                bool *any,
                                struct timespec *oldest,
                                struct timespec *newest,
                                struct error *err);

/* Locks leases/NAME (".sweep", ".gc", ".index", ".create"), waiting. The lock goes with the
 * descriptor; two calls exclude each other also within one process. */
MUST_CHECK int cas_lease_lock(int store_fd,
                              const char *name,
                              int operation,
                              struct error *err);

/*
 * Is `path` (relative to the store, a file or directory, not followed) there? If so it
 * stays until this store is closed. `st` receives its attributes from before. Thread-safe.
 */
MUST_CHECK int cas_lease_hold(
    struct cas_store *s, const char *path, bool *found, struct stat *st, struct error *err);
/* When `st` was last made or found: the later one of atime and ctime. */
struct timespec cas_lease_stamp(const struct stat *st);
bool cas_lease_before(struct timespec a, struct timespec b);
