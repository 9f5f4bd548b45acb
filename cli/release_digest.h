/*
 * --write-digest: files that tell deployments what was released, by digest.
 *
 *     FILE               the digest and a line end
 *     ref=FILE           REPOSITORY@DIGEST and a line end
 *     kustomize=FILE     a kustomize component with one entry of "images"
 *     helm=FILE          Helm values: image.repository, image.tag, image.digest
 *
 * Each file is replaced whole, by rename.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/digest.h"
#include "cli/args.h"

/* ERROR_USAGE for a form that is not known. */
MUST_CHECK int cli_release_digests_check(const struct cli_texts *values, struct error *err);
/* `tag` may be NULL. */
MUST_CHECK int cli_release_digests_write(const struct cli_texts *values,
                                         const char *repository,
                                         const char *tag,
                                         const struct digest *digest,
                                         struct error *err);
