/* cooper prune-registry REPOSITORY --policy FILE */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cli/format.h"
#include "cli/output.h"
#include "parser/yaml.h"
#include "release/prune.h"

#include <fcntl.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

struct prune_options {
    const char *policy;
    const char *format;
    bool yes;
};

static const struct cli_option options[] = {
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "table (default) or json",
     offsetof(struct prune_options, format)},
    {0, "policy", CLI_OPTION_TEXT, "FILE", "What stays (YAML; - is standard input)",
     offsetof(struct prune_options, policy)},
    {'y', "yes", CLI_OPTION_SWITCH, NULL, "Delete; without it the plan is only printed",
     offsetof(struct prune_options, yes)},
};

static int policy_text(const char *path, struct buf *out, struct error *err)
{
    if (strcmp(path, "-") == 0)
        return fs_read_all(STDIN_FILENO, out, err);
    return fs_read_file_at(AT_FDCWD, path, out, err);
}

static int policy_read(const char *path, struct release_policy *out, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_CONFIG_SIZE);
    CLEANUP(doc_unrefp) struct doc *doc = NULL;

    if (path == NULL)
        return error_set(err, ERROR_USAGE, "--policy FILE says what stays: it is missing");
    if (policy_text(path, &text, err) < 0)
        return error_wrap(err, "--policy");
    doc = yaml_doc_parse(buf_view(&text), err);
    if (doc == NULL || release_policy_read(doc, out, err) < 0)
        return error_wrap(err, "policy %s", path);
    return 0;
}

static int repository_read(const char *text,
                           struct registry_reference *out,
                           struct error *err)
{
    if (registry_reference_parse(view_of(text), out, err) < 0)
        return -1;
    if (out->tag != NULL || digest_is_set(&out->digest))
        return error_set(err, ERROR_USAGE,
                         "'%s' names an image: give a repository, without tag and digest",
                         text);
    return 0;
}

/* --- The plan, and what came of it ---------------------------------------------------- */

/* What a tag's row says of the deed. */
static const char *action_of(const struct release_prune_tag *t, bool is_done)
{
    if (!is_done)
        return release_prune_action_name(t->action);
    if (t->is_gone)
        return "deleted";
    return t->left != NULL ? "left" : "kept";
}

static void print_table(const struct release_prune_plan *plan, bool is_done)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(cli_table_release) struct cli_table table;

    cli_table_init(&table, 5);
    cli_table_add(&table, "ACTION");
    cli_table_add(&table, "TAG");
    cli_table_add(&table, "DIGEST");
    cli_table_add(&table, "KIND");
    cli_table_add(&table, "WHY");
    for (size_t i = 0; i < plan->count; i++) {
        const struct release_prune_tag *const t = &plan->tags[i];

        cli_table_add(&table, action_of(t, is_done));
        cli_table_add(&table, t->tag);
        cli_table_add(&table, cli_format_short_id(&t->digest).text);
        cli_table_add(&table, release_tag_kind_name(t->kind));
        cli_table_add(&table, t->left != NULL ? t->left : t->why);
    }
    cli_table_write(&table, &text);
    cli_output_buf(&text);
}

static struct doc *tag_doc(const struct release_prune_tag *t, bool is_done)
{
    struct doc *const out = doc_new_object();

    doc_set_text(out, "tag", t->tag);
    doc_set_text(out, "digest", digest_format(&t->digest).text);
    doc_set_text(out, "kind", release_tag_kind_name(t->kind));
    doc_set_text(out, "action", action_of(t, is_done));
    doc_set_text(out, "why", t->left != NULL ? t->left : t->why);
    if (t->has_created)
        doc_set_text(out, "created", cli_format_time(t->created, 0).text);
    return out;
}

static void print_json(const struct release_prune_plan *plan, bool is_done)
{
    CLEANUP(doc_unrefp) struct doc *out = doc_new_object();
    struct doc *const tags = doc_new_array();
    struct doc *const digests = doc_new_array();

    for (size_t i = 0; i < plan->count; i++)
        doc_append(tags, tag_doc(&plan->tags[i], is_done));
    for (size_t i = 0; i < plan->digest_count; i++)
        doc_append_text(digests, digest_format(&plan->digests[i]).text);
    doc_set_bool(out, "done", is_done);
    doc_set(out, "tags", tags);
    doc_set(out, "digests", digests);
    doc_set_int(out, "size", (int64_t)plan->size);
    cli_output_doc(out, DOC_WRITE_INDENT);
}

static size_t count_of(const struct release_prune_plan *plan)
{
    size_t count = 0;

    for (size_t i = 0; i < plan->count; i++)
        count += plan->tags[i].action != RELEASE_PRUNE_KEEP;
    return count;
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void print_result(const struct release_prune_plan *plan,
                         enum cli_output_format format,
                         bool is_done)
{
    const size_t manifests = plan->digest_count;
    const struct cli_text size = cli_format_size(plan->size);
    size_t gone = 0;

    if (format == CLI_OUTPUT_JSON) {
        print_json(plan, is_done);
        return;
    }
    print_table(plan, is_done);
    for (size_t i = 0; i < plan->count; i++)
        gone += plan->tags[i].is_gone;
    if (is_done)
        fprintf(stderr, "deleted: %zu tag%s, %zu manifest%s, %s of blobs\n", gone,
                plural(gone), manifests, plural(manifests), size.text);
    else
        fprintf(stderr,
                "would go: %zu of %zu tag%s, %zu manifest%s, %s of blobs; nothing was "
                "deleted, --yes does it\n",
                count_of(plan), plan->count, plural(plan->count), manifests,
                plural(manifests), size.text);
}

static int prune_run(struct cli_session *session,
                     const void *opaque,
                     const struct cli_texts *arguments,
                     struct error *err)
{
    const struct prune_options *const o = opaque;
    CLEANUP(registry_reference_release) struct registry_reference repository = {0};
    CLEANUP(release_policy_release) struct release_policy policy = {0};
    CLEANUP(release_prune_plan_release) struct release_prune_plan plan = {0};
    struct registry_client *const client = cli_session_registry(session);
    enum cli_output_format format;

    if (cli_output_format_parse(o->format, &format, err) < 0 ||
        repository_read(arguments->items[0], &repository, err) < 0 ||
        policy_read(o->policy, &policy, err) < 0)
        return -1;
    if (release_prune_plan(client, &repository, &policy, time(NULL), &plan, err) < 0)
        return error_wrap(err, "%s", arguments->items[0]);
    if (o->yes && release_prune_run(client, &repository, &plan, err) < 0)
        return error_wrap(err, "%s", arguments->items[0]);
    print_result(&plan, format, o->yes);
    return 0;
}

const struct cli_command cli_command_prune_registry = {
    .name = "prune-registry",
    .usage = "[OPTIONS] --policy FILE REPOSITORY",
    .summary = "Delete from a registry what a policy does not keep",
    .details =
        "Prints what would go and why what stays does; --yes deletes it. Moving tags, "
        "what\n"
        "they and other kept tags lead to, and signatures of that stay in any case. The\n"
        "registry frees the space by its own garbage collection.",
    CLI_OPTIONS(options, struct prune_options),
    .argument_min = 1,
    .argument_max = 1,
    .is_interruptible = true,
    .run = prune_run,
};
