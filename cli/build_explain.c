#include "cli/build_explain.h"

#include "base/buf.h"
#include "base/doc.h"
#include "base/limits.h"

static const char *const state_names[] = {
    [BUILD_EXPLAINED_CACHED] = "cached",
    [BUILD_EXPLAINED_RUNS] = "run",
    [BUILD_EXPLAINED_IMAGE] = "image",
};

static void json_print(const struct build_explanation *e)
{
    CLEANUP(doc_unrefp) struct doc *root = doc_new_object();
    struct doc *const steps = doc_new_array();

    for (size_t i = 0; i < e->count; i++) {
        const struct build_explained *const from = &e->steps[i];
        struct doc *const step = doc_new_object();

        doc_set_text(step, "name", from->title);
        doc_set_int(step, "line", from->line);
        doc_set_text(step, "state", state_names[from->state]);
        if (from->reason != NULL)
            doc_set_text(step, "reason", from->reason);
        if (from->cause != NULL)
            doc_set_text(step, "cause", from->cause);
        doc_append(steps, step);
    }
    doc_set(root, "steps", steps);
    doc_set_int(root, "cached", e->cached);
    doc_set_int(root, "run", e->runs);
    cli_output_doc(root, DOC_WRITE_INDENT);
}

static void summary_append(const struct build_explanation *e, struct buf *out)
{
    const unsigned all = e->cached + e->runs;
    unsigned follow = 0;

    for (size_t i = 0; i < e->count; i++)
        follow += e->steps[i].cause != NULL && e->steps[i].state == BUILD_EXPLAINED_RUNS;
    if (e->runs == 0)
        buf_printf(out, "\nNothing would run: %u step%s cached\n", e->cached,
                   e->cached == 1 ? " is" : "s are");
    else
        buf_printf(out, "\n%u of %u step%s would run\n", e->runs, all, all == 1 ? "" : "s");
    if (follow > 0)
        buf_printf(out,
                   "(%u of them only because of what comes before: cached after all if "
                   "that gives the same files again)\n",
                   follow);
}

void cli_build_explain_print(const struct build_explanation *e,
                             enum cli_output_format format)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    if (format == CLI_OUTPUT_JSON) {
        json_print(e);
        return;
    }
    for (size_t i = 0; i < e->count; i++) {
        const struct build_explained *const step = &e->steps[i];

        buf_printf(&out, "%-7s %s\n", state_names[step->state], step->title);
        if (step->reason != NULL)
            buf_printf(&out, "        %s\n", step->reason);
    }
    summary_append(e, &out);
    cli_output_buf(&out);
}
