/* cooper prune */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/budget.h"
#include "cas/prune.h"
#include "cas/usage.h"
#include "cli/format.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/prune_filter.h"
#include "cli/usage_text.h"

#include <stddef.h>
#include <unistd.h>

struct prune_options {
    const char *format;
    struct cli_texts filters;
    uint64_t keep_storage;
    uint64_t reserved_space;
    uint64_t max_used_space;
    uint64_t min_free_space;
    bool all;
    bool force;
    bool dry_run;
};

#define FIELD(name) offsetof(struct prune_options, name)

static const struct cli_option options[] = {
    {'a', "all", CLI_OPTION_SWITCH, NULL,
     "Also what images share, unpacked layers, and logs of builds", FIELD(all)},
    {0, "dry-run", CLI_OPTION_SWITCH, NULL,
     "Tell what would be removed, and remove nothing", FIELD(dry_run)},
    {0, "filter", CLI_OPTION_TEXTS, "KEY=VALUE",
     "Only what fits: until, id, type, label, label!, shared", FIELD(filters)},
    {'f', "force", CLI_OPTION_SWITCH, NULL, "Do not ask", FIELD(force)},
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "table (default) or json", FIELD(format)},
    {0, "keep-storage", CLI_OPTION_BYTES, "SIZE", "As --reserved-space",
     FIELD(keep_storage)},
    {0, "max-used-space", CLI_OPTION_BYTES, "SIZE",
     "The cache may keep this much; the least recently used goes", FIELD(max_used_space)},
    {0, "min-free-space", CLI_OPTION_BYTES, "SIZE",
     "Remove until so much of the disk is free", FIELD(min_free_space)},
    {0, "reserved-space", CLI_OPTION_BYTES, "SIZE", "The cache keeps this much in any case",
     FIELD(reserved_space)},
};

/* What goes without --all: what no image needs and takes a build, not a look, to make
 * again. As with buildx, internal things and what images share stay. */
#define USUAL_KINDS                                                                        \
    (CAS_PRUNE_KIND(CAS_USAGE_CACHE) | CAS_PRUNE_KIND(CAS_USAGE_DANGLING) |                \
     CAS_PRUNE_KIND(CAS_USAGE_MOUNT) | CAS_PRUNE_KIND(CAS_USAGE_SOURCE) |                  \
     CAS_PRUNE_KIND(CAS_USAGE_STAT))

/* --- Choosing --- */

static int filters_read(const struct prune_options *o,
                        struct cli_prune_filter *f,
                        struct error *err)
{
    for (size_t i = 0; i < o->filters.count; i++) {
        if (cli_prune_filter_add(f, o->filters.items[i], err) < 0)
            return -1;
    }
    if ((f->kinds & CAS_PRUNE_KIND(CAS_USAGE_IMAGE)) && !o->all)
        return error_set(err, ERROR_USAGE,
                         "--filter type=image removes images with names, and is only taken "
                         "together with --all");
    if ((f->labels.count > 0 || f->not_labels.count > 0) &&
        f->kinds != CAS_PRUNE_KIND(CAS_USAGE_IMAGE))
        return error_set(err, ERROR_USAGE,
                         "only images have labels: use it with --all --filter type=image");
    return 0;
}

static unsigned kinds_of(const struct prune_options *o, const struct cli_prune_filter *f)
{
    if (f->kinds != 0)
        return f->kinds;
    /* One who names things by their IDs means these, and no garbage besides. */
    if (f->ids.count > 0)
        return CAS_PRUNE_CACHES & ~CAS_PRUNE_KIND(CAS_USAGE_DANGLING);
    return o->all ? CAS_PRUNE_CACHES : USUAL_KINDS;
}

static int keep_read(const struct prune_options *o,
                     struct cas_store *store,
                     const struct cas_usage *usage,
                     struct cas_prune_options *out,
                     struct error *err)
{
    const uint64_t reserved = o->reserved_space ? o->reserved_space : o->keep_storage;
    uint64_t disk;
    uint64_t free;
    uint64_t size = 0;

    out->keep = UINT64_MAX;
    if (reserved == 0 && o->max_used_space == 0 && o->min_free_space == 0)
        return 0;
    if (cas_budget_disk(store, &disk, &free, err) < 0)
        return -1;
    out->counted = CAS_PRUNE_CACHES | CAS_PRUNE_KIND(CAS_USAGE_INDEX);
    for (size_t i = 0; i < CAS_USAGE_KINDS; i++)
        size += out->counted & CAS_PRUNE_KIND(i) ? usage->kinds[i].size : 0;
    out->keep = cas_prune_keep(size, free, reserved, o->max_used_space, o->min_free_space);
    return 0;
}

/* --- Asking --- */

static void warn(const struct prune_options *o, const struct cli_prune_filter *f)
{
    fputs("WARNING! This will remove", stderr);
    if (f->kinds & CAS_PRUNE_KIND(CAS_USAGE_IMAGE))
        fputs(" ALL IMAGES that the filters fit, with their names.\n", stderr);
    else if (f->kinds != 0 || o->filters.count > 0)
        fputs(" what the filters fit.\n", stderr);
    else if (o->all)
        fputs(":\n"
              "  - the whole build cache, with cache mounts and git repositories\n"
              "  - unpacked layers, logs of builds and states of failed steps\n"
              "  - all content that no name of an image leads to\n",
              stderr);
    else
        fputs(":\n"
              "  - the build cache, but for what images share, and cache mounts\n"
              "  - all content that neither a name nor the build cache leads to\n",
              stderr);
    fputs("Are you sure you want to continue? [y/N] ", stderr);
    fflush(stderr);
}

