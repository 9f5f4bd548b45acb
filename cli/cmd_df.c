/* cooper df */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/usage.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/usage_text.h"

#include <stddef.h>

struct df_options {
    const char *format;
    bool verbose;
};

static const struct cli_option options[] = {
    {'v', "verbose", CLI_OPTION_SWITCH, NULL, "List each image and each thing of the cache",
     offsetof(struct df_options, verbose)},
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "table (default) or json",
     offsetof(struct df_options, format)},
};

/* In the order of the table. */
static const char *const titles[CAS_USAGE_KINDS] = {
    [CAS_USAGE_IMAGE] = "Images",
    [CAS_USAGE_CACHE] = "Build cache",
    [CAS_USAGE_DANGLING] = "Unnamed content",
    [CAS_USAGE_LAYER] = "Unpacked layers",
    [CAS_USAGE_INDEX] = "Layer indexes",
    [CAS_USAGE_MOUNT] = "Cache mounts",
    [CAS_USAGE_SOURCE] = "Git repositories",
    [CAS_USAGE_BUILD] = "Build logs and states",
    [CAS_USAGE_STAT] = "Context caches",
    [CAS_USAGE_INGEST] = "In the making",
    [CAS_USAGE_META] = "Metadata",
    [CAS_USAGE_OTHER] = "Unknown files",
};

static bool has_count(enum cas_usage_kind kind)
{
    return kind != CAS_USAGE_META;
}

/* --- The table --- */

static void add_total(struct cli_table *table,
                      const char *title,
                      bool counted,
                      const struct cas_usage_total *t)
{
    char text[96];

    cli_table_add(table, title);
    snprintf(text, sizeof text, "%zu", t->count);
    cli_table_add(table, counted ? text : "");
    cli_table_add(table, cli_format_size(t->size).text);
    if (t->size > 0)
        snprintf(text, sizeof text, "%s (%u%%)", cli_format_size(t->reclaimable).text,
                 (unsigned)(t->reclaimable * 100 / t->size));
    else
        snprintf(text, sizeof text, "0B");
    cli_table_add(table, text);
}

static void print_totals(const struct cas_usage *usage)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(cli_table_release) struct cli_table table;
    struct cas_usage_total all = {.size = usage->size};

    cli_table_init(&table, 4);
    cli_table_add(&table, "TYPE");
    cli_table_add(&table, "TOTAL");
    cli_table_add(&table, "SIZE");
    cli_table_add(&table, "RECLAIMABLE");
    for (size_t i = 0; i < CAS_USAGE_KINDS; i++) {
        const struct cas_usage_total *t = &usage->kinds[i];
        all.reclaimable += t->reclaimable;
        /* What a healthy store never has is told where it is there. */
        if (i == CAS_USAGE_OTHER && t->count == 0)
            continue;
        add_total(&table, titles[i], has_count((enum cas_usage_kind)i), t);
    }
    add_total(&table, "Total", false, &all);
    cli_table_write(&table, &text);
    cli_output_buf(&text);
}

/* --- Each thing --- */

static void print_images(const struct cas_usage *usage,
                         const struct build_step_names *names)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(cli_table_release) struct cli_table table;

    cli_table_init(&table, 6);
    cli_table_add(&table, "IMAGE");
    cli_table_add(&table, "IMAGE ID");
    cli_table_add(&table, "LAST USED");
    cli_table_add(&table, "SIZE");
    cli_table_add(&table, "SHARED SIZE");
    cli_table_add(&table, "UNIQUE SIZE");
    for (size_t i = 0; i < usage->count; i++) {
        const struct cas_usage_item *item = &usage->items[i];
        CLEANUP(base_freep) char *description = NULL;

        if (item->kind != CAS_USAGE_IMAGE)
            continue;
        description = cli_usage_description(item, names);
        cli_table_add(&table, description);
        cli_table_add(&table, cli_usage_id(item).text);
        cli_table_add(&table, cli_usage_age(item->used).text);
        cli_table_add(&table, cli_format_size(item->size).text);
        cli_table_add(&table, cli_format_size(item->size - item->unique).text);
        cli_table_add(&table, cli_format_size(item->unique).text);
    }
    buf_printf(&text, "\nImages: %s\n\n",
               cli_format_size(usage->kinds[CAS_USAGE_IMAGE].size).text);
    cli_table_write(&table, &text);
    cli_output_buf(&text);
}

