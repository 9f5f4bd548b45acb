/*
 * Values as people read them, in docker's way, and tables of them.
 */
#pragma once

#include "base/buf.h"
#include "cas/digest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Long enough for every value below. */
struct cli_text {
    char text[64];
};

/* Decimal units, four significant digits: "0B", "12.3MB", "1.24GB". */
struct cli_text cli_format_size(uint64_t size);
/* "Less than a second", "5 minutes", "2 weeks": a duration. */
struct cli_text cli_format_duration(int64_t seconds);
/* "5 minutes ago" of an RFC 3339 time, seen from `now`; "N/A" if there is none. */
struct cli_text cli_format_age(const char *rfc3339, int64_t now);
/* Seconds since the epoch of an RFC 3339 time; false if it is none. */
bool cli_time_parse(const char *rfc3339, int64_t *out);
/* "2026-11-23T05:47:00Z" or with nanoseconds if they are not 0. */
struct cli_text cli_format_time(int64_t seconds, uint32_t nanoseconds);
/* The first twelve hex digits, as docker shortens IDs. */
struct cli_text cli_format_short_id(const struct digest *d);

/* Rows of text in columns; cells are copied. */
struct cli_table {
    char **cells;
    size_t cell_count;
    size_t capacity;
    size_t columns;
};

void cli_table_init(struct cli_table *t, size_t columns);
void cli_table_release(struct cli_table *t); /* idempotent; usable with CLEANUP */
void cli_table_add(struct cli_table *t, const char *cell);
/* Columns are aligned by their longest cell and stand three blanks apart, as docker's. */
void cli_table_write(const struct cli_table *t, struct buf *out);
