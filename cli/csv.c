#include "cli/csv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

static void field_add(struct cli_csv *csv, const char *text)
{
    struct view key;
    struct view value;
    const bool has_value = view_cut(view_of(text), '=', &key, &value);

    csv->fields = base_grow(csv->fields, csv->count, &csv->capacity, sizeof csv->fields[0]);
    csv->fields[csv->count++] =
        (struct cli_csv_field){view_dup(key), has_value ? view_dup(value) : NULL};
}

/* Reads one field at *text into `out` and moves *text to its end: a comma or the NUL. */
static int field_read(const char **text, struct buf *out, struct error *err)
{
    const char *p = *text;

    if (*p != '"') {
        for (; *p != '\0' && *p != ','; p++) {
            if (*p == '"')
                return error_set(err, ERROR_USAGE, "a quote within an unquoted field");
            buf_append_char(out, *p);
        }
        *text = p;
        return 0;
    }
    for (p++; *p != '"' || p[1] == '"'; p++) {
        if (*p == '\0')
            return error_set(err, ERROR_USAGE, "a quoted field is not closed");
        if (*p == '"')
            p++;
        buf_append_char(out, *p);
    }
    p++;
    if (*p != '\0' && *p != ',')
        return error_set(err, ERROR_USAGE, "text behind a quoted field");
    *text = p;
    return 0;
}

int cli_csv_parse(const char *text, struct cli_csv *out, struct error *err)
{
    CLEANUP(buf_release) struct buf field = BUF_INIT(LIMIT_TEXT_SIZE);
    const char *p = text;

    *out = (struct cli_csv){0};
    for (;;) {
        buf_clear(&field);
        if (field_read(&p, &field, err) < 0 || buf_ok(&field, "value", err) < 0) {
            cli_csv_release(out);
            return error_wrap(err, "'%s'", text);
        }
        field_add(out, buf_text(&field));
        if (*p == '\0')
            return 0;
        p++;
    }
}

void cli_csv_release(struct cli_csv *csv)
{
    for (size_t i = 0; i < csv->count; i++) {
        free(csv->fields[i].key);
        free(csv->fields[i].value);
    }
    free(csv->fields);
    *csv = (struct cli_csv){0};
}

const char *cli_csv_get(const struct cli_csv *csv, const char *key)
{
    for (size_t i = csv->count; i > 0; i--) {
        if (strcmp(csv->fields[i - 1].key, key) == 0)
            return csv->fields[i - 1].value;
    }
    return NULL;
}
