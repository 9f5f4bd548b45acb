/*
 * What a finished build leaves for other programs: --iidfile, --metadata-file, -q.
 *
 * The ID of an image is the digest of its manifest, as buildx has it with a containerd
 * image store; the config's digest is in the metadata file.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"

/* Removes a file that an earlier build left, so that a failed build leaves none. */
MUST_CHECK int cli_build_report_clear(const char *path, struct error *err);
/* Any path may be NULL. */
MUST_CHECK int cli_build_report(const struct build_request *request,
                                const struct build_result *result,
                                const char *iidfile,
                                const char *metadata_file,
                                struct error *err);
