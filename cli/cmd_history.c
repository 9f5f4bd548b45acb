/* cooper history IMAGE */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/format.h"
#include "cli/image.h"
#include "cli/output.h"

#include <stddef.h>
#include <time.h>

/* Longer commands are cut in the table, as docker cuts them. */
#define COMMAND_WIDTH 45

struct history_options {
    const char *format;
    bool no_trunc;
    bool quiet;
};

static const struct cli_option options[] = {
    {0, "no-trunc", CLI_OPTION_SWITCH, NULL, "Do not cut IDs and commands",
     offsetof(struct history_options, no_trunc)},
    {'q', "quiet", CLI_OPTION_SWITCH, NULL, "Print only IDs",
     offsetof(struct history_options, quiet)},
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "table (default) or json: one document a line",
     offsetof(struct history_options, format)},
};

/* One entry; texts are borrowed from the image. */
struct entry {
    const char *created;
    const char *created_by;
    const char *comment;
    uint64_t size; /* of the compressed layer; 0 without one */
    bool empty;
};

static const char *text_or_empty(const struct doc *d)
{
    const char *const text = doc_text(d);

    return text != NULL ? text : "";
}

/*
 * Entries newest first. History tells which entry made no layer; the others take the
 * manifest's layers in order. A base without history leaves layers over: they are not
 * listed, as docker does it.
 */
static struct entry *entries_read(const struct cli_image *image, size_t *count)
{
    const struct doc *const history = doc_get(image->config, "history");
    struct entry *entries;
    size_t layer = 0;

    *count = doc_count(history);
    entries = base_alloc_array(*count + 1, sizeof entries[0]);
    for (size_t i = 0; i < *count; i++) {
        const struct doc *const from = doc_at(history, i);
        struct entry *const to = &entries[*count - 1 - i];

        to->created = doc_text(doc_get(from, "created"));
        to->created_by = text_or_empty(doc_get(from, "created_by"));
        to->comment = text_or_empty(doc_get(from, "comment"));
        to->empty = doc_bool(doc_get(from, "empty_layer"));
        if (!to->empty && layer < image->image.layer_count)
            to->size = image->image.layers[layer++].size;
    }
    return entries;
}

/* Only the newest entry has an ID: that of the image. */
static struct digest_text entry_id(const struct cli_image *image, size_t i, bool no_trunc)
{
    struct digest_text id = {"<missing>"};

    if (i > 0)
        return id;
    if (no_trunc)
        return digest_format(&image->image.root.digest);
    snprintf(id.text, sizeof id.text, "%s",
             cli_format_short_id(&image->image.root.digest).text);
    return id;
}

/* On one line, and cut behind COMMAND_WIDTH bytes but not within a character. */
static char *command_cut(const char *text, bool no_trunc)
{
    const size_t size = strlen(text);
    size_t end = COMMAND_WIDTH - 1;
    char *out;

    if (no_trunc || size <= COMMAND_WIDTH) {
        out = base_strdup(text);
    } else {
        while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
            end--;
        out = base_format("%.*s…", (int)end, text);
    }
    for (char *p = out; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    }
    return out;
}

static void print_table(const struct cli_image *image,
                        const struct entry *entries,
                        size_t count,
                        bool no_trunc)
{
    static const char *const heads[] = {"IMAGE", "CREATED", "CREATED BY", "SIZE",
                                        "COMMENT"};
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(cli_table_release) struct cli_table table;
    const int64_t now = time(NULL);

    cli_table_init(&table, ARRAY_COUNT(heads));
    for (size_t i = 0; i < ARRAY_COUNT(heads); i++)
        cli_table_add(&table, heads[i]);
    for (size_t i = 0; i < count; i++) {
        CLEANUP(base_freep) char *command = command_cut(entries[i].created_by, no_trunc);

        cli_table_add(&table, entry_id(image, i, no_trunc).text);
        cli_table_add(&table, cli_format_age(entries[i].created, now).text);
        cli_table_add(&table, command);
        cli_table_add(&table, cli_format_size(entries[i].size).text);
        cli_table_add(&table, entries[i].comment);
    }
    cli_table_write(&table, &text);
    cli_output_buf(&text);
}

static void print_json(const struct cli_image *image,
                       const struct entry *entries,
                       size_t count,
                       bool no_trunc)
{
    const int64_t now = time(NULL);

    for (size_t i = 0; i < count; i++) {
        CLEANUP(doc_unrefp) struct doc *doc = doc_new_object();

        doc_set_text(doc, "ID", entry_id(image, i, no_trunc).text);
        doc_set_text(doc, "CreatedAt",
                     entries[i].created != NULL ? entries[i].created : "");
        doc_set_text(doc, "CreatedSince", cli_format_age(entries[i].created, now).text);
        doc_set_text(doc, "CreatedBy", entries[i].created_by);
        doc_set_text(doc, "Size", cli_format_size(entries[i].size).text);
        doc_set_text(doc, "Comment", entries[i].comment);
        cli_output_doc(doc, DOC_WRITE_COMPACT);
    }
}

static int history_run(struct cli_session *session,
                       const void *opaque,
                       const struct cli_texts *arguments,
                       struct error *err)
{
    const struct history_options *const o = opaque;
    CLEANUP(cli_image_release) struct cli_image image = {0};
    CLEANUP(base_freep) struct entry *entries = NULL;
    enum cli_output_format format;
    struct cas_store *store;
    size_t count = 0;

    if (cli_output_format_parse(o->format, &format, err) < 0)
        return -1;
    store = cli_session_store(session, err);
    if (store == NULL || cli_image_find(store, arguments->items[0], &image, err) < 0)
        return -1;
    entries = entries_read(&image, &count);
    if (o->quiet) {
        for (size_t i = 0; i < count; i++)
            puts(entry_id(&image, i, o->no_trunc).text);
    } else if (format == CLI_OUTPUT_JSON) {
        print_json(&image, entries, count, o->no_trunc);
    } else {
        print_table(&image, entries, count, o->no_trunc);
    }
    return 0;
}

const struct cli_command cli_command_history = {
    .name = "history",
    .usage = "[OPTIONS] IMAGE",
    .summary = "Tell how an image was made, newest first",
    .details = "SIZE is that of the compressed layer.",
    CLI_OPTIONS(options, struct history_options),
    .argument_min = 1,
    .argument_max = 1,
    .run = history_run,
};
