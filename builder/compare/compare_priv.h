/*
 * The parts of a comparison, one a file. For compare.c and tests.
 */
#pragma once

#include "builder/compare/compare.h"
#include "builder/compare/package.h"
#include "cas/tree.h"

/* compare_config.c: appends to c->values. */
void compare_config(struct build_compare *c,
                    const struct build_compare_image *before,
                    const struct build_compare_image *after,
                    bool times);
/* compare_layers.c: fills c->layers. */
void compare_layers(struct build_compare *c,
                    const struct build_compare_image *before,
                    const struct build_compare_image *after);

/* Is told of each side's file whose content the other side has not at this path. */
struct compare_watch {
    void (*found)(void *context, size_t side, const struct cas_tree_entry *e);
    void *context;
};

/* compare_files.c: walks both trees side by side, appends to c->files unless `list` is
 * false. trees[0] is before. */
MUST_CHECK int compare_files(struct build_compare *c,
                             struct cas_tree *const trees[2],
                             bool list,
                             bool times,
                             const struct compare_watch *watch,
                             struct error *err);

/* compare_packages.c: what the watch saw, until the packages are compared. */
struct compare_packages;
struct compare_packages *compare_packages_new(void);
void compare_packages_free(struct compare_packages *p);
void compare_packages_freep(struct compare_packages **p);
struct compare_watch compare_packages_watch(struct compare_packages *p);
/* Reads the databases that differ and fills c->packages; what cannot be read is noted. */
MUST_CHECK int compare_packages_run(struct compare_packages *p,
                                    struct build_compare *c,
                                    struct cas_store *store,
                                    struct cas_tree *const trees[2],
                                    struct error *err);
/* compare_packages.c: pairs two lists, which it sorts; appends to c->packages. */
void compare_packages_pair(struct build_compare *c,
                           struct build_packages *before,
                           struct build_packages *after);

/* compare_rpm.c: appends what both sides' databases have; notes those that cannot be read.
 */
MUST_CHECK int compare_rpm(struct build_compare *c,
                           struct cas_store *store,
                           struct cas_tree *const trees[2],
                           struct build_packages packages[2],
                           struct error *err);

/* compare.c: malloc'ed text, consumed. */
void compare_note(struct build_compare *c, char *text);
