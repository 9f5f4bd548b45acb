/* cooper builds [rm BUILD...] */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "builder/builds.h"
#include "builder/journal.h"
#include "cli/format.h"
#include "cli/message.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct builds_options {
    const char *format;
    bool all;
    bool quiet;
};

#define FIELD(name) offsetof(struct builds_options, name)

static const struct cli_option options[] = {
    {0, "all", CLI_OPTION_SWITCH, NULL, "With rm: all builds that have ended", FIELD(all)},
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "table or json", FIELD(format)},
    {'q', "quiet", CLI_OPTION_SWITCH, NULL, "Print the IDs only", FIELD(quiet)},
};

/* --- Listing ------------------------------------------------------------------------ */

static const char *text_of(const struct doc *d, const char *key)
{
    const char *text = doc_text(doc_get(d, key));

    return text != NULL ? text : "";
}

/* Steps that ran and steps that were cached; base images are neither. */
static void count_steps(const struct doc *entry, unsigned *cached, unsigned *ran)
{
    const struct doc *const steps = doc_get(entry, "steps");

    for (size_t i = 0; i < doc_count(steps); i++) {
        const struct doc *const step = doc_at(steps, i);

        *cached += strcmp(text_of(step, "status"), "cached") == 0;
        *ran += doc_get(step, "notCached") != NULL;
    }
}

/* What was built: its first tag, else the context. */
static const char *subject_of(const struct doc *entry)
{
    const char *const tag = doc_text(doc_at(doc_get(entry, "tags"), 0));

    return tag != NULL ? tag : text_of(entry, "context");
}

static void row_add(struct cli_table *table, const char *id, const struct doc *entry)
{
    CLEANUP(base_freep) char *steps = NULL;
    CLEANUP(base_freep) char *seconds = NULL;
    int64_t duration = -1;
    int64_t started = 0;
    unsigned cached = 0;
    unsigned ran = 0;

    build_id_time(id, &started);
    count_steps(entry, &cached, &ran);
    steps = base_format("%u run, %u cached", ran, cached);
    seconds = doc_int(doc_get(entry, "duration"), &duration)
                  ? base_format("%.2fs", (double)duration / 1e9)
                  : base_strdup("");
    const struct cli_text made = cli_format_time(started / 1000000000, 0);
    cli_table_add(table, id);
    cli_table_add(table, cli_format_age(made.text, time(NULL)).text);
    cli_table_add(table, seconds);
    cli_table_add(table, doc_bool(doc_get(entry, "kept")) ? "failed (kept)"
                                                          : text_of(entry, "status"));
    cli_table_add(table, steps);
    cli_table_add(table, subject_of(entry));
}

static void header_add(struct cli_table *table)
{
    static const char *const names[] = {"BUILD",  "STARTED", "DURATION",
                                        "STATUS", "STEPS",   "OF"};

    cli_table_init(table, ARRAY_COUNT(names));
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        cli_table_add(table, names[i]);
}

/* An entry that is damaged, or went away meanwhile, hides no other. */
static struct doc *entry_read(struct cas_store *store, const char *id)
{
    CLEANUP(error_clear) struct error why = ERROR_INIT;
    struct doc *const entry = build_builds_read(store, id, &why);

    if (entry == NULL && why.code != ERROR_NOT_FOUND)
        cli_message_warning("%s", error_text(&why));
    return entry;
}

static void json_print(struct cas_store *store, const struct build_ids *ids)
{
    CLEANUP(doc_unrefp) struct doc *list = doc_new_array();

    for (size_t i = 0; i < ids->count; i++) {
        struct doc *const entry = entry_read(store, ids->items[i]);

        if (entry != NULL)
            doc_append(list, entry);
    }
    cli_output_doc(list, DOC_WRITE_INDENT);
}

