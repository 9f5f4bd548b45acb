/*
 * The config of an imported image: empty, as docker import leaves it, or what --change
 * says. For builder/import.c.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/import.h"

/*
 * The whole config document but for rootfs. The instructions of --change are planned as
 * those of a Dockerfile FROM scratch; only those that set the config may be there. Errors:
 * ERROR_INVALID naming the instruction.
 */
MUST_CHECK struct doc *import_config_make(const struct build_environment *env,
                                          const struct build_import_options *options,
                                          struct error *err);
