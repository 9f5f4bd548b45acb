/*
 * What there is: repositories and tags, the registry's and the store's own together.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

struct serve;

/* Names in bytewise order, without doubles; owned. */
struct serve_list {
    char **items;
    size_t count;
    size_t capacity;
};
void serve_list_release(struct serve_list *l); /* idempotent; usable with CLEANUP */
void serve_list_add(struct serve_list *l, char *consumed);
/* Brings names into order; drops doubles and what does not come after `after`. */
void serve_list_settle(struct serve_list *l, const char *after);

/* Tags after `after`; of each of the two kinds at most `limit`. */
MUST_CHECK int serve_list_tags(struct serve *s,
                               const char *repository,
                               const char *after,
                               size_t limit,
                               struct serve_list *out,
                               struct error *err);
/* All repositories after `after`. */
MUST_CHECK int serve_list_repositories(struct serve *s,
                                       const char *after,
                                       struct serve_list *out,
                                       struct error *err);
/* Does it have a tag, or was anything ever pushed there? */
MUST_CHECK int serve_list_is_known(struct serve *s,
                                   const char *repository,
                                   bool *known,
                                   struct error *err);
