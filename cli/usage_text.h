/*
 * What takes up room in the store, as people and programs read it: for df and prune.
 */
#pragma once

#include "base/doc.h"
#include "builder/step_names.h"
#include "cas/usage.h"
#include "cli/format.h"

#include <stdint.h>

/* The first twelve digits of a digest, or the beginning of a name: what id= takes. */
struct cli_text cli_usage_id(const struct cas_usage_item *item);
/* Does the item's ID, a key of its record, or its name begin with `text`? */
bool cli_usage_has_id(const struct cas_usage_item *item, const char *text);
/* "RUN make", the names of an image, the path of a directory; malloc'ed. */
char *cli_usage_description(const struct cas_usage_item *item,
                            const struct build_step_names *names);
/* "5 minutes ago". */
struct cli_text cli_usage_age(int64_t ns);
struct doc *cli_usage_item_doc(const struct cas_usage_item *item,
                               const struct build_step_names *names);