static void print_cache(const struct cas_usage *usage, const struct build_step_names *names)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(cli_table_release) struct cli_table table;

    cli_table_init(&table, 7);
    cli_table_add(&table, "ID");
    cli_table_add(&table, "TYPE");
    cli_table_add(&table, "SIZE");
    cli_table_add(&table, "CREATED");
    cli_table_add(&table, "LAST USED");
    cli_table_add(&table, "SHARED");
    cli_table_add(&table, "DESCRIPTION");
    for (size_t i = 0; i < usage->count; i++) {
        const struct cas_usage_item *item = &usage->items[i];
        CLEANUP(base_freep) char *description = NULL;

        if (item->kind == CAS_USAGE_IMAGE)
            continue;
        description = cli_usage_description(item, names);
        cli_table_add(&table, cli_usage_id(item).text);
        cli_table_add(&table, cas_usage_type(item->kind));
        cli_table_add(&table, cli_format_size(item->size).text);
        cli_table_add(&table, cli_usage_age(item->created).text);
        cli_table_add(&table, item->in_use ? "in use" : cli_usage_age(item->used).text);
        cli_table_add(&table, item->shared ? "true" : "false");
        cli_table_add(&table, description);
    }
    buf_printf(&text, "\nBuild cache:\n\n");
    cli_table_write(&table, &text);
    cli_output_buf(&text);
}

/* --- JSON --- */

static struct doc *totals_doc(const struct cas_usage *usage)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < CAS_USAGE_KINDS; i++) {
        struct doc *d = doc_new_object();

        doc_set_text(d, "type", cas_usage_type((enum cas_usage_kind)i));
        doc_set_text(d, "name", titles[i]);
        doc_set_int(d, "count", (int64_t)usage->kinds[i].count);
        doc_set_int(d, "size", (int64_t)usage->kinds[i].size);
        doc_set_int(d, "reclaimable", (int64_t)usage->kinds[i].reclaimable);
        doc_append(list, d);
    }
    return list;
}

static void print_json(struct cas_store *store,
                       const struct cas_usage *usage,
                       const struct build_step_names *names,
                       bool verbose)
{
    CLEANUP(doc_unrefp) struct doc *root = doc_new_object();
    struct doc *items = doc_new_array();

    doc_set_text(root, "store", cas_store_path(store));
    doc_set_int(root, "size", (int64_t)usage->size);
    doc_set(root, "types", totals_doc(usage));
    for (size_t i = 0; i < usage->count; i++)
        doc_append(items, cli_usage_item_doc(&usage->items[i], names));
    if (verbose)
        doc_set(root, "items", items);
    else
        doc_unref(items);
    cli_output_doc(root, DOC_WRITE_COMPACT);
}

static int df_run(struct cli_session *session,
                  const void *opaque,
                  const struct cli_texts *arguments,
                  struct error *err)
{
    const struct df_options *const o = opaque;
    CLEANUP(cas_usage_release) struct cas_usage usage = {0};
    CLEANUP(build_step_names_release) struct build_step_names names = {0};
    enum cli_output_format format;
    struct cas_store *store;

    (void)arguments;
    /* Unpacked layers hold directories of subordinate ids. */
    if (cli_output_format_parse(o->format, &format, err) < 0 ||
        cli_session_enter(session, err) < 0)
        return -1;
    store = cli_session_store(session, err);
    if (store == NULL || cas_usage_read(store, &usage, err) < 0)
        return -1;
    if (o->verbose)
        build_step_names_read(store, &names);
    if (format == CLI_OUTPUT_JSON) {
        print_json(store, &usage, &names, o->verbose);
        return 0;
    }
    print_totals(&usage);
    if (o->verbose) {
        print_images(&usage, &names);
        print_cache(&usage, &names);
    }
    return 0;
}

const struct cli_command cli_command_df = {
    .name = "df",
    .usage = "[OPTIONS]",
    .summary = "Tell what takes up room in the store",
    .details =
        "Sizes are what the file system counts. RECLAIMABLE is what 'cooper prune --all'\n"
        "would remove now: all but images that have a name and what a running cooper uses.",
    CLI_OPTIONS(options, struct df_options),
    .run = df_run,
};
