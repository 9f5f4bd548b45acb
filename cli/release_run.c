#include "cli/release_run.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/format.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/release_digest.h"
#include "cli/release_facts.h"

#include <stdlib.h>
#include <string.h>

/* --- Showing --- */

char *cli_release_state(const struct release_log *log, const struct digest *digest)
{
    const char *const version = release_log_version(log, digest);

    if (!digest_is_set(digest))
        return base_strdup("-");
    CLEANUP(base_freep) char *clean = cli_release_clean(version);
    if (version)
        return base_format("%s (%s)", clean, cli_format_short_id(digest).text);
    return base_strdup(cli_format_short_id(digest).text);
}

char *cli_release_clean(const char *text)
{
    char *const clean = base_strdup(text ? text : "");

    for (char *c = clean; *c; c++)
        *c = (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c;
    return clean;
}

bool cli_release_has_host(const char *text)
{
    const char *const slash = strchr(text, '/');
    const size_t size = slash ? (size_t)(slash - text) : 0;

    return size > 0 && (memchr(text, '.', size) || memchr(text, ':', size) ||
                        (size == 9 && memcmp(text, "localhost", 9) == 0));
}

static void step_add(struct cli_table *t,
                     const struct release_plan *plan,
                     const struct release_step *step,
                     const char *version)
{
    CLEANUP(base_freep) char *from = cli_release_state(&plan->log, &step->from);
    const bool leave = step->action == RELEASE_LEAVE;
    CLEANUP(base_freep)
    char *to = leave && step->owner ? base_format("left to %s", step->owner)
               : leave              ? base_strdup("moved on since the release")
                                    : base_strdup(version);

    cli_table_add(t, step->tag);
    cli_table_add(t, release_action_name(step->action));
    cli_table_add(t, from);
    cli_table_add(t, to);
}

static void show_table(const struct release_request *r,
                       const struct release_plan *plan,
                       bool dry_run)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(base_freep) char *name = release_place_name(r->place);
    CLEANUP(cli_table_release) struct cli_table table;

    cli_table_init(&table, 4);
    cli_table_add(&table, "TAG");
    cli_table_add(&table, "ACTION");
    cli_table_add(&table, "FROM");
    cli_table_add(&table, "TO");
    for (size_t i = 0; i < plan->count; i++)
        step_add(&table, plan, &plan->steps[i], r->version->tag);
    cli_table_write(&table, &text);
    buf_printf(&text, "\n%s:%s: %s%s\n", name, r->version->tag,
               digest_format(&r->digest).text,
               dry_run             ? " (nothing was done: --dry-run)"
               : plan->is_recorded ? " (was released before)"
                                   : "");
    cli_output_buf(&text);
}

static struct doc *step_doc(const struct release_step *step)
{
    struct doc *const d = doc_new_object();

    doc_set_text(d, "tag", step->tag);
    doc_set_text(d, "action", release_action_name(step->action));
    doc_set(d, "from",
            digest_is_set(&step->from)
                ? doc_new_text(view_of(digest_format(&step->from).text))
                : doc_new_null());
    if (step->owner)
        doc_set_text(d, "owner", step->owner);
    return d;
}

static void show_json(const struct release_request *r,
                      const struct release_plan *plan,
                      bool dry_run)
{
    CLEANUP(doc_unrefp) struct doc *d = doc_new_object();
    CLEANUP(base_freep) char *name = release_place_name(r->place);
    struct doc *const steps = doc_new_array();

    for (size_t i = 0; i < plan->count; i++)
        doc_append(steps, step_doc(&plan->steps[i]));
    doc_set_text(d, "repository", name);
    doc_set_text(d, "version", r->version->tag);
    doc_set_text(d, "digest", digest_format(&r->digest).text);
    doc_set_bool(d, "dry_run", dry_run);
    doc_set_bool(d, "was_released", plan->is_recorded);
    doc_set(d, "tags", steps);
    if (r->annotations)
        doc_set(d, "annotations", doc_copy(r->annotations));
    cli_output_doc(d, DOC_WRITE_COMPACT);
}

static void show(const struct cli_release_options *o,
                 const struct release_request *r,
                 const struct release_plan *plan,
                 enum cli_output_format format)
{
    CLEANUP(base_freep) char *name = release_place_name(r->place);

