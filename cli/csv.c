#include "cli/csv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "parser/csv.h"

static void field_add(struct cli_csv *csv, struct view text)
{
    struct view key;
    struct view value;
    const bool has_value = view_cut(text, '=', &key, &value);

    csv->fields = base_grow(csv->fields, csv->count, &csv->capacity, sizeof csv->fields[0]);
    csv->fields[csv->count++] =
        (struct cli_csv_field){view_dup(key), has_value ? view_dup(value) : NULL};
}

int cli_csv_parse(const char *text, struct cli_csv *out, struct error *err)
{
    CLEANUP(buf_release) struct buf space = BUF_INIT(LIMIT_TEXT_SIZE);
    size_t at = 0;
    bool more = true;

    *out = (struct cli_csv){0};
    while (more) {
        struct view field;

        buf_clear(&space);
        if (dockerfile_csv_field(view_of(text), &at, &space, &field, &more, err) < 0) {
            cli_csv_release(out);
            err->code = ERROR_USAGE;
            return error_wrap(err, "'%s'", text);
        }
        field_add(out, field);
    }
    return 0;
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
