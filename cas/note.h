/*
 * Notes: small files beside the store's content, each replaced as a whole, whose loss harms
 * nobody: what the steps of a Dockerfile were made of (steps/HEX), what a build did
 * (builds/ID/...), how an image was built (provenance/HEX). They are not synced: after a
 * power failure a note may be missing or damaged, which its reader takes for none.
 * Thread-safe.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/store.h"

#include <stdbool.h>
#include <stddef.h>

/* Appends the note at `path` (relative to the store). Absent: *found is false. ERROR_LIMIT
 * past the buffer's maximum. */
MUST_CHECK int cas_note_read(
    struct cas_store *s, const char *path, struct buf *out, bool *found, struct error *err);
/* Replaces or makes the note, and the directories on the way. */
MUST_CHECK int cas_note_write(struct cas_store *s,
                              const char *path,
                              struct view data,
                              struct error *err);
/* Removes the oldest files of a directory of notes until `keep` are left. */
MUST_CHECK int cas_note_prune(struct cas_store *s,
                              const char *dir,
                              size_t keep,
                              struct error *err);
