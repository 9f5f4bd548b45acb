/*
 * An image's archive as something to read: a thread of its own writes it into a pipe while
 * others take it from there.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/store.h"
#include "registry/archive.h"

struct build_stream;

/* Everything is borrowed until build_stream_close. */
MUST_CHECK struct build_stream *build_stream_open(
    struct cas_store *store,
    const struct registry_archive_image *image,
    enum registry_archive_format format,
    struct error *err);
/* The end to read from; the stream's. */
int build_stream_fd(const struct build_stream *s);
/*
 * Ends it and tells how writing went, where `failed` says that those who read had no reason
 * to complain of their own; err then is theirs and stays. Consumes `s`; NULL is fine.
 */
int build_stream_close(struct build_stream *s, bool failed, struct error *err);
