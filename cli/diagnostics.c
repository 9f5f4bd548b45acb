#include "cli/diagnostics.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/version.h"
#include "parser/check/fix.h"
#include "registry/base64.h"

#include <stdlib.h>

/* --- The list ----------------------------------------------------------------------- */

void cli_diagnostics_clear(struct cli_diagnostics *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->items[i].text);
    d->count = 0;
}

void cli_diagnostics_release(struct cli_diagnostics *d)
{
    cli_diagnostics_clear(d);
    free(d->items);
    *d = (struct cli_diagnostics){0};
}

static void add(struct cli_diagnostics *d, struct cli_diagnostic item)
{
    d->items = base_grow(d->items, d->count, &d->capacity, sizeof *d->items);
    d->items[d->count++] = item;
}

void cli_diagnostics_error(void *context, const struct error *error)
{
    add(context,
        (struct cli_diagnostic){.text = base_strdup(error_text(error)), .pos = error->pos});
}

void cli_diagnostics_finding(void *context, const struct dockerfile_finding *finding)
{
    add(context,
        (struct cli_diagnostic){.rule = dockerfile_rule_info(finding->rule),
                                .fixable = dockerfile_rule_is_fixable(finding->rule),
                                .text = base_strdup(finding->message),
                                .pos = finding->pos});
}

static int compare(const void *a, const void *b)
{
    const struct cli_diagnostic *const left = a, *const right = b;

    if (left->pos.line != right->pos.line)
        return left->pos.line < right->pos.line ? -1 : 1;
    return (left->order > right->order) - (left->order < right->order);
}

void cli_diagnostics_sort(struct cli_diagnostics *d)
{
    for (size_t i = 0; i < d->count; i++)
        d->items[i].order = i;
    if (d->count > 0)
        qsort(d->items, d->count, sizeof *d->items, compare);
}

int cli_diagnostics_format_parse(const char *text,
                                 enum cli_diagnostics_format *out,
                                 struct error *err)
{
    static const char *const names[] = {"text", "json", "sarif", "github"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (text == NULL || strcmp(text, names[i]) == 0) {
            *out = (enum cli_diagnostics_format)i;
            return 0;
        }
    }
    return error_set(err, ERROR_USAGE, "--format is text, json, sarif or github, not '%s'",
                     text);
}

/* Past this many findings nobody reads on; the other forms have them all. */
#define TEXT_COUNT_MAX ((size_t)1000)

/* --- text --------------------------------------------------------------------------- */

void cli_diagnostic_print(const struct cli_diagnostic *item,
                          struct cli_diagnostics_source *source,
                          struct buf *out)
{
    if (item->rule == NULL) {
        buf_printf(out, "\nERROR: %s\n", item->text);
    } else {
        buf_printf(out, "\nWARNING: %s", item->rule->name);
        if (item->rule->url[0] != '\0')
            buf_printf(out, " - %s", item->rule->url);
        buf_printf(out, "\n%s\n", item->text);
    }
    cli_message_excerpt_at(&source->cursor, source->text, source->name, item->pos, out);
}

static void text_print(const struct cli_diagnostics *d,
                       struct cli_diagnostics_source *source,
                       struct buf *out)
{
    size_t errors = 0, fixable = 0;

    for (size_t i = 0; i < d->count; i++) {
        errors += d->items[i].rule == NULL;
        fixable += d->items[i].fixable;
    }
    const size_t warnings = d->count - errors;
    if (errors > 0)
        buf_printf(out, "Check failed, %zu error%s %s been found!\n", errors,
                   errors == 1 ? "" : "s", errors == 1 ? "has" : "have");
    else if (warnings == 0)
        buf_append_text(out, "Check complete, no warnings found.\n");
    else
        buf_printf(out, "Check complete, %zu warning%s %s been found!\n", warnings,
                   warnings == 1 ? "" : "s", warnings == 1 ? "has" : "have");
    for (size_t i = 0; i < d->count && i < TEXT_COUNT_MAX; i++)
        cli_diagnostic_print(&d->items[i], source, out);
    if (d->count > TEXT_COUNT_MAX)
        buf_printf(out, "\nand %zu more\n", d->count - TEXT_COUNT_MAX);
    if (fixable > 0)
        buf_printf(out, "\n%zu of them can be fixed: cooper check --fix\n", fixable);
}

