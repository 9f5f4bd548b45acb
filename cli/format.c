#include "cli/format.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <assert.h>
#include <inttypes.h>
#include <time.h>

#define MINUTE 60
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define WEEK   (7 * DAY)
#define MONTH  (30 * DAY)
#define YEAR   (365 * DAY)

/* Blanks between columns. */
#define TABLE_GAP 3

struct cli_text cli_format_size(uint64_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    struct cli_text out;
    double value = (double)size;
    size_t unit = 0;

    while (value >= 1000.0 && unit + 1 < ARRAY_COUNT(units)) {
        value /= 1000.0;
        unit++;
    }
    snprintf(out.text, sizeof out.text, "%.3g%s", value, units[unit]);
    return out;
}

struct cli_text cli_format_duration(int64_t seconds)
{
    /* Each unit is used up to a limit; docker's own steps (go-units HumanDuration). */
    static const struct {
        int64_t limit;
        int64_t unit;
        const char *name;
    } steps[] = {
        {MINUTE, 1, "seconds"},     {HOUR, MINUTE, "minutes"},  {2 * DAY, HOUR, "hours"},
        {2 * WEEK, DAY, "days"},    {2 * MONTH, WEEK, "weeks"}, {2 * YEAR, MONTH, "months"},
        {INT64_MAX, YEAR, "years"},
    };
    struct cli_text out = {"Less than a second"};

    if (seconds < 1)
        return out;
    if (seconds == 1)
        return (struct cli_text){"1 second"};
    if (seconds >= MINUTE && seconds < 2 * MINUTE)
        return (struct cli_text){"About a minute"};
    if (seconds >= HOUR && seconds < 2 * HOUR)
        return (struct cli_text){"About an hour"};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        if (seconds >= steps[i].limit)
            continue;
        snprintf(out.text, sizeof out.text, "%" PRId64 " %s", seconds / steps[i].unit,
                 steps[i].name);
        break;
    }
    return out;
}

bool cli_time_parse(const char *rfc3339, int64_t *out)
{
    struct tm tm = {0};
    const char *rest;
    int hours;
    int minutes;
    char sign;

    if (rfc3339 == NULL)
        return false;
    rest = strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL)
        return false;
    *out = timegm(&tm);
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if (strcmp(rest, "Z") == 0)
        return true;
    if (sscanf(rest, "%c%2d:%2d", &sign, &hours, &minutes) != 3 ||
        (sign != '+' && sign != '-'))
        return false;
    *out -= (sign == '+' ? 1 : -1) * (hours * HOUR + minutes * MINUTE);
    return true;
}

struct cli_text cli_format_age(const char *rfc3339, int64_t now)
{
    struct cli_text out = {"N/A"};
    int64_t then = 0;

    /* The zero time is Go's way to say that there is none. */
    if (!cli_time_parse(rfc3339, &then) || strncmp(rfc3339, "0001-", 5) == 0)
        return out;
    snprintf(out.text, sizeof out.text, "%.50s ago", cli_format_duration(now - then).text);
    return out;
}

struct cli_text cli_format_time(int64_t seconds, uint32_t nanoseconds)
{
    const time_t when = (time_t)seconds;
    struct cli_text out;
    struct tm tm;

    gmtime_r(&when, &tm);
    const size_t size = strftime(out.text, sizeof out.text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (nanoseconds != 0)
        snprintf(out.text + size, sizeof out.text - size, ".%09" PRIu32 "Z", nanoseconds);
    else
        snprintf(out.text + size, sizeof out.text - size, "Z");
    return out;
}

struct cli_text cli_format_short_id(const struct digest *d)
{
    const struct digest_text hex = digest_hex(d);
    struct cli_text out;

    snprintf(out.text, sizeof out.text, "%.12s", hex.text);
    return out;
}

/* --- Tables ------------------------------------------------------------------------- */

void cli_table_init(struct cli_table *t, size_t columns)
{
    *t = (struct cli_table){.columns = columns};
}

void cli_table_release(struct cli_table *t)
{
    for (size_t i = 0; i < t->cell_count; i++)
        free(t->cells[i]);
    free(t->cells);
    cli_table_init(t, t->columns);
}

void cli_table_add(struct cli_table *t, const char *cell)
{
    t->cells = base_grow(t->cells, t->cell_count, &t->capacity, sizeof(char *));
    t->cells[t->cell_count++] = base_strdup(cell);
}

/* Characters, not bytes: continuation bytes of UTF-8 take no room. */
static size_t text_width(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static size_t column_width(const struct cli_table *t, size_t column)
{
    size_t width = 0;

    for (size_t i = column; i < t->cell_count; i += t->columns) {
        const size_t cell = text_width(t->cells[i]);

        width = cell > width ? cell : width;
    }
    return width;
}

void cli_table_write(const struct cli_table *t, struct buf *out)
{
    size_t *const widths = base_alloc_array(t->columns, sizeof widths[0]);

    assert(t->columns > 0);
    for (size_t i = 0; i < t->columns; i++)
        widths[i] = column_width(t, i);
    for (size_t i = 0; i < t->cell_count; i++) {
        const size_t column = i % t->columns;
        const bool last = column + 1 == t->columns;

        buf_append_text(out, t->cells[i]);
        if (last)
            buf_append_char(out, '\n');
        for (size_t n = text_width(t->cells[i]); !last && n < widths[column] + TABLE_GAP;
             n++)
            buf_append_char(out, ' ');
    }
    free(widths);
}
