/*
 * Which packages a rollback changes, where this machine's store has both images: to be told
 * is not worth fetching gigabytes.
 */
#pragma once

#include "base/doc.h"
#include "cas/digest.h"
#include "cli/session.h"

struct cli_package_changes {
    char *text;       /* lines for people */
    struct doc *list; /* an array for programs */
};

/* Both NULL where nothing is known: the store lacks one of the images, or a part of it. */
void cli_rollback_packages(struct cli_session *session,
                           const struct digest *from,
                           const struct digest *to,
                           struct cli_package_changes *out);
void cli_package_changes_release(struct cli_package_changes *p); /* idempotent; CLEANUP */
