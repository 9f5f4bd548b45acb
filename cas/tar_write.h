/*
 * Writing tar headers: ustar, with a PAX header before it only where an attribute does not
 * fit. The same entry gives the same bytes. An archive is
 *
 *     (headers | content | padding to 512)* | two blocks of zeros
 *
 * Times are whole seconds, as BuildKit's layers have them; there are no names of users and
 * groups; whiteouts are empty files ".wh.NAME" without any attribute; an opaque directory
 * is followed by an empty file ".wh..wh..opq" in it. Names are raw bytes.
 *
 * Spec: POSIX pax "ustar Interchange Format", "pax Header Block"; OCI image-spec layer.md.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/entry.h"

#include <stddef.h>
#include <stdint.h>

#define TAR_BLOCK ((size_t)512)
/* The two blocks of zeros at the end. */
#define TAR_END_SIZE (2 * TAR_BLOCK)

/* No epoch: times stay as they are. */
#define TAR_NO_EPOCH ((int64_t)-1)

/*
 * The entry as an archive holds it: time in whole seconds and at most `epoch` (if >= 0); a
 * whiteout without attributes; a symlink's mode is 0777; no size but a file's. Reading the
 * archive gives this again. `content` stays out, and is not looked at, as it may just be in
 * the making.
 */
struct cas_entry tar_entry_written(const struct cas_entry *e, int64_t epoch);

/*
 * A layer that we write is one that we, and Linux, can read: entries come from archives,
 * contexts and steps that may hold anything.
 * Errors: ERROR_LIMIT for a path, name or symlink's target that Linux cannot have;
 * ERROR_INVALID for NUL in a path or link, a symlink without target, a device number,
 * owner or time out of range; ERROR_UNSUPPORTED for what would mean something else to
 * whoever unpacks the layer (names that begin with ".wh.", overlayfs' attributes and 0/0
 * devices) and for an attribute with '=' in its name, which PAX cannot express.
 */
MUST_CHECK int tar_entry_check(const struct cas_entry *e, struct error *err);

/* How many bytes tar_headers_append adds: a multiple of TAR_BLOCK. `e` as written. */
size_t tar_headers_size(const struct cas_entry *e);
/* Everything that stands before the entry's content. `e` as written. */
void tar_headers_append(const struct cas_entry *e, struct buf *out);
/* Content and padding of a file of this size. */
uint64_t tar_padded_size(uint64_t size);