    if (o->quiet)
        printf("%s@%s\n", name, digest_format(&r->digest).text);
    else if (format == CLI_OUTPUT_JSON)
        show_json(r, plan, o->dry_run);
    else
        show_table(r, plan, o->dry_run);
}

/* --- Running --- */

int cli_release_check(const struct cli_release_options *o, struct error *err)
{
    CLEANUP(release_names_release) struct release_names moves = {0};
    enum cli_output_format format;
    enum cli_progress_mode mode;
    enum release_scheme scheme;

    if (release_scheme_parse(o->scheme, &scheme, err) < 0 ||
        release_moves_parse(o->move, &moves, err) < 0 ||
        cli_output_format_parse(o->format, &format, err) < 0 ||
        cli_progress_mode_parse(o->progress, &mode, err) < 0)
        return -1;
    return cli_release_digests_check(&o->write_digest, err);
}

struct bringing {
    const struct cli_release *release;
    const struct event_sink *sink;
};

static int bring(void *context, struct error *err)
{
    const struct bringing *const b = context;
    struct registry_reference to = *b->release->target;

    to.tag = NULL;
    to.digest = b->release->digest;
    return b->release->bring(b->release->context, &to, b->sink, err);
}

static int run(const struct cli_release *release,
               struct release_request *r,
               struct release_plan *plan,
               struct error *err)
{
    const struct cli_release_options *const o = release->options;
    enum cli_progress_mode mode;

    if (cli_progress_mode_parse(o->progress, &mode, err) < 0)
        return -1;
    CLEANUP(cli_progress_freep)
    struct cli_progress *progress =
        cli_progress_new(o->quiet ? CLI_PROGRESS_QUIET : mode, "Releasing");
    const struct event_sink sink = cli_progress_sink(progress);
    struct bringing bringing = {release, &sink};

    r->bring = bring;
    r->context = &bringing;
    return release_plan_run(r, plan, err);
}

static int plan_and_run(const struct cli_release *release,
                        struct release_request *r,
                        enum cli_output_format format,
                        struct error *err)
{
    const struct cli_release_options *const o = release->options;
    CLEANUP(release_plan_release) struct release_plan plan = {0};
    CLEANUP(base_freep) char *name = release_place_name(r->place);

    if (release_plan_make(r, &plan, err) < 0)
        return -1;
    if (o->dry_run) {
        show(o, r, &plan, format);
        return 0;
    }
    if (run(release, r, &plan, err) < 0)
        return -1;
    show(o, r, &plan, format);
    return cli_release_digests_write(&o->write_digest, name, r->version->tag, &r->digest,
                                     err);
}

int cli_release_run(struct cli_session *session,
                    const struct cli_release *release,
                    struct error *err)
{
    const struct cli_release_options *const o = release->options;
    CLEANUP(release_version_release) struct release_version version = {0};
    CLEANUP(release_names_release) struct release_names moves = {0};
    CLEANUP(release_place_release) struct release_place place = {0};
    CLEANUP(base_freep) char *who = cli_release_who(session->real_uid);
    enum cli_output_format format;
    enum release_scheme scheme;

    if (cli_output_format_parse(o->format, &format, err) < 0 ||
        release_scheme_parse(o->scheme, &scheme, err) < 0 ||
        release_version_parse(scheme, view_of(release->version), &version, err) < 0 ||
        release_moves_parse(o->move, &moves, err) < 0)
        return -1;
    const struct cli_release_source facts = {
        .version = release->version,
        .known = release->known,
        .config = release->config,
        .given = &o->annotations,
        .is_from_here = release->is_from_here,
    };
    CLEANUP(doc_unrefp) struct doc *annotations = cli_release_facts(&facts, err);
    if (!annotations)
        return -1;
    release_place_init(&place, cli_session_registry(session), release->target);
    struct release_request request = {
        .place = &place,
        .version = &version,
        .moves = &moves,
        .digest = release->digest,
        .is_backport = o->backport,
        .who = who,
        .command = release->command,
        .message = o->message,
        .source = release->source,
        .annotations = annotations,
        .cancelled = cli_interrupt_atomic(),
    };
    return plan_and_run(release, &request, format, err);
}
