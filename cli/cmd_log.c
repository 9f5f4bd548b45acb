/* cooper log REPOSITORY[:TAG] */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/ref.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/release_run.h"
#include "release/log.h"

#include <stddef.h>
#include <stdlib.h>

struct log_options {
    const char *format;
    unsigned count;
    bool local;
    bool remote;
    bool no_trunc;
};

static const struct cli_option options[] = {
    {'n', "max-count", CLI_OPTION_COUNT, "N", "Print the newest N entries only",
     offsetof(struct log_options, count)},
    {0, "local", CLI_OPTION_SWITCH, NULL, "The store's history only",
     offsetof(struct log_options, local)},
    {0, "remote", CLI_OPTION_SWITCH, NULL, "The registry's history only",
     offsetof(struct log_options, remote)},
    {0, "no-trunc", CLI_OPTION_SWITCH, NULL, "Print whole digests",
     offsetof(struct log_options, no_trunc)},
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "table (default) or json: one document a line",
     offsetof(struct log_options, format)},
};

/* One tag, moved once. */
struct row {
    const char *where; /* "registry", "store" */
    char *tag;
    long entry; /* N of @{N}; -1: not told */
    int64_t seconds;
    bool has_time;
    char *who;
    char *command;
    char *version; /* of `to`, if it is one */
    char *message;
    struct digest from;
    struct digest to;
};

struct rows {
    struct row *items;
    size_t count;
    size_t capacity;
};

static void rows_release(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        free(rows->items[i].tag);
        free(rows->items[i].who);
        free(rows->items[i].command);
        free(rows->items[i].version);
        free(rows->items[i].message);
    }
    free(rows->items);
    *rows = (struct rows){0};
}

static struct row *rows_add(struct rows *rows, const char *where, const char *tag)
{
    rows->items = base_grow(rows->items, rows->count, &rows->capacity, sizeof *rows->items);
    struct row *const row = &rows->items[rows->count++];
    *row = (struct row){.where = where, .tag = cli_release_clean(tag), .entry = -1};
    return row;
}

/* --- The registry's history --- */

static void row_fill(struct row *row,
                     const struct release_log *log,
                     const struct release_record *record)
{
    const char *const version = release_log_version(log, &row->to);

    row->version = version ? cli_release_clean(version) : NULL;
    if (!record)
        return;
    row->has_time = true;
    row->seconds = record->seconds;
    row->who = cli_release_clean(record->who);
    row->command = cli_release_clean(record->command);
    row->message = record->message ? cli_release_clean(record->message) : NULL;
}

/* Of one tag: numbered as `cooper rollback --to @{N}` counts. */
static int add_states(struct release_place *p,
                      const struct release_log *log,
                      const char *tag,
                      struct rows *rows,
                      struct error *err)
{
    CLEANUP(release_states_release) struct release_states states = {0};
    struct digest now;

    if (release_place_digest(p, tag, &now, err) < 0)
        return -1;
    release_log_states(log, tag, &now, &states);
    for (size_t i = 0; i < states.count; i++) {
        struct row *const row = rows_add(rows, "registry", tag);

        row->entry = (long)i;
        row->to = states.items[i].digest;
        if (i + 1 < states.count)
            row->from = states.items[i + 1].digest;
        row_fill(row, log, states.items[i].record);
    }
    return 0;
}

static void add_records(const struct release_log *log, struct rows *rows)
{
    for (size_t i = 0; i < log->count; i++) {
        const struct release_record *const r = &log->items[i];

        for (size_t j = 0; j < r->move_count; j++) {
            struct row *const row = rows_add(rows, "registry", r->moves[j].tag);

            row->from = r->moves[j].from;
            row->to = r->moves[j].to;
            row_fill(row, log, r);
        }
    }
}

static int add_remote(struct cli_session *session,
                      const struct registry_reference *ref,
                      struct rows *rows,
                      struct error *err)
{
    CLEANUP(release_place_release) struct release_place place = {0};
    CLEANUP(release_names_release) struct release_names tags = {0};
    CLEANUP(release_log_release) struct release_log log = {0};

    release_place_init(&place, cli_session_registry(session), ref);
    if (release_place_tags(&place, &tags, err) < 0 ||
        release_log_read(&place, &tags, &log, err) < 0)
        return -1;
    if (ref->tag)
        return add_states(&place, &log, ref->tag, rows, err);
    add_records(&log, rows);
    return 0;
}

/* --- The store's --- */

static int add_ref(struct cas_store *store,
                   const char *name,
                   const char *tag,
                   struct rows *rows,
                   struct error *err)
{
    struct cas_ref_event *events = NULL;
    size_t count = 0;

    if (cas_ref_history(store, name, &events, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct row *const row = rows_add(rows, "store", tag);

        row->has_time = true;
        row->seconds = events[i].time;
        row->command = cli_release_clean(events[i].why);
        row->from = events[i].from;
        row->to = events[i].to;
    }
    cas_ref_history_free(events, count);
    return 0;
}

static int add_local(struct cli_session *session,
                     const struct registry_reference *ref,
                     struct rows *rows,
                     struct error *err)
{
    struct cas_store *const store = cli_session_store(session, err);
    CLEANUP(base_freep) char *name = registry_reference_name(ref);
    CLEANUP(base_freep) char *prefix = base_format("%s:", name);
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};