/* --- json --------------------------------------------------------------------------- */

/* Positions as in BuildKit: lines from one, characters from zero. */
static struct doc *position_doc(unsigned line, unsigned column)
{
    struct doc *const position = doc_new_object();

    doc_set_int(position, "line", line);
    doc_set_int(position, "character", column > 0 ? column - 1 : 0);
    return position;
}

static struct doc *location_doc(struct source_pos pos)
{
    struct doc *const location = doc_new_object();
    struct doc *const ranges = doc_new_array();
    struct doc *const range = doc_new_object();

    doc_set(range, "start", position_doc(pos.line, pos.column));
    doc_set(range, "end",
            position_doc(pos.line_end > pos.line ? pos.line_end : pos.line, pos.column));
    doc_append(ranges, range);
    doc_set_int(location, "sourceIndex", 0);
    doc_set(location, "ranges", ranges);
    return location;
}

static struct doc *warning_doc(const struct cli_diagnostic *item)
{
    struct doc *const warning = doc_new_object();

    doc_set_text(warning, "ruleName", item->rule->name);
    doc_set_text(warning, "description", item->rule->description);
    if (item->rule->url[0] != '\0')
        doc_set_text(warning, "url", item->rule->url);
    doc_set_view(warning, "detail", view_of(item->text));
    doc_set(warning, "location", location_doc(item->pos));
    return warning;
}

static struct doc *error_doc(const struct cli_diagnostic *item)
{
    struct doc *const error = doc_new_object();

    doc_set_view(error, "message", view_of(item->text));
    doc_set(error, "location", location_doc(item->pos));
    return error;
}

static struct doc *sources_doc(struct cli_diagnostics_source *source)
{
    CLEANUP(base_freep) char *data = registry_base64_encode(source->text);
    struct doc *const list = doc_new_array();
    struct doc *const file = doc_new_object();

    doc_set_text(file, "filename", source->name);
    doc_set_text(file, "language", "Dockerfile");
    doc_set_text(file, "data", data);
    doc_append(list, file);
    return list;
}

static struct doc *json_doc(const struct cli_diagnostics *d,
                            struct cli_diagnostics_source *source)
{
    struct doc *const root = doc_new_object();
    struct doc *const warnings = doc_new_array();
    struct doc *errors = NULL;

    for (size_t i = 0; i < d->count; i++) {
        if (d->items[i].rule != NULL) {
            doc_append(warnings, warning_doc(&d->items[i]));
            continue;
        }
        if (errors == NULL) {
            errors = doc_new_array();
            doc_set(root, "buildError", error_doc(&d->items[i]));
        }
        doc_append(errors, error_doc(&d->items[i]));
    }
    doc_set(root, "warnings", warnings);
    if (errors != NULL)
        doc_set(root, "errors", errors);
    doc_set(root, "sources", sources_doc(source));
    return root;
}

/* --- sarif -------------------------------------------------------------------------- */

static struct doc *text_doc(const char *text)
{
    struct doc *const message = doc_new_object();

    doc_set_view(message, "text", view_of(text));
    return message;
}

static struct doc *sarif_location(struct source_pos pos, const char *path)
{
    struct doc *const location = doc_new_object();
    struct doc *const physical = doc_new_object();
    struct doc *const artifact = doc_new_object();
    struct doc *const region = doc_new_object();

    doc_set_text(artifact, "uri", path);
    doc_set_int(region, "startLine", pos.line > 0 ? pos.line : 1);
    if (pos.column > 0)
        doc_set_int(region, "startColumn", pos.column);
    if (pos.line_end > pos.line)
        doc_set_int(region, "endLine", pos.line_end);
    doc_set(physical, "artifactLocation", artifact);
    doc_set(physical, "region", region);
    doc_set(location, "physicalLocation", physical);
    return location;
}

static struct doc *sarif_result(const struct cli_diagnostic *item, const char *path)
{
    struct doc *const result = doc_new_object();
    struct doc *const locations = doc_new_array();