static int confirm(const struct prune_options *o,
                   const struct cli_prune_filter *f,
                   struct error *err)
{
    char answer[16];

    if (o->force || o->dry_run)
        return 0;
    if (!isatty(STDIN_FILENO))
        return error_set(err, ERROR_USAGE,
                         "there is no terminal to ask on: say --force, or --dry-run to see "
                         "what would go");
    warn(o, f);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return 0;
    return error_set(err, ERROR_FAILED, "nothing was removed");
}

/* --- Telling --- */

/* What was removed, in the order of removal. */
struct removed {
    const struct build_step_names *names;
    struct cli_table table;
    struct doc *list;
    size_t count;
};

static void removed_init(struct removed *r, const struct build_step_names *names)
{
    *r = (struct removed){.names = names, .list = doc_new_array()};
    cli_table_init(&r->table, 5);
    cli_table_add(&r->table, "ID");
    cli_table_add(&r->table, "TYPE");
    cli_table_add(&r->table, "SIZE");
    cli_table_add(&r->table, "LAST USED");
    cli_table_add(&r->table, "DESCRIPTION");
}

static void removed_release(struct removed *r)
{
    cli_table_release(&r->table);
    doc_unref(r->list);
}

static void removed_add(void *context, const struct cas_usage_item *item)
{
    struct removed *r = context;
    CLEANUP(base_freep) char *description = cli_usage_description(item, r->names);

    r->count++;
    cli_table_add(&r->table, cli_usage_id(item).text);
    cli_table_add(&r->table, cas_usage_type(item->kind));
    cli_table_add(&r->table, cli_format_size(item->size).text);
    cli_table_add(&r->table, cli_usage_age(item->used).text);
    cli_table_add(&r->table, description);
    doc_append(r->list, cli_usage_item_doc(item, r->names));
}

static void tell(struct removed *r,
                 const struct prune_options *o,
                 enum cli_output_format format,
                 uint64_t size)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    if (format == CLI_OUTPUT_JSON) {
        CLEANUP(doc_unrefp) struct doc *root = doc_new_object();
        doc_set(root, "removed", doc_ref(r->list));
        doc_set_int(root, "space", (int64_t)size);
        doc_set_bool(root, "dry_run", o->dry_run);
        cli_output_doc(root, DOC_WRITE_COMPACT);
        return;
    }
    if (r->count > 0) {
        cli_table_write(&r->table, &text);
        buf_append_char(&text, '\n');
    }
    buf_printf(&text, "%s: %s\n",
               o->dry_run ? "Space that would be reclaimed" : "Total reclaimed space",
               cli_format_size(size).text);
    cli_output_buf(&text);
}

/* --- Running --- */

static bool interrupted(void *context)
{
    (void)context;
    return cli_interrupted();
}

static int prune(struct cas_store *store,
                 const struct prune_options *o,
                 struct cli_prune_filter *filter,
                 enum cli_output_format format,
                 struct error *err)
{
    CLEANUP(cas_usage_release) struct cas_usage usage = {0};
    CLEANUP(cas_prune_plan_release) struct cas_prune_plan plan = {0};
    CLEANUP(build_step_names_release) struct build_step_names names = {0};
    CLEANUP(removed_release) struct removed removed;
    struct cas_prune_result result = {0};
    struct cas_prune_options how = {
        .kinds = kinds_of(o, filter),
        .with_shared = o->all || filter->ids.count > 0 || filter->shared,
        .before = filter->before,
        .wants = cli_prune_filter_wants,
        .context = filter,
        .stop = interrupted,
    };

    removed_init(&removed, &names);
    if (cas_usage_read(store, &usage, err) < 0 ||
        keep_read(o, store, &usage, &how, err) < 0)
        return -1;
    build_step_names_read(store, &names);
    cas_prune_choose(&usage, &how, &plan);
    if (o->dry_run) {
        for (size_t i = 0; i < plan.count; i++)
            removed_add(&removed, &usage.items[plan.items[i]]);
        tell(&removed, o, format, plan.size);
        return 0;
    }
    if (cas_prune_run(store, &usage, &plan, &how, removed_add, &removed, &result, err) < 0)
        return -1;
    tell(&removed, o, format, result.size);
    return cli_interrupted() ? error_set(err, ERROR_CANCELLED, "interrupted") : 0;
}

static int prune_run(struct cli_session *session,
                     const void *opaque,
                     const struct cli_texts *arguments,
                     struct error *err)
{
    const struct prune_options *const o = opaque;
    CLEANUP(cli_prune_filter_release) struct cli_prune_filter filter = {0};
    enum cli_output_format format;
    struct cas_store *store;

    (void)arguments;
    if (cli_output_format_parse(o->format, &format, err) < 0 ||
        filters_read(o, &filter, err) < 0 || confirm(o, &filter, err) < 0)
        return -1;
    /* Unpacked layers and cache mounts hold files of subordinate ids. */
    if (cli_session_enter(session, err) < 0)
        return -1;
    store = filter.store = cli_session_store(session, err);
    return store == NULL ? -1 : prune(store, o, &filter, format, err);
}

const struct cli_command cli_command_prune = {
    .name = "prune",
    .usage = "[OPTIONS]",
    .summary = "Remove what no image needs: build cache, cache mounts, unnamed content",
    .details =
        "Images that have a name stay, but for --all --filter type=image. What a running\n"
        "cooper uses stays in any case. 'cooper df -v' lists what there is.",
    CLI_OPTIONS(options, struct prune_options),
    .is_interruptible = true,
    .run = prune_run,
};
