/* cooper images */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/ref.h"
#include "cli/format.h"
#include "cli/image.h"
#include "cli/message.h"
#include "cli/output.h"
#include "parser/glob.h"

#include <stddef.h>
#include <time.h>

struct images_options {
    const char *format;
    bool quiet;
    bool no_trunc;
    bool digests;
};

static const struct cli_option options[] = {
    {'q', "quiet", CLI_OPTION_SWITCH, NULL, "Print only IDs",
     offsetof(struct images_options, quiet)},
    {0, "no-trunc", CLI_OPTION_SWITCH, NULL, "Print whole IDs",
     offsetof(struct images_options, no_trunc)},
    {0, "digests", CLI_OPTION_SWITCH, NULL, "Print digests too",
     offsetof(struct images_options, digests)},
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "table (default) or json: one document a line",
     offsetof(struct images_options, format)},
};

/* What one line tells. */
struct row {
    char *repository;
    char *tag;
    struct cli_image image;
    int64_t created;
};

struct rows {
    struct row *items;
    size_t count;
    size_t capacity;
};

/* A repository without its tag, as users write it. */
static char *repository_familiar(const struct registry_reference *r)
{
    CLEANUP(registry_reference_release) struct registry_reference bare = {0};

    registry_reference_copy(&bare, r);
    base_freep(&bare.tag);
    bare.digest = (struct digest){0};
    return registry_reference_familiar(&bare);
}

/* docker's filter: a repository, with or without its tag, either one a pattern. */
static bool filter_fits(const char *filter, const char *repository, const char *tag)
{
    CLEANUP(base_freep) char *full = base_format("%s:%s", repository, tag);

    return dockerfile_glob_match(view_of(filter), view_of(repository)) ||
           dockerfile_glob_match(view_of(filter), view_of(full));
}

static void row_release(struct row *row)
{
    free(row->repository);
    free(row->tag);
    cli_image_release(&row->image);
}

static void rows_release(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        row_release(&rows->items[i]);
    free(rows->items);
    *rows = (struct rows){0};
}

/* *fits is false for what the filter leaves out. On failure the row is to be released too.
 */
static int row_read(struct cas_store *store,
                    const struct cas_ref *ref,
                    const char *filter,
                    struct row *row,
                    bool *fits,
                    struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference reference = {0};

    if (registry_reference_parse(view_of(ref->name), &reference, err) < 0)
        return -1;
    row->repository = repository_familiar(&reference);
    row->tag = base_strdup(reference.tag != NULL ? reference.tag : "<none>");
    *fits = filter == NULL || filter_fits(filter, row->repository, row->tag);
    if (!*fits)
        return 0;
    if (cli_image_load(store, ref->name, &ref->target, &row->image, err) < 0)
        return -1;
    if (!cli_time_parse(doc_text(doc_get(row->image.config, "created")), &row->created))
        row->created = 0;
    return 0;
}

/* An image that cannot be read is told of, and does not hide the others. */
static void row_add(struct cas_store *store,
                    const struct cas_ref *ref,
                    const char *filter,
                    struct rows *rows)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct row row = {0};
    bool fits = false;

    if (row_read(store, ref, filter, &row, &fits, &err) < 0)
        cli_message_warning("%s: %s", ref->name, error_text(&err));
    if (err.code != ERROR_NONE || !fits) {
        row_release(&row);
        return;
    }
    rows->items = base_grow(rows->items, rows->count, &rows->capacity, sizeof row);
    rows->items[rows->count++] = row;
}

/* Newest first, as docker; then by name. */
static int row_compare(const void *a, const void *b)
{
    const struct row *const x = a;
    const struct row *const y = b;

    if (x->created != y->created)
        return x->created < y->created ? 1 : -1;
    return strcmp(x->image.name, y->image.name);
}

static int rows_read(struct cas_store *store,
                     const char *filter,
                     struct rows *rows,
                     struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};

    if (cas_ref_list(store, &refs, err) < 0)
        return -1;
    for (size_t i = 0; i < refs.count; i++)
        row_add(store, &refs.items[i], filter, rows);
    if (rows->count > 1)
        qsort(rows->items, rows->count, sizeof rows->items[0], row_compare);
    return 0;
}

