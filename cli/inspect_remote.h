/*
 * Images as a registry has them, or a layout, an archive or the store, without fetching
 * them: `cooper inspect --remote`. Names are those of registry/location.h.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "cli/args.h"
#include "cli/session.h"

/*
 * Appends to `list` an object for each image: Name, Digest, MediaType, Size; of an index
 * Platforms and, if it has one for this platform (`platform`; NULL: this machine's), that
 * one's Manifest and Config. Of an artifact there is no Config.
 */
MUST_CHECK int cli_inspect_remote(struct cli_session *session,
                                  const struct cli_texts *names,
                                  const char *platform,
                                  struct doc *list,
                                  struct error *err);
/* Writes what the registry has under each name, byte for byte: with a platform, its
 * manifest out of an index. */
MUST_CHECK int cli_inspect_remote_raw(struct cli_session *session,
                                      const struct cli_texts *names,
                                      const char *platform,
                                      struct error *err);
