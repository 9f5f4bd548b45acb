/*
 * What a step is made of, as a small document: kept from one build to the next, so that a
 * step that misses the cache can say what differs (builder/miss.h).
 *
 *     {"stage":"web","text":"RUN make","op":"run", ...}
 *
 * Values of variables whose name says that they are secret are kept as salted digests: they
 * can be told apart and not read.
 */
#pragma once

#include "base/doc.h"
#include "base/view.h"
#include "builder/graph.h"

/* The caller owns the result. `salt` is the same for documents that are compared. */
struct doc *build_describe(const struct build_node *n, struct view salt);

/* Of a title, "[web 2/5] RUN make": what stands in the brackets before the number ("web";
 * empty where there is none), and what follows them. */
struct view build_title_stage(const char *title);
struct view build_title_text(const char *title);