    doc_set_text(result, "ruleId", item->rule != NULL ? item->rule->name : "SyntaxError");
    doc_set_text(result, "level", item->rule != NULL ? "warning" : "error");
    doc_set(result, "message", text_doc(item->text));
    doc_append(locations, sarif_location(item->pos, path));
    doc_set(result, "locations", locations);
    return result;
}

static void sarif_rule(struct doc *rules,
                       const char *name,
                       const char *text,
                       const char *url)
{
    struct doc *const rule = doc_new_object();

    doc_set_text(rule, "id", name);
    doc_set(rule, "shortDescription", text_doc(text));
    if (url[0] != '\0')
        doc_set_text(rule, "helpUri", url);
    doc_append(rules, rule);
}

static struct doc *sarif_tool(void)
{
    struct doc *const tool = doc_new_object();
    struct doc *const driver = doc_new_object();
    struct doc *const rules = doc_new_array();

    sarif_rule(rules, "SyntaxError", "The Dockerfile cannot be read", "");
    for (unsigned i = 0; i < DOCKERFILE_RULE_COUNT; i++) {
        const struct dockerfile_rule_info *const rule =
            dockerfile_rule_info((enum dockerfile_rule)i);

        sarif_rule(rules, rule->name, rule->description, rule->url);
    }
    doc_set_text(driver, "name", "cooper");
    doc_set_text(driver, "version", COOPER_VERSION);
    doc_set(driver, "rules", rules);
    doc_set(tool, "driver", driver);
    return tool;
}

static struct doc *sarif_doc(const struct cli_diagnostics *d, const char *path)
{
    struct doc *const root = doc_new_object();
    struct doc *const runs = doc_new_array();
    struct doc *const run = doc_new_object();
    struct doc *const results = doc_new_array();

    doc_set_text(root, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
    doc_set_text(root, "version", "2.1.0");
    for (size_t i = 0; i < d->count; i++)
        doc_append(results, sarif_result(&d->items[i], path));
    doc_set(run, "tool", sarif_tool());
    doc_set(run, "results", results);
    doc_append(runs, run);
    doc_set(root, "runs", runs);
    return root;
}

/* --- github ------------------------------------------------------------------------- */

/* Spec: docs.github.com, "Workflow commands": % CR LF are encoded, in properties : , too.
 */
static void github_text(struct buf *out, const char *text, bool property)
{
    for (; *text != '\0'; text++) {
        const bool encode = *text == '%' || *text == '\r' || *text == '\n' ||
                            (property && (*text == ':' || *text == ','));
        if (encode)
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
        else
            buf_append_char(out, *text);
    }
}

static void github_print(const struct cli_diagnostics *d, const char *path, struct buf *out)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct cli_diagnostic *const item = &d->items[i];

        buf_printf(out, "::%s file=", item->rule != NULL ? "warning" : "error");
        github_text(out, path, true);
        if (item->pos.line > 0)
            buf_printf(out, ",line=%u", item->pos.line);
        if (item->pos.line_end > item->pos.line)
            buf_printf(out, ",endLine=%u", item->pos.line_end);
        else if (item->pos.column > 0)
            buf_printf(out, ",col=%u", item->pos.column);
        buf_printf(out,
                   ",title=%s::", item->rule != NULL ? item->rule->name : "SyntaxError");
        github_text(out, item->text, false);
        buf_append_char(out, '\n');
    }
}

/* ------------------------------------------------------------------------------------ */

static void doc_print(struct doc *doc, struct buf *out)
{
    doc_write(doc, DOC_WRITE_INDENT, out);
    buf_append_char(out, '\n');
    doc_unref(doc);
}

void cli_diagnostics_print(const struct cli_diagnostics *d,
                           enum cli_diagnostics_format format,
                           struct cli_diagnostics_source *source,
                           struct buf *out)
{
    switch (format) {
    case CLI_DIAGNOSTICS_TEXT:
        text_print(d, source, out);
        break;
    case CLI_DIAGNOSTICS_JSON:
        doc_print(json_doc(d, source), out);
        break;
    case CLI_DIAGNOSTICS_SARIF:
        doc_print(sarif_doc(d, source->path), out);
        break;
    case CLI_DIAGNOSTICS_GITHUB:
        github_print(d, source->path, out);
        break;
    }
}
