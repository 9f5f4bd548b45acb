/*
 * Keys of the build cache: what a step is (its operation) and what it is applied to,
 * hashed. No time and no path of this machine is part of a key.
 *
 *     operation   what the instruction says: command, environment, flags
 *     definition  operation + definition keys of the inputs + content taken from contexts
 *     content     operation + content of the inputs (layers without their times)
 *     result      operation + content of the outcome: to recognise an equal outcome
 */
#pragma once

#include "builder/build.h"
#include "builder/graph.h"
#include "cas/digest.h"

#include <stddef.h>
#include <stdint.h>

/* Changes when the meaning of keys or the way layers are made changes. */
#define BUILD_KEY_VERSION "cooper-key-2"

/* What the whole build is given: the latest time, which is part of no key (a record has
 * its variants), and the hosts that RUN sees. Texts are borrowed. */
struct build_variant {
    int64_t epoch;
    const struct build_pair *hosts;
    size_t host_count;
};

struct digest build_key_operation(const struct build_node *n,
                                  const struct build_variant *v);
/* `inputs`: keys of the inputs in the order of build_node_inputs, base first (a zero digest
 * if there is none); `selection`: what is copied from contexts, or NULL. */
struct digest build_key_definition(const struct digest *operation,
                                   const struct digest *inputs,
                                   size_t count,
                                   const struct digest *selection);
struct digest build_key_content(const struct digest *operation,
                                const struct digest *inputs,
                                size_t count,
                                const struct digest *selection);
struct digest build_key_result(const struct digest *operation,
                               const struct digest *outcome);
/* Under which the selection of a COPY is kept while nothing of its sources was touched:
 * `prints` are of build_context_fingerprint, one a source. */
struct digest build_key_fingerprint(const struct digest *operation,
                                    const struct digest *prints,
                                    size_t count);
/* Which layers the inputs consist of: `chains` has a digest of each one's stack. */
struct digest build_key_inputs(const struct digest *chains, size_t count);
/* Of an image's layers. */
struct digest build_key_image(const struct build_image *image);
/* Of entries that a COPY takes: paths, types, attributes, digests of files; no times. Every
 * file's digest must be known. */
struct digest build_key_entries(const struct cas_entry *entries, size_t count);
