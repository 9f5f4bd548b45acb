/*
 * Platforms: what an image runs on, "linux/amd64" or "linux/arm/v7".
 *
 * Values are normalised when they are parsed, as containerd does: x86_64 is amd64, aarch64
 * is arm64, arm without a variant is v7, arm64/v8 is arm64. An arm/v7 machine also runs v6
 * and v5; amd64 and arm64 machines also run the smaller variants of theirs. Plain values,
 * copied freely.
 *
 * Spec: OCI image-spec image-index.md "platform"; containerd/platforms.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

struct registry_platform {
    char os[32];           /* "linux" */
    char architecture[32]; /* "amd64" */
    char variant[32];      /* "v7" or "" */
    char os_version[64];   /* "" almost always */
};

/* Where an image is looked at and not run: this machine's platform, or else the first that
 * there is. Its members are empty. */
extern const struct registry_platform registry_platform_any;
/* The platform of this machine and kernel. */
struct registry_platform registry_platform_host(void);
/* "OS", "ARCH", "OS/ARCH" or "OS/ARCH/VARIANT"; what is left out is the host's. */
MUST_CHECK int registry_platform_parse(struct view text,
                                       struct registry_platform *out,
                                       struct error *err);
/* From the "platform" of an index entry, or from an image config: the same member names.
 * ERROR_INVALID if os or architecture is missing or too long. */
MUST_CHECK int registry_platform_from_doc(const struct doc *d,
                                          struct registry_platform *out,
                                          struct error *err);
/* {"architecture":..,"os":..[,"variant":..]}, the specification's order. */
struct doc *registry_platform_doc(const struct registry_platform *p);

/* "linux/arm/v7"; long enough for any platform. */
struct registry_platform_text {
    char text[100];
};
struct registry_platform_text registry_platform_format(const struct registry_platform *p);

/* How well an image made for `have` serves a machine that wants `want`: 0 is exact, larger
 * is worse, -1 does not run at all. */
int registry_platform_rank(const struct registry_platform *want,
                           const struct registry_platform *have);
