/*
 * Reading compressed layers: a pull reader that recognises gzip (any number of members),
 * zstd (any number of frames) and plain bytes by their first bytes, and gives what is
 * inside.
 *
 * Foreign bytes: nothing is believed. Check sums and sizes that the format carries are
 * verified; a stream that ends early, or carries something else behind its end, is
 * ERROR_CORRUPT. Memory is bounded (about 0.5 MiB; zstd: the frame's window, at most 128
 * MiB).
 *
 *     codec_reader_new -> codec_reader_read ... until *got is 0 -> codec_reader_free
 *
 * Spec: RFC 1952 (gzip), RFC 8878 (zstd); OCI image-spec layer.md "+gzip", "+zstd".
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/layer.h"

#include <stddef.h>
#include <stdint.h>

/* Fills `data` with up to `size` bytes (size > 0); *got 0 means the end. Returns 0, or -1
 * with err. May give less than asked for. */
typedef int codec_source_fn(
    void *context, void *data, size_t size, size_t *got, struct error *err);

/* One thread at a time. */
struct codec_reader;

/* `source` is called whenever more compressed bytes are needed; `context` is borrowed. */
struct codec_reader *codec_reader_new(codec_source_fn *source, void *context);
/* The same over a descriptor, read with read(2) from where it stands; borrowed. */
struct codec_reader *codec_reader_new_fd(int fd);
/* From now on what follows the last member or frame, and is of another kind, ends the
 * content as the end of the source does: archives that people have are padded. */
void codec_reader_allow_rest(struct codec_reader *r);
void codec_reader_free(struct codec_reader *r); /* NULL is fine */
void codec_reader_freep(struct codec_reader **r);

/*
 * Fills `data` with up to `size` bytes (size > 0) of the content; *got 0 means its verified
 * end, less than `size` says nothing. After a failure the reader can only be freed.
 * Errors: ERROR_CORRUPT (bad format, check sum, size, early end, bytes behind the end);
 * those of the source.
 */
MUST_CHECK int codec_reader_read(
    struct codec_reader *r, void *data, size_t size, size_t *got, struct error *err);

/* What was recognised; reads the first bytes if none were read yet. */
MUST_CHECK int codec_reader_compression(struct codec_reader *r,
                                        enum cas_compression *out,
                                        struct error *err);
/* Compressed bytes taken from the source so far. */
uint64_t codec_reader_consumed(const struct codec_reader *r);
