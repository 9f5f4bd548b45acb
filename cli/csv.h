/*
 * Values of the form "type=oci,dest=out.tar" as docker's flags take them: one record of CSV
 * as RUN --mount is written too (parser/csv.h), each field KEY=VALUE or KEY alone.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

struct cli_csv_field {
    char *key;   /* the whole field if there is no "=" */
    char *value; /* NULL: no "=" */
};

struct cli_csv {
    struct cli_csv_field *fields;
    size_t count;
    size_t capacity;
};

/* ERROR_USAGE: a quote that is not closed or stands within a field. `out` is the caller's.
 */
MUST_CHECK int cli_csv_parse(const char *text, struct cli_csv *out, struct error *err);
void cli_csv_release(struct cli_csv *csv); /* idempotent; usable with CLEANUP */
/* The value of the last field with this key; NULL if there is none or it has no value. */
const char *cli_csv_get(const struct cli_csv *csv, const char *key);