static char *row_id(const struct row *row, bool no_trunc)
{
    const struct digest *const digest = &row->image.image.root.digest;

    if (no_trunc)
        return base_strdup(digest_format(digest).text);
    return base_strdup(cli_format_short_id(digest).text);
}

static void print_ids(const struct rows *rows, bool no_trunc)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct digest *const digest = &rows->items[i].image.image.root.digest;
        CLEANUP(base_freep) char *id = row_id(&rows->items[i], no_trunc);
        bool printed = false;

        for (size_t n = 0; n < i && !printed; n++)
            printed = digest_eq(digest, &rows->items[n].image.image.root.digest);
        if (!printed)
            puts(id);
    }
}

static void print_json(const struct rows *rows, bool no_trunc)
{
    const int64_t now = time(NULL);

    for (size_t i = 0; i < rows->count; i++) {
        const struct row *const row = &rows->items[i];
        const char *const created = doc_text(doc_get(row->image.config, "created"));
        CLEANUP(doc_unrefp) struct doc *doc = doc_new_object();
        CLEANUP(base_freep) char *id = row_id(row, no_trunc);

        doc_set_text(doc, "Repository", row->repository);
        doc_set_text(doc, "Tag", row->tag);
        doc_set_text(doc, "Digest", digest_format(&row->image.image.root.digest).text);
        doc_set_text(doc, "ID", id);
        doc_set_text(doc, "CreatedAt", created != NULL ? created : "");
        doc_set_text(doc, "CreatedSince", cli_format_age(created, now).text);
        doc_set_text(doc, "Size", cli_format_size(cli_image_size(&row->image)).text);
        cli_output_doc(doc, DOC_WRITE_COMPACT);
    }
}

static void print_table(const struct rows *rows, const struct images_options *o)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(cli_table_release) struct cli_table table;
    const int64_t now = time(NULL);

    cli_table_init(&table, o->digests ? 6 : 5);
    cli_table_add(&table, "REPOSITORY");
    cli_table_add(&table, "TAG");
    if (o->digests)
        cli_table_add(&table, "DIGEST");
    cli_table_add(&table, "IMAGE ID");
    cli_table_add(&table, "CREATED");
    cli_table_add(&table, "SIZE");
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *const row = &rows->items[i];
        CLEANUP(base_freep) char *id = row_id(row, o->no_trunc);

        cli_table_add(&table, row->repository);
        cli_table_add(&table, row->tag);
        if (o->digests)
            cli_table_add(&table, digest_format(&row->image.image.root.digest).text);
        cli_table_add(&table, id);
        cli_table_add(
            &table,
            cli_format_age(doc_text(doc_get(row->image.config, "created")), now).text);
        cli_table_add(&table, cli_format_size(cli_image_size(&row->image)).text);
    }
    cli_table_write(&table, &text);
    cli_output_buf(&text);
}

static int images_run(struct cli_session *session,
                      const void *opaque,
                      const struct cli_texts *arguments,
                      struct error *err)
{
    const struct images_options *const o = opaque;
    const char *const filter = arguments->count > 0 ? arguments->items[0] : NULL;
    CLEANUP(rows_release) struct rows rows = {0};
    enum cli_output_format format;
    struct cas_store *store;

    if (cli_output_format_parse(o->format, &format, err) < 0)
        return -1;
    store = cli_session_store(session, err);
    if (store == NULL || rows_read(store, filter, &rows, err) < 0)
        return -1;
    if (o->quiet)
        print_ids(&rows, o->no_trunc);
    else if (format == CLI_OUTPUT_JSON)
        print_json(&rows, o->no_trunc);
    else
        print_table(&rows, o);
    return 0;
}

const struct cli_command cli_command_images = {
    .name = "images",
    .usage = "[OPTIONS] [REPOSITORY[:TAG]]",
    .summary = "List the images of the store",
    .details =
        "REPOSITORY and TAG may be patterns. SIZE is what the store keeps and a registry\n"
        "would receive: manifest, config and compressed layers.",
    CLI_OPTIONS(options, struct images_options),
    .argument_max = 1,
    .run = images_run,
};
