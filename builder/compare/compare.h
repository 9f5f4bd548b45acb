/*
 * What is different in two images: config, layers, files, packages. Files are compared
 * through the indexes of the layers, so nothing is unpacked; layers that the store lacks
 * are fetched when their index or a package database in them is needed.
 *
 *     build_compare_run -> read -> build_compare_free
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "cas/arena.h"
#include "cas/entry.h"
#include "cas/layer.h"
#include "registry/image.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum build_change {
    BUILD_CHANGE_NONE = 0,
    BUILD_CHANGE_ADDED,   /* only `after` has it */
    BUILD_CHANGE_REMOVED, /* only `before` has it */
    BUILD_CHANGE_CHANGED,
};

/* "same", "added", "removed", "changed". */
const char *build_change_name(enum build_change change);

/* One side; everything is borrowed for the call. */
struct build_compare_image {
    struct cas_store *store;
    const struct registry_image *image;
    const struct doc *manifest; /* for its annotations; may be NULL */
    const struct doc *config;
    struct cas_layer *const *layers; /* bottom first, image->layer_count of them */
};

/* A value of the config: "config.Env.PATH", "architecture", "annotations.KEY". */
struct build_compare_value {
    enum build_change change;
    char *path;
    struct doc *before; /* NULL: absent */
    struct doc *after;
};

struct build_compare_layer {
    enum build_change change; /* NONE: both have it, be it in another compression */
    struct digest diff_id;
    struct digest blob;     /* of the side that has it; `after` where both do */
    uint64_t size;          /* of that blob */
    const char *created_by; /* borrowed from the config; NULL: not known */
};

/* What differs in a file that both have. */
enum build_file_aspect {
    BUILD_FILE_TYPE = 1,
    BUILD_FILE_CONTENT = 2,
    BUILD_FILE_MODE = 4,
    BUILD_FILE_OWNER = 8,
    BUILD_FILE_TARGET = 16,
    BUILD_FILE_XATTRS = 32,
    BUILD_FILE_DEVICE = 64,
    BUILD_FILE_TIME = 128,
};

struct build_file_side {
    enum cas_entry_type type;
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    uint64_t size;
    int64_t mtime_s;
    struct view target; /* of a symlink */
};

struct build_compare_file {
    enum build_change change;
    unsigned aspects; /* enum build_file_aspect, of a changed one */
    struct view path; /* without a leading slash; "" is the root; NUL-terminated */
    struct build_file_side before;
    struct build_file_side after;
};

struct build_compare_package {
    enum build_change change;
    const char *kind; /* "dpkg", "apk", "rpm", "pip", "npm" */
    const char *name;
    const char *architecture; /* NULL: this kind has none */
    const char *before;       /* version; NULL: absent */
    const char *after;
};

enum build_compare_flags {
    BUILD_COMPARE_CONFIG = 1,
    BUILD_COMPARE_LAYERS = 2,
    BUILD_COMPARE_FILES = 4,
    BUILD_COMPARE_PACKAGES = 8,
    BUILD_COMPARE_ALL = 15,
    BUILD_COMPARE_TIMES = 16, /* times of files and images count as well */
};

struct build_compare {
    struct build_compare_value *values;
    size_t value_count;
    struct build_compare_layer *layers; /* in the order of an edit script, bottom first */
    size_t layer_count;
    struct build_compare_file *files; /* in the order of entries */
    size_t file_count;
    size_t time_only_count; /* files that differ in their time alone and are not listed */
    struct build_compare_package *packages; /* by kind, name, architecture */
    size_t package_count;
    char **notes; /* what could not be compared, and why */
    size_t note_count;
    struct cas_arena arena;
};

/*
 * `flags` without any of CONFIG, LAYERS, FILES, PACKAGES means all of them.
 * Ownership: *out is the caller's; it borrows from the configs.
 * Errors:    those of reading layers; ERROR_LIMIT past LIMIT_COMPARE_FILES differences. A
 *            package database that cannot be read is a note.
 */
MUST_CHECK int build_compare_run(const struct build_compare_image *before,
                                 const struct build_compare_image *after,
                                 unsigned flags,
                                 struct build_compare *out,
                                 struct error *err);
void build_compare_release(struct build_compare *c); /* idempotent; for CLEANUP */
/* Is anything of what was compared different? */
bool build_compare_differs(const struct build_compare *c);
