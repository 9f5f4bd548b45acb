/*
 * What reading and writing a layout share.
 */
#pragma once

#include "base/doc.h"
#include "registry/layout.h"

#define REGISTRY_LAYOUT_REF_NAME "org.opencontainers.image.ref.name"

/* One of the documents at the top, at most LIMIT_MANIFEST_SIZE; NULL on error. */
MUST_CHECK struct doc *registry_layout_read_json(int dir_fd,
                                                 const char *name,
                                                 struct error *err);
/* ERROR_UNSUPPORTED unless it is 1.x. */
MUST_CHECK int registry_layout_check_version(int dir_fd, struct error *err);
