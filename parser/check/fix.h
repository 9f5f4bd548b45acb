/*
 * `cooper check --fix`: rewrites a Dockerfile so that findings go away, where what the file
 * means certainly does not change.
 *
 *     ConsistentInstructionCasing   the name in the case of the majority
 *     FromAsCasing                  AS in the case of its FROM
 *     StageNameCasing               the name in lower case (names are compared without
 * case) NoEmptyContinuation           the empty lines go LegacyKeyValueFormat          ENV
 * a b c -> ENV a="b c", without quotes, escapes and line breaks in the value
 *     ExposeProtoCasing             80/TCP -> 80/tcp
 *     RedundantTargetPlatform       --platform=$TARGETPLATFORM goes
 *
 * The rest (JSON form of CMD, MAINTAINER, the order of steps) changes images and is left to
 * people. Fixing what was fixed changes nothing.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "parser/check/check.h"

#include <stddef.h>

struct buf;

/*
 * Appends the fixed text to `out`; *count gets the number of findings that were fixed.
 * `options` says which findings there are, as for dockerfile_check; its on_finding and
 * base_* callbacks are not needed and not called. Rules that are skipped are not fixed.
 *
 * Errors: as dockerfile_parse, as the text is parsed here; ERROR_LIMIT.
 */
MUST_CHECK int dockerfile_fix(struct view text,
                              const char *source_name,
                              const struct dockerfile_check_options *options,
                              struct buf *out,
                              size_t *count,
                              struct error *err);

/* Is this a rule that dockerfile_fix knows to fix? */
bool dockerfile_rule_is_fixable(enum dockerfile_rule rule);
