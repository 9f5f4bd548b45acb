/*
 * The image into the docker, podman or containerd of this machine (--load). Each is asked
 * for the layers that it has, and given the others only, where its interface allows that.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/export/export.h"
#include "registry/image.h"

#include <stdbool.h>

struct build_load {
    const struct build_export *x;
    const struct registry_image *image;
    const struct build_names *names; /* none: an image without a name, as docker has them */
};

/* The daemon's socket: $DOCKER_HOST if that is unix://, else the usual one. malloc'ed; NULL
 * where $DOCKER_HOST names something else. */
char *build_load_docker_socket(void);

/* Says how many of the image's layers were there already. */
void build_load_note(const struct build_load *l, const char *who, size_t present);

/* load_docker.c: through the daemon's API. Layers on top of the same layers are not sent to
 * a daemon that has them (its classic image store). */
MUST_CHECK int build_load_docker(const struct build_load *l, struct error *err);
/* load_podman.c: podman pulls from a layout and takes the blobs that it lacks. */
MUST_CHECK int build_load_podman(const struct build_load *l, struct error *err);
/* load_containerd.c: an archive without the blobs that its content store has. */
MUST_CHECK int build_load_containerd(const struct build_load *l, struct error *err);
