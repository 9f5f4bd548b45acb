/*
 * The user of a step, looked up in the passwd and group files of its snapshot.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/owner.h"
#include "cas/layer.h"
#include "cas/snapshot.h"

#include <stddef.h>

/*
 * As build_user_of_process, on the layers' unpacked directories: the indexes of layers that
 * are still being written would have to be waited for. Where symlinks make a plain look
 * unsafe, the layers' tree is asked after all.
 */
MUST_CHECK int step_user(const struct cas_snapshot_mount *mount,
                         struct cas_layer *const *layers,
                         size_t count,
                         const char *spec,
                         struct build_process_user *out,
                         struct error *err);
