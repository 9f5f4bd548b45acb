/* cooper fsck */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "cas/fsck.h"
#include "cli/format.h"
#include "cli/interrupt.h"
#include "cli/output.h"

#include <stddef.h>

struct fsck_options {
    const char *format;
    bool repair;
    bool full;
};

static const struct cli_option options[] = {
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "table (default) or json",
     offsetof(struct fsck_options, format)},
    {0, "full", CLI_OPTION_SWITCH, NULL,
     "Also unpack each layer's blob, and read all unpacked files",
     offsetof(struct fsck_options, full)},
    {0, "repair", CLI_OPTION_SWITCH, NULL, "Remove what is damaged and can be made again",
     offsetof(struct fsck_options, repair)},
};

static bool interrupted(void *context)
{
    (void)context;
    return cli_interrupted();
}

static void print_text(const struct cas_fsck_report *r)
{
    size_t wrong = 0;
    size_t repaired = 0;

    for (size_t i = 0; i < r->count; i++) {
        const struct cas_fsck_problem *p = &r->problems[i];
        wrong += !p->harmless;
        repaired += p->repaired;
        printf("%s %s: %s\n", cas_fsck_kind_name(p->kind), p->what, p->why);
        if (p->advice != NULL)
            printf("    %s\n", p->advice);
    }
    printf("%zu blobs (%s), %zu images, %zu layer records, %zu cache records, %zu indexes, "
           "%zu unpacked layers checked\n",
           r->checked[CAS_FSCK_BLOB], cli_format_size(r->bytes).text,
           r->checked[CAS_FSCK_REF], r->checked[CAS_FSCK_LAYER_RECORD],
           r->checked[CAS_FSCK_CACHE_RECORD], r->checked[CAS_FSCK_INDEX],
           r->checked[CAS_FSCK_UNPACKED]);
    if (wrong == 0)
        puts("The store is whole.");
    else
        printf("%zu problem%s, %zu repaired\n", wrong, wrong == 1 ? "" : "s", repaired);
}

static struct doc *problem_doc(const struct cas_fsck_problem *p)
{
    struct doc *d = doc_new_object();

    doc_set_text(d, "kind", cas_fsck_kind_name(p->kind));
    doc_set_text(d, "what", p->what);
    doc_set_text(d, "why", p->why);
    if (p->advice != NULL)
        doc_set_text(d, "advice", p->advice);
    doc_set_bool(d, "harmless", p->harmless);
    doc_set_bool(d, "repaired", p->repaired);
    return d;
}

static void print_json(const struct cas_fsck_report *r)
{
    CLEANUP(doc_unrefp) struct doc *root = doc_new_object();
    struct doc *checked = doc_new_object();
    struct doc *problems = doc_new_array();

    for (size_t i = 0; i < CAS_FSCK_KINDS; i++)
        doc_set_int(checked, cas_fsck_kind_name((enum cas_fsck_kind)i),
                    (int64_t)r->checked[i]);
    for (size_t i = 0; i < r->count; i++)
        doc_append(problems, problem_doc(&r->problems[i]));
    doc_set_bool(root, "whole", r->whole);
    doc_set_int(root, "bytes", (int64_t)r->bytes);
    doc_set(root, "checked", checked);
    doc_set(root, "problems", problems);
    cli_output_doc(root, DOC_WRITE_COMPACT);
}

static int fsck_run(struct cli_session *session,
                    const void *opaque,
                    const struct cli_texts *arguments,
                    struct error *err)
{
    const struct fsck_options *const o = opaque;
    const struct cas_fsck_options how = {
        .repair = o->repair, .full = o->full, .stop = interrupted};
    CLEANUP(cas_fsck_report_release) struct cas_fsck_report report = {0};
    enum cli_output_format format;
    struct cas_store *store;

    (void)arguments;
    /* Owners of unpacked layers are compared as their user namespace shows them. */
    if (cli_output_format_parse(o->format, &format, err) < 0 ||
        cli_session_enter(session, err) < 0)
        return -1;
    store = cli_session_store(session, err);
    if (store == NULL || cas_fsck_run(store, &how, &report, err) < 0)
        return -1;
    if (format == CLI_OUTPUT_JSON)
        print_json(&report);
    else
        print_text(&report);
    session->exit_code = report.whole ? 0 : 1;
    return 0;
}

const struct cli_command cli_command_fsck = {
    .name = "fsck",
    .usage = "[OPTIONS]",
    .summary = "Check everything in the store, and repair what can be made again",
    .details =
        "Every blob is read and compared with its digest, every record, name, index and\n"
        "unpacked layer with what it speaks of. Exits with 1 if something is wrong and "
        "was\n"
        "not repaired. Files that cooper did not make are named and left alone.",
    CLI_OPTIONS(options, struct fsck_options),
    .is_interruptible = true,
    .run = fsck_run,
};
