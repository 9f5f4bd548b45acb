/*
 * What build's flags say of outputs: -o, --push, --load, --annotation, --compression and
 * its kin, read as buildx reads them. A list owns the texts that it makes; what it hands
 * out is borrowed from it and from the command line. Errors are ERROR_USAGE and name the
 * flag.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "cli/args.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The flags as typed; zero where not given. */
struct cli_output_options {
    struct cli_texts outputs;
    struct cli_texts annotations;
    const char *compression;
    const char *compression_level;
    const char *load; /* "true" for a bare --load */
    uint64_t split;
    bool force_compression;
    bool push;
    bool squash;
    bool squash_all;
};

struct cli_annotations {
    struct build_annotation *items; /* texts owned */
    size_t count;
    size_t capacity;
};
void cli_annotations_release(struct cli_annotations *a); /* idempotent */

/* --annotation [TYPE[PLATFORM],...:]KEY=VALUE, TYPE as in enum build_annotated. */
MUST_CHECK int cli_annotation_read(const char *text,
                                   struct cli_annotations *out,
                                   struct error *err);
/* annotation[-TYPE][[PLATFORM]].KEY as a key of -o; *found false: it is no such key. */
MUST_CHECK int cli_annotation_key_read(const char *key,
                                       const char *value,
                                       struct cli_annotations *out,
                                       bool *found,
                                       struct error *err);

/* One output with what it borrows from. */
struct cli_output {
    char *dest;
    char *name;
    struct cli_annotations annotations;
    bool keeps_refs; /* store=false */
};

struct cli_outputs {
    struct build_output *items;
    struct cli_output *owned; /* as `items` */
    size_t count;
    size_t capacity;
    size_t owned_capacity;
    struct cli_annotations annotations; /* of all */
    struct build_compression compression;
    struct build_reshape reshape;
    bool uses_stdout;
};
void cli_outputs_release(struct cli_outputs *o); /* idempotent; usable with CLEANUP */

/* -o DIR, -o -, -o type=TYPE,KEY=VALUE,... Standard output is refused if it is a terminal,
 * or asked for twice; so are two outputs to one place. */
MUST_CHECK int cli_build_outputs(const struct cli_output_options *from,
                                 struct cli_outputs *out,
                                 struct error *err);

/* Fills in what a request has of outputs. The compression is that of the first image, or of
 * the flags where there is none: the store's image has it. */
void cli_outputs_request(const struct cli_outputs *o, struct build_request *request);
