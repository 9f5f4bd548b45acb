/*
 * What files take up on the disk, as du(1) counts: blocks, not bytes; directories too; a
 * file with several names once.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdint.h>
#include <sys/stat.h>

/* open(2) for reading that leaves the time of access alone where the kernel allows it, as
 * that time tells when something was last used (cas/lease.h). Nothing is followed. -1 and
 * errno. */
int cas_disk_open(int dir_fd, const char *path, int flags);

/* Files with several names that were counted already. Thread-safe. */
struct cas_disk_links;

struct cas_disk_links *cas_disk_links_new(void);
void cas_disk_links_free(struct cas_disk_links *l); /* NULL is fine */
void cas_disk_links_freep(struct cas_disk_links **l);

/* Of one file or directory, without what is in it; 0 if it was counted already. */
uint64_t cas_disk_size(const struct stat *st, struct cas_disk_links *links);

/*
 * Of a whole tree. Nothing is followed and no mount crossed; any depth. What vanishes
 * meanwhile counts nothing, and neither does what may not be read. *files (may be NULL) is
 * increased by the number of names.
 */
MUST_CHECK int cas_disk_tree_size(int dir_fd,
                                  const char *path,
                                  struct cas_disk_links *links,
                                  uint64_t *size,
                                  uint64_t *files,
                                  struct error *err);
