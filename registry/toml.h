/*
 * TOML 1.0 as configuration files of registries use it, told as it is read: tables, arrays
 * of tables, and keys whose values are texts, switches and whole numbers. Values of other
 * kinds (arrays, inline tables, fractions, dates) are read over, and told as such.
 *
 * Spec: toml.io v1.0.0.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

enum toml_event {
    TOML_TABLE, /* [table] */
    TOML_ITEM,  /* [[table]]: one more of an array of tables */
    TOML_KEY,   /* key = value, in `table` */
};

enum toml_type { TOML_TEXT, TOML_BOOL, TOML_INT, TOML_OTHER };

/* Valid during the call. Dotted names are joined by dots; names with dots of their own are
 * told like those, as no file that is read here has any. */
struct toml_item {
    enum toml_event event;
    const char *table; /* "" before the first one */
    const char *key;   /* of TOML_KEY */
    enum toml_type type;
    const char *text; /* of TOML_TEXT; without NUL inside */
    bool flag;        /* of TOML_BOOL */
    int64_t number;   /* of TOML_INT */
    unsigned line;
};

/* `each` returns 0, or -1 with err set to end it. ERROR_INVALID "line 3: ...". */
MUST_CHECK int toml_parse(struct view text,
                          int (*each)(void *context,
                                      const struct toml_item *item,
                                      struct error *err),
                          void *context,
                          struct error *err);
