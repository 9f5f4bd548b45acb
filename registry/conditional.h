/*
 * A manifest that is put under a tag only if the tag is as the writer believes: absent, or
 * pointing to a certain digest (RFC 9110 section 13.1: If-None-Match, If-Match). Of several
 * who try at once, one succeeds.
 *
 * The distribution specification knows no conditions, and registries that do not know them
 * store the manifest in any case: whoever relies on them has to find out first. `cooper
 * serve` knows them.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/digest.h"
#include "registry/client.h"
#include "registry/reference.h"

#include <stdbool.h>

/*
 * Stores `manifest` under the reference's tag (not NULL), if the tag points to `expected`,
 * or, where that is not set, if there is no such tag. *refused: it does not, and nothing
 * has changed, as far as the registry says; also where it says that the tag cannot be
 * moved. A broken connection leaves open whether the first try counted: read back.
 */
MUST_CHECK int registry_manifest_put_if(struct registry_client *c,
                                        const struct registry_reference *ref,
                                        const char *media_type,
                                        struct view manifest,
                                        const struct digest *expected,
                                        bool *refused,
                                        struct error *err);
