#include "cli/build_value.h"

#include "base/alloc.h"
#include "cli/csv.h"

/* --- Pairs -------------------------------------------------------------------------- */

void cli_pairs_release(struct cli_pairs *p)
{
    for (size_t i = 0; i < p->count; i++) {
        base_free_text(p->items[i].name);
        base_free_text(p->items[i].value);
    }
    free(p->items);
    *p = (struct cli_pairs){0};
}

void cli_pairs_add(struct cli_pairs *p, struct view name, const char *value)
{
    p->items = base_grow(p->items, p->count, &p->capacity, sizeof p->items[0]);
    p->items[p->count++] = (struct build_pair){view_dup(name), base_strdup(value)};
}

bool cli_pairs_has(const struct cli_pairs *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->items[i].name, name) == 0)
            return true;
    }
    return false;
}

enum pair_value { PAIR_VALUE_NEEDED, PAIR_VALUE_EMPTY, PAIR_VALUE_ABSENT };

/* NAME=VALUE; without "=" as `missing` says. */
static int pair_read(const char *flag,
                     const char *text,
                     enum pair_value missing,
                     struct cli_pairs *out,
                     struct error *err)
{
    struct view name;
    struct view value;
    const bool has_value = view_cut(view_of(text), '=', &name, &value);

    if (name.size == 0 || (!has_value && missing == PAIR_VALUE_NEEDED))
        return error_set(err, ERROR_USAGE, "%s is NAME=VALUE, not '%s'", flag, text);
    if (has_value)
        cli_pairs_add(out, name, value.data);
    else
        cli_pairs_add(out, name, missing == PAIR_VALUE_EMPTY ? "" : NULL);
    return 0;
}

static int pairs_read(const char *flag,
                      const struct cli_texts *from,
                      enum pair_value missing,
                      struct cli_pairs *out,
                      struct error *err)
{
    for (size_t i = 0; i < from->count; i++) {
        if (pair_read(flag, from->items[i], missing, out, err) < 0)
            return -1;
    }
    return 0;
}

int cli_build_args(const struct cli_texts *from, struct cli_pairs *out, struct error *err)
{
    return pairs_read("--build-arg", from, PAIR_VALUE_ABSENT, out, err);
}

int cli_build_contexts(const struct cli_texts *from,
                       struct cli_pairs *out,
                       struct error *err)
{
    return pairs_read("--build-context", from, PAIR_VALUE_NEEDED, out, err);
}

int cli_build_labels(const struct cli_texts *from, struct cli_pairs *out, struct error *err)
{
    return pairs_read("--label", from, PAIR_VALUE_EMPTY, out, err);
}

int cli_build_hosts(const struct cli_texts *from, struct cli_pairs *out, struct error *err)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct view text = view_of(from->items[i]);
        struct view host;
        struct view address;

        /* An IPv6 address has colons, so "=" is looked for first. */
        if (!view_cut(text, '=', &host, &address) && !view_cut(text, ':', &host, &address))
            return error_set(err, ERROR_USAGE, "--add-host is HOST:ADDRESS, not '%s'",
                             from->items[i]);
        if (host.size == 0 || address.size == 0)
            return error_set(err, ERROR_USAGE, "--add-host is HOST:ADDRESS, not '%s'",
                             from->items[i]);
        if (address.data[0] == '[' && address.data[address.size - 1] == ']')
            address = view_sub(address, 1, address.size - 2);
        CLEANUP(base_freep) char *value = view_dup(address);
        cli_pairs_add(out, host, value);
    }
    return 0;
}

/* --- Secrets ------------------------------------------------------------------------ */

void cli_secrets_release(struct cli_secrets *s)
{
    for (size_t i = 0; i < s->count; i++) {
        base_free_text(s->items[i].id);
        base_free_text(s->items[i].file);
        base_free_text(s->items[i].env);
    }
    free(s->items);
    *s = (struct cli_secrets){0};
}

static int secret_check(const struct cli_csv *csv, struct error *err)
{
    static const char *const known[] = {"id", "src", "source", "env", "type"};

    for (size_t i = 0; i < csv->count; i++) {
        bool found = false;

        for (size_t n = 0; n < ARRAY_COUNT(known) && !found; n++)
            found = strcmp(csv->fields[i].key, known[n]) == 0;
        if (!found)
            return error_set(err, ERROR_USAGE, "unexpected key '%s'", csv->fields[i].key);
        if (csv->fields[i].value == NULL)
            return error_set(err, ERROR_USAGE, "'%s' must be a key=value pair",
                             csv->fields[i].key);
    }
    return 0;
}

static int secret_read(const struct cli_csv *csv,
                       struct build_secret *out,
                       struct error *err)
{
    const char *const type = cli_csv_get(csv, "type");
    const char *source = cli_csv_get(csv, "src");

    if (secret_check(csv, err) < 0)
        return -1;
    if (source == NULL)
        source = cli_csv_get(csv, "source");
    *out = (struct build_secret){cli_csv_get(csv, "id"), source, cli_csv_get(csv, "env")};
    if (type != NULL && strcmp(type, "file") != 0 && strcmp(type, "env") != 0)
        return error_set(err, ERROR_USAGE, "the type of a secret is file or env, not '%s'",
                         type);
    if (type != NULL && strcmp(type, "env") == 0 && out->env == NULL) {
        out->env = out->file;
        out->file = NULL;
    }
    if (out->id == NULL && out->file != NULL)
        out->id = out->file;
    if (out->id == NULL || out->id[0] == '\0')
        return error_set(err, ERROR_USAGE, "an id is missing");
    if (out->file == NULL && out->env == NULL) {
        if (getenv(out->id) != NULL && (type == NULL || strcmp(type, "env") == 0))
            out->env = out->id;
        else
            out->file = out->id;
    }
    return 0;
}

int cli_build_secrets(const struct cli_texts *from,
                      struct cli_secrets *out,
                      struct error *err)
{
    for (size_t i = 0; i < from->count; i++) {
        CLEANUP(cli_csv_release) struct cli_csv csv = {0};
        struct build_secret secret;

        if (cli_csv_parse(from->items[i], &csv, err) < 0 ||
            secret_read(&csv, &secret, err) < 0)
            return error_wrap(err, "--secret %s", from->items[i]);
        out->items =
            base_grow(out->items, out->count, &out->capacity, sizeof out->items[0]);
        out->items[out->count++] = (struct build_secret){
            base_strdup(secret.id), base_strdup(secret.file), base_strdup(secret.env)};
    }
    return 0;
}
