/* cooper rollback REPOSITORY[:TAG] */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/release_digest.h"
#include "cli/release_facts.h"
#include "cli/release_run.h"
#include "cli/rollback_packages.h"
#include "release/rollback.h"

#include <stddef.h>
#include <unistd.h>

struct rollback_options {
    const char *to;
    const char *message;
    const char *format;
    struct cli_texts write_digest;
    bool yes;
    bool dry_run;
    bool quiet;
};

static const struct cli_option options[] = {
    {0, "to", CLI_OPTION_TEXT, "VERSION|DIGEST|@{N}",
     "Where to (default @{1}: where it pointed before)",
     offsetof(struct rollback_options, to)},
    {'m', "message", CLI_OPTION_TEXT, "TEXT", "Why, for the history",
     offsetof(struct rollback_options, message)},
    {'y', "yes", CLI_OPTION_SWITCH, NULL, "Do not ask",
     offsetof(struct rollback_options, yes)},
    {0, "dry-run", CLI_OPTION_SWITCH, NULL, "Show what would change",
     offsetof(struct rollback_options, dry_run)},
    {0, "write-digest", CLI_OPTION_TEXTS, "[FORM=]FILE",
     "Write the digest; forms: ref, kustomize, helm",
     offsetof(struct rollback_options, write_digest)},
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "table (default) or json",
     offsetof(struct rollback_options, format)},
    {'q', "quiet", CLI_OPTION_SWITCH, NULL, "Print only REPOSITORY@DIGEST",
     offsetof(struct rollback_options, quiet)},
};

/* --- What differs --- */

struct layers {
    size_t same;
    size_t removed;
    size_t added;
    uint64_t removed_size;
    uint64_t added_size;
};

static bool has_layer(const struct doc *layers, const char *digest)
{
    for (size_t i = 0; i < doc_count(layers); i++) {
        const char *const one = doc_text(doc_get(doc_at(layers, i), "digest"));
        if (one && digest && strcmp(one, digest) == 0)
            return true;
    }
    return false;
}

/* Layers of `a` that `b` lacks. */
static void layers_count(const struct doc *a,
                         const struct doc *b,
                         size_t *count,
                         uint64_t *size)
{
    for (size_t i = 0; i < doc_count(a); i++) {
        const struct doc *const layer = doc_at(a, i);
        int64_t bytes = 0;

        if (has_layer(b, doc_text(doc_get(layer, "digest"))))
            continue;
        ++*count;
        if (doc_int(doc_get(layer, "size"), &bytes) && bytes > 0)
            *size += (uint64_t)bytes;
    }
}

/* False where one of the two is no image of one platform, or is gone. */
static bool layers_compare(const struct release_rollback *r, struct layers *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* then nothing is told */
    CLEANUP(doc_unrefp)
    struct doc *from =
        r->from.bytes.size > 0 ? doc_parse(buf_view(&r->from.bytes), &ignored) : NULL;
    CLEANUP(doc_unrefp) struct doc *to = doc_parse(buf_view(&r->to.bytes), &ignored);
    const struct doc *const before = doc_get(from, "layers");
    const struct doc *const after = doc_get(to, "layers");

    *out = (struct layers){0};
    if (!before || !after)
        return false;
    layers_count(before, after, &out->removed, &out->removed_size);
    layers_count(after, before, &out->added, &out->added_size);
    out->same = doc_count(after) - out->added;
    return true;
}

/* --- Showing --- */

static const struct release_record *record_of(const struct release_rollback *r,
                                              const struct digest *digest)
{
    for (size_t i = 0; i < r->log.count; i++) {
        const struct release_record *const one = &r->log.items[i];
        const struct release_move *const m =
            one->version ? release_record_find(one, one->version) : NULL;

        if (m && digest_eq(&m->to, digest))
            return one;
    }
    return NULL;
}

static void add_state(struct cli_table *t,
                      const char *what,
                      const struct release_rollback *r,
                      const struct digest *digest)
{
    const struct release_record *const record = record_of(r, digest);
    CLEANUP(base_freep) char *version = cli_release_clean(record ? record->version : "-");
    CLEANUP(base_freep) char *who = cli_release_clean(record ? record->who : "-");

    cli_table_add(t, what);
    cli_table_add(t, version);
    cli_table_add(t, digest_format(digest).text);
    cli_table_add(t, record ? cli_format_time(record->seconds, 0).text : "-");
    cli_table_add(t, who);
}

static void describe(const struct release_rollback *r,
                     const struct cli_package_changes *packages,
                     struct buf *out)
{
    CLEANUP(base_freep) char *name = release_place_name(r->place);
    CLEANUP(cli_table_release) struct cli_table table;
    struct layers layers;

    buf_printf(out, "%s:%s\n", name, r->tag);
    cli_table_init(&table, 5);
    cli_table_add(&table, "");
    cli_table_add(&table, "VERSION");
    cli_table_add(&table, "DIGEST");
    cli_table_add(&table, "RELEASED");
    cli_table_add(&table, "BY");
    add_state(&table, "from", r, &r->origin);
    add_state(&table, "to", r, &r->to.descriptor.digest);
    cli_table_write(&table, out);
    if (layers_compare(r, &layers))
        buf_printf(out, "layers: %zu the same, %zu removed (%s), %zu added (%s)\n",
                   layers.same, layers.removed, cli_format_size(layers.removed_size).text,
                   layers.added, cli_format_size(layers.added_size).text);
    if (packages->text)
        buf_append_text(out, packages->text);
}

static struct doc *state_doc(const struct release_rollback *r, const struct digest *digest)
{
    const char *const version = release_log_version(&r->log, digest);
    struct doc *const d = doc_new_object();

