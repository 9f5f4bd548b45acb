/*
 * One -o while it is read. For cli/build_output*.c.
 */
#pragma once

#include "cli/build_output.h"
#include "cli/csv.h"

struct output_draft {
    struct build_output out; /* texts are borrowed from the CSV */
    struct cli_output owned;
    bool has_type; /* a compression of its own */
    bool has_level;
    bool push;
    bool is_image; /* type=image: the store, and the registry with push=true */
};

/* Which outputs a key makes sense for. */
enum output_for {
    FOR_IMAGE = 1,   /* image, registry */
    FOR_ARCHIVE = 2, /* oci, docker */
    FOR_LOAD = 4,    /* load, and docker without dest */
    FOR_FILES = 8,   /* local, tar */
    FOR_IMAGES = FOR_IMAGE | FOR_ARCHIVE | FOR_LOAD,
    FOR_DEST = FOR_ARCHIVE | FOR_FILES,
};
unsigned output_for(const struct output_draft *d);

MUST_CHECK int output_type_read(const char *value,
                                struct output_draft *d,
                                struct error *err);
/* One key=value, whatever it is, but for `type`. */
MUST_CHECK int output_key_read(const struct cli_csv_field *f,
                               struct output_draft *d,
                               struct error *err);

MUST_CHECK int output_compression_read(const char *value,
                                       enum cas_compression *out,
                                       struct error *err);
MUST_CHECK int output_level_read(const char *value, int *out, struct error *err);
MUST_CHECK int output_into_read(const char *value,
                                enum build_load_into *out,
                                struct error *err);
