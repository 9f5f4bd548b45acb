/*
 * Archives that ADD unpacks: tar, alone or in gzip, bzip2, xz or zstd. libarchive reads
 * them (in a module, see archive_module.h); entries go into a delta, bytes into a spool
 * file.
 *
 * The archive is hostile: names are taken beneath the destination as inside a chroot or are
 * errors, and a hard link to what is not there is an error.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/delta.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes of unpacked files, in one unnamed file of the store; freed after the layer is
 * written. */
struct build_archive_spool;
struct build_archive_spool *build_archive_spool_new(int store_fd);
void build_archive_spool_free(struct build_archive_spool *s);

/* Is it a tar, possibly compressed? Reads from the start and leaves the position anywhere.
 * ERROR_UNSUPPORTED: the module is missing. */
MUST_CHECK int build_archive_is_tar(int fd, bool *is_tar, struct error *err);

struct build_archive_options {
    const char *dest; /* resolved directory in the delta; exists */
    bool is_beneath;  /* names that try to leave the destination are errors, as in layers;
                         otherwise they are taken as in a chroot, as docker's ADD does */
    bool has_owner;
    uint32_t uid;
    uint32_t gid;
    uint64_t size_max;  /* bytes of all files; 0: LIMIT_LAYER_SIZE */
    uint64_t count_max; /* entries; 0: LIMIT_LAYER_ENTRIES */
};

/* Unpacks all of `fd` (from its start) into the delta. ERROR_CORRUPT: a damaged archive;
 * ERROR_INVALID: an entry that tries to leave the destination; ERROR_LIMIT: more than is
 * allowed; ERROR_UNSUPPORTED: the module is missing. */
MUST_CHECK int build_archive_unpack(int fd,
                                    struct build_delta *delta,
                                    struct build_archive_spool *spool,
                                    const struct build_archive_options *options,
                                    struct error *err);
