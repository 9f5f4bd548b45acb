/*
 * Where the bytes of unpacked files lie until the layer is written: one unnamed file of the
 * store, one file of the archive after the other. It is mapped when the first is read back;
 * nothing is written after that. Private to builder/archive*; life cycle in archive.h.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "builder/archive.h"
#include "builder/delta.h"

#include <stdint.h>

/* Bytes of all files that have ended. */
uint64_t build_archive_spool_size(const struct build_archive_spool *s);

/* Writes `data` at `at` of the file that has begun; what is left out reads as zeros. */
MUST_CHECK int build_archive_spool_write(struct build_archive_spool *s,
                                         uint64_t at,
                                         struct view data,
                                         struct error *err);

/* Ends the file, which is `size` bytes long; *out says where it lies and is valid as long
 * as the spool. */
MUST_CHECK int build_archive_spool_end(struct build_archive_spool *s,
                                       uint64_t size,
                                       struct build_delta_content *out,
                                       struct error *err);
