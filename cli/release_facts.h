/*
 * What a release says of itself in the history: who made it, and the annotations that the
 * OCI image specification has for versions.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "cli/args.h"

#include <stdbool.h>
#include <sys/types.h>

/* $COOPER_USER, the user that a CI system names, else USER@HOST; malloc'ed. */
char *cli_release_who(uid_t real_uid);

/* Where the facts come from; all but `version` may be NULL. */
struct cli_release_source {
    const char *version;
    const struct doc *known;  /* annotations that the image has, or was released with */
    const struct doc *config; /* its labels, and when it was created */
    const struct cli_texts *given; /* KEY=VALUE */
    bool is_from_here; /* it was built from where one is: git and the CI system know more */
};
/*
 * org.opencontainers.image.version, revision, source and created, as far as they can be
 * known: from what was given, what the image says, the variables of CI systems, and the git
 * repository that one is in; what was given and what was known besides. An object;
 * ERROR_USAGE for what is not KEY=VALUE.
 */
MUST_CHECK struct doc *cli_release_facts(const struct cli_release_source *s,
                                         struct error *err);