static void table_print(struct cas_store *store, const struct build_ids *ids)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(cli_table_release) struct cli_table table;

    header_add(&table);
    for (size_t i = 0; i < ids->count; i++) {
        CLEANUP(doc_unrefp) struct doc *entry = entry_read(store, ids->items[i]);

        if (entry != NULL)
            row_add(&table, ids->items[i], entry);
    }
    cli_table_write(&table, &text);
    cli_output_buf(&text);
}

static int list(struct cas_store *store, const struct builds_options *o, struct error *err)
{
    CLEANUP(build_ids_release) struct build_ids ids = {0};
    enum cli_output_format format;

    if (cli_output_format_parse(o->format, &format, err) < 0 ||
        build_builds_list(store, &ids, err) < 0)
        return -1;
    for (size_t i = 0; o->quiet && i < ids.count; i++)
        puts(ids.items[i]);
    if (o->quiet)
        return 0;
    if (format == CLI_OUTPUT_JSON)
        json_print(store, &ids);
    else
        table_print(store, &ids);
    return 0;
}

/* --- Removing ----------------------------------------------------------------------- */

static int remove_one(struct cas_store *store, const char *typed, struct error *err)
{
    CLEANUP(base_freep) char *id = build_builds_find(store, typed, err);
    bool removed = false;

    if (id == NULL || build_builds_remove(store, id, &removed, err) < 0)
        return -1;
    if (!removed)
        return error_set(err, ERROR_FAILED,
                         "build %s still runs, or 'cooper debug' is in it", id);
    puts(id);
    return 0;
}

static int remove_all(struct cas_store *store, struct error *err)
{
    CLEANUP(build_ids_release) struct build_ids ids = {0};

    if (build_builds_list(store, &ids, err) < 0)
        return -1;
    for (size_t i = 0; i < ids.count; i++) {
        bool removed = false;

        if (build_builds_remove(store, ids.items[i], &removed, err) < 0)
            return -1;
        if (removed)
            puts(ids.items[i]);
    }
    return 0;
}

static int remove_run(struct cli_session *session,
                      const struct builds_options *o,
                      const struct cli_texts *arguments,
                      struct error *err)
{
    struct cas_store *store;

    if (o->all != (arguments->count == 1))
        return error_set(err, ERROR_USAGE, "rm needs builds to remove, or --all");
    /* Kept states hold files of other owners. */
    if (cli_session_enter(session, err) < 0 ||
        (store = cli_session_store(session, err)) == NULL)
        return -1;
    if (o->all)
        return remove_all(store, err);
    for (size_t i = 1; i < arguments->count; i++)
        if (remove_one(store, arguments->items[i], err) < 0)
            return -1;
    return 0;
}

static int builds_run(struct cli_session *session,
                      const void *opaque,
                      const struct cli_texts *arguments,
                      struct error *err)
{
    const struct builds_options *const o = opaque;
    struct cas_store *store;

    if (arguments->count > 0 && strcmp(arguments->items[0], "rm") == 0)
        return remove_run(session, o, arguments, err);
    if (arguments->count > 0)
        return error_set(err, ERROR_USAGE, "builds takes no argument but 'rm', not '%s'",
                         arguments->items[0]);
    if (o->all)
        return error_set(err, ERROR_USAGE, "--all is for 'cooper builds rm'");
    store = cli_session_store(session, err);
    return store != NULL ? list(store, o, err) : -1;
}

const struct cli_command cli_command_builds = {
    .name = "builds",
    .usage = "[OPTIONS] [rm BUILD...]",
    .summary = "List the builds of the journal, or remove some",
    .details =
        "The newest 100 builds of the last 30 days are kept, each with all that its steps\n"
        "printed ('cooper logs'). 'failed (kept)': the state of the step that failed can "
        "be\n"
        "looked at with 'cooper debug'; the five newest are kept.",
    CLI_OPTIONS(options, struct builds_options),
    .argument_max = CLI_ARGUMENTS_ANY,
    .run = builds_run,
};
