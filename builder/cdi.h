/*
 * Devices by the Container Device Interface: specifications that the administrator or a
 * vendor's tool has put on this machine (JSON or YAML) say what a step needs to use a
 * device: its nodes, mounts, variables.
 *
 *     $COOPER_CDI_DIRS, or /etc/cdi, /var/run/cdi, /etc/buildkit/cdi; of equal names the
 *     last directory's counts
 *
 * May be shared between threads. Spec: CDI 1.1; BuildKit docs/cdi.md for the names.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

struct build_cdi;

/* Reads nothing yet. */
struct build_cdi *build_cdi_new(void);
void build_cdi_free(struct build_cdi *c); /* NULL is fine */

/* A device. Borrowed from the build_cdi. */
struct build_cdi_device {
    char *name;             /* "vendor.com/class=name" */
    char *kind;             /* "vendor.com/class" */
    const struct doc *spec; /* the whole document; shared by its devices */
    const struct doc *device;
    char *file; /* where it is written, for messages */
};

/*
 * What `name` stands for: a device's full name; a kind, which is its first device;
 * "KIND=*", which is all of them; or the class that devices are annotated with
 * (org.mobyproject.buildkit.device.class). *count is 0 if there is none. *out is the
 * caller's to free, what it points to is not. Errors: ERROR_INVALID for a specification
 * that cannot be read.
 */
MUST_CHECK int build_cdi_find(struct build_cdi *c,
                              const char *name,
                              const struct build_cdi_device ***out,
                              size_t *count,
                              struct error *err);
/* Does its specification say that nobody has to be asked?
 * (org.mobyproject.buildkit.device.autoallow) */
bool build_cdi_is_allowed(const struct build_cdi_device *d);
/* The directories that are looked into, for messages; borrowed. */
const char *build_cdi_directories(void);