    if (!store)
        return -1;
    if (ref->tag) {
        CLEANUP(base_freep) char *full = registry_reference_text(ref);
        return add_ref(store, full, ref->tag, rows, err);
    }
    if (cas_ref_page(store, prefix, "", SIZE_MAX, &refs, err) < 0)
        return -1;
    for (size_t i = 0; i < refs.count; i++) {
        if (add_ref(store, refs.items[i].name, refs.items[i].name + strlen(prefix), rows,
                    err) < 0)
            return -1;
    }
    return 0;
}

/* --- Showing --- */

static void add_state_cell(struct cli_table *t,
                           const struct digest *digest,
                           const char *version,
                           bool whole)
{
    CLEANUP(base_freep)
    char *id = !digest_is_set(digest) ? base_strdup("-")
               : whole                ? base_strdup(digest_format(digest).text)
                                      : base_strdup(cli_format_short_id(digest).text);
    CLEANUP(base_freep)
    char *cell = version ? base_format("%s (%s)", version, id) : base_strdup(id);

    cli_table_add(t, cell);
}

static const char *or_dash(const char *text)
{
    return text && *text ? text : "-";
}

static void show_table(const struct rows *rows, size_t count, bool whole)
{
    static const char *const heads[] = {"TAG",  "ENTRY", "WHEN", "WHO",  "COMMAND",
                                        "FROM", "TO",    "WHY",  "WHERE"};
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(cli_table_release) struct cli_table table;

    cli_table_init(&table, ARRAY_COUNT(heads));
    for (size_t i = 0; i < ARRAY_COUNT(heads); i++)
        cli_table_add(&table, heads[i]);
    for (size_t i = 0; i < count; i++) {
        const struct row *const r = &rows->items[i];
        CLEANUP(base_freep)
        char *entry = r->entry < 0 ? base_strdup("-") : base_format("@{%ld}", r->entry);

        cli_table_add(&table, r->tag);
        cli_table_add(&table, entry);
        cli_table_add(&table, r->has_time ? cli_format_time(r->seconds, 0).text : "-");
        cli_table_add(&table, or_dash(r->who));
        cli_table_add(&table, or_dash(r->command));
        add_state_cell(&table, &r->from, NULL, whole);
        add_state_cell(&table, &r->to, r->version, whole);
        cli_table_add(&table, or_dash(r->message));
        cli_table_add(&table, r->where);
    }
    cli_table_write(&table, &text);
    cli_output_buf(&text);
}

static void set_digest(struct doc *d, const char *key, const struct digest *digest)
{
    doc_set(d, key,
            digest_is_set(digest) ? doc_new_text(view_of(digest_format(digest).text))
                                  : doc_new_null());
}

static void set_text(struct doc *d, const char *key, const char *text)
{
    if (text)
        doc_set_view(d, key, view_of(text));
}

static void show_json(const struct rows *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *const r = &rows->items[i];
        CLEANUP(doc_unrefp) struct doc *d = doc_new_object();

        doc_set_text(d, "where", r->where);
        doc_set_view(d, "tag", view_of(r->tag));
        if (r->entry >= 0)
            doc_set_int(d, "entry", r->entry);
        if (r->has_time)
            doc_set_text(d, "time", cli_format_time(r->seconds, 0).text);
        set_text(d, "who", r->who);
        set_text(d, "command", r->command);
        set_digest(d, "from", &r->from);
        set_digest(d, "to", &r->to);
        set_text(d, "version", r->version);
        set_text(d, "message", r->message);
        cli_output_doc(d, DOC_WRITE_COMPACT);
    }
}

/* --- Running --- */

static int log_run(struct cli_session *session,
                   const void *opaque,
                   const struct cli_texts *arguments,
                   struct error *err)
{
    const struct log_options *const o = opaque;
    const char *const name = arguments->items[0];
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    CLEANUP(rows_release) struct rows rows = {0};
    enum cli_output_format format;

    if (cli_output_format_parse(o->format, &format, err) < 0 ||
        registry_reference_parse(view_of(name), &ref, err) < 0)
        return -1;
    if (digest_is_set(&ref.digest))
        return error_set(err, ERROR_USAGE, "tags have a history, digests have none: '%s'",
                         name);
    if (o->local && o->remote)
        return error_set(err, ERROR_USAGE, "--local and --remote exclude each other");
    if (!o->local && (o->remote || cli_release_has_host(name)) &&
        add_remote(session, &ref, &rows, err) < 0)
        return -1;
    if (!o->remote && add_local(session, &ref, &rows, err) < 0)
        return -1;
    if (rows.count == 0)
        return error_set(err, ERROR_NOT_FOUND, "nothing is known of the history of '%s'",
                         name);
    const size_t count = o->count > 0 && o->count < rows.count ? o->count : rows.count;
    if (format == CLI_OUTPUT_JSON)
        show_json(&rows, count);
    else
        show_table(&rows, count, o->no_trunc);
    return 0;
}

const struct cli_command cli_command_log = {
    .name = "log",
    .usage = "[OPTIONS] REPOSITORY[:TAG]",
    .summary = "Tell where tags pointed: when, who, why",
    .details = "Releases and rollbacks are recorded in the repository itself, so that "
               "every machine\n"
               "sees them; a name with a registry in it is looked up there. What happened "
               "to names\n"
               "in the store is told besides. With a TAG, entries are numbered as\n"
               "'cooper rollback --to @{N}' takes them.",
    CLI_OPTIONS(options, struct log_options),
    .argument_min = 1,
    .argument_max = 1,
    .is_interruptible = true,
    .run = log_run,
};