    doc_set_text(d, "digest", digest_format(digest).text);
    if (version)
        doc_set_view(d, "version", view_of(version));
    return d;
}

static void show_json(const struct release_rollback *r,
                      const struct cli_package_changes *packages,
                      bool changed)
{
    CLEANUP(doc_unrefp) struct doc *d = doc_new_object();
    CLEANUP(base_freep) char *name = release_place_name(r->place);
    struct layers layers;

    doc_set_text(d, "repository", name);
    doc_set_text(d, "tag", r->tag);
    doc_set(d, "from", state_doc(r, &r->origin));
    doc_set(d, "to", state_doc(r, &r->to.descriptor.digest));
    doc_set_bool(d, "changed", changed);
    if (layers_compare(r, &layers)) {
        struct doc *const l = doc_new_object();
        doc_set_int(l, "same", (int64_t)layers.same);
        doc_set_int(l, "removed", (int64_t)layers.removed);
        doc_set_int(l, "added", (int64_t)layers.added);
        doc_set(d, "layers", l);
    }
    if (packages->list)
        doc_set(d, "packages", doc_ref(packages->list));
    cli_output_doc(d, DOC_WRITE_COMPACT);
}

static void show(const struct rollback_options *o,
                 const struct release_rollback *r,
                 const struct cli_package_changes *packages,
                 enum cli_output_format format)
{
    const bool is_done = release_rollback_is_done(r);
    const struct digest_text to = digest_format(&r->to.descriptor.digest);
    CLEANUP(base_freep) char *name = release_place_name(r->place);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    if (o->quiet) {
        printf("%s@%s\n", name, to.text);
        return;
    }
    if (format == CLI_OUTPUT_JSON) {
        show_json(r, packages, !o->dry_run && !is_done);
        return;
    }
    describe(r, packages, &text);
    if (is_done)
        buf_printf(&text, "%s points there already\n", r->tag);
    else if (o->dry_run)
        buf_append_text(&text, "nothing was done: --dry-run\n");
    else
        buf_printf(&text, "%s: digest: %s\n", r->tag, to.text);
    cli_output_buf(&text);
}

/* --- Asking --- */

static int confirm(const struct rollback_options *o,
                   const struct release_rollback *r,
                   const struct cli_package_changes *packages,
                   struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    char answer[16];

    if (o->yes)
        return 0;
    if (!isatty(STDIN_FILENO))
        return error_set(err, ERROR_USAGE,
                         "there is no terminal to ask on: say --yes, or --dry-run to see "
                         "what would change");
    describe(r, packages, &text);
    fprintf(stderr, "%sMove the tag? [y/N] ", buf_text(&text));
    fflush(stderr);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return 0;
    return error_set(err, ERROR_FAILED, "nothing was changed");
}

/* --- Running --- */

static int roll(struct cli_session *session,
                const struct rollback_options *o,
                struct release_rollback *r,
                enum cli_output_format format,
                struct error *err)
{
    CLEANUP(base_freep) char *name = release_place_name(r->place);
    CLEANUP(cli_package_changes_release) struct cli_package_changes packages = {0};
    const char *version;

    if (release_rollback_plan(r, o->to, err) < 0)
        return -1;
    if (!o->quiet)
        cli_rollback_packages(session, &r->origin, &r->to.descriptor.digest, &packages);
    if (o->dry_run) {
        show(o, r, &packages, format);
        return 0;
    }
    if (!release_rollback_is_done(r) &&
        (confirm(o, r, &packages, err) < 0 || release_rollback_run(r, err) < 0))
        return -1;
    show(o, r, &packages, format);
    version = release_log_version(&r->log, &r->to.descriptor.digest);
    return cli_release_digests_write(&o->write_digest, name, version,
                                     &r->to.descriptor.digest, err);
}

static int rollback_run(struct cli_session *session,
                        const void *opaque,
                        const struct cli_texts *arguments,
                        struct error *err)
{
    const struct rollback_options *const o = opaque;
    CLEANUP(registry_reference_release) struct registry_reference target = {0};
    CLEANUP(release_place_release) struct release_place place = {0};
    CLEANUP(base_freep) char *who = cli_release_who(session->real_uid);
    enum cli_output_format format;

    if (cli_output_format_parse(o->format, &format, err) < 0 ||
        cli_release_digests_check(&o->write_digest, err) < 0 ||
        registry_reference_parse(view_of(arguments->items[0]), &target, err) < 0)
        return -1;
    if (digest_is_set(&target.digest))
        return error_set(err, ERROR_USAGE,
                         "a tag is rolled back, not a digest: REPOSITORY:TAG, and --to "
                         "says where to");
    registry_reference_add_default_tag(&target);
    release_place_init(&place, cli_session_registry(session), &target);
    CLEANUP(release_rollback_release)
    struct release_rollback rollback = {
        .place = &place, .tag = target.tag, .who = who, .message = o->message};
    return roll(session, o, &rollback, format, err);
}

const struct cli_command cli_command_rollback = {
    .name = "rollback",
    .usage = "[OPTIONS] REPOSITORY[:TAG]",
    .summary = "Move a tag back to what it was, by digest",
    .details =
        "TAG is latest if not given. --to takes a version, a digest, or an entry of the\n"
        "tag's history as 'cooper log REPOSITORY:TAG' numbers them. Rolling forward again "
        "is\n"
        "the same command. Tags of versions never move.",
    CLI_OPTIONS(options, struct rollback_options),
    .argument_min = 1,
    .argument_max = 1,
    .is_interruptible = true,
    .run = rollback_run,
};
