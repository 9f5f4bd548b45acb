/* What `cooper diff` prints. */
#pragma once

#include "base/buf.h"
#include "base/doc.h"
#include "builder/compare/compare.h"
#include "cli/compared.h"

/*
 * For people: a line a difference, "+" for what only B has, "-" for what only A has, "~"
 * for what both have. Nothing on standard output for images without a difference. What
 * comes from the images is quoted: it cannot speak to the terminal. Notes are warnings.
 */
void cli_diff_report_text(const struct cli_compared sides[2],
                          const struct build_compare *c);
/* Its line about a package, without what ends a line; as it is quoted there. */
void cli_diff_package_text(const struct build_compare_package *p, struct buf *out);
/* What its document has of a package; the caller's. */
struct doc *cli_diff_package_doc(const struct build_compare_package *p);
/* For programs: one document; see docs/diff.md. */
void cli_diff_report_json(const struct cli_compared sides[2],
                          const struct build_compare *c);
