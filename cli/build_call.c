#include "cli/build_call.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "cli/dockerfile_check.h"
#include "cli/dockerfile_text.h"
#include "cli/format.h"
#include "cli/output.h"
#include "parser/dockerfile.h"
#include "parser/outline.h"
#include "registry/base64.h"

int cli_build_call_parse(const char *text, struct cli_build_call *out, struct error *err)
{
    static const char *const names[] = {"build", "check", "outline", "targets"};
    struct view method, rest;

    *out = (struct cli_build_call){CLI_BUILD_METHOD_BUILD, false};
    if (text == NULL)
        return 0;
    view_cut(view_of(text), ',', &method, &rest);
    if (rest.size > 0) {
        out->json = view_eq_text(rest, "format=json");
        if (!out->json && !view_eq_text(rest, "format=text"))
            return error_set(err, ERROR_USAGE,
                             "--call %s: after the method comes ,format=text or "
                             ",format=json",
                             text);
    }
    /* BuildKit's name of the same thing. */
    if (view_eq_text(method, "lint"))
        method = VIEW_LIT("check");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (view_eq_text(method, names[i])) {
            out->method = (enum cli_build_method)i;
            return 0;
        }
    }
    return error_set(err, ERROR_USAGE,
                     "--call is build, check, outline or targets, not '%s'", text);
}

/* --- JSON --------------------------------------------------------------------------- */

static struct doc *location_doc(struct source_pos pos)
{
    struct doc *const location = doc_new_object();
    struct doc *const ranges = doc_new_array();
    struct doc *const range = doc_new_object();
    struct doc *const start = doc_new_object();
    struct doc *const end = doc_new_object();

    doc_set_int(start, "line", pos.line);
    doc_set_int(end, "line", pos.line_end > pos.line ? pos.line_end : pos.line);
    doc_set(range, "start", start);
    doc_set(range, "end", end);
    doc_append(ranges, range);
    doc_set(location, "ranges", ranges);
    return location;
}

static void set_given(struct doc *object, const char *key, struct view text)
{
    if (text.size > 0)
        doc_set_view(object, key, text);
}

static void set_sources(struct doc *root, struct view text)
{
    CLEANUP(base_freep) char *data = registry_base64_encode(text);
    struct doc *const sources = doc_new_array();

    doc_append_text(sources, data);
    doc_set(root, "sources", sources);
}

static void set_list(struct doc *root,
                     const char *key,
                     const struct dockerfile_outline_list *list)
{
    struct doc *const items = doc_new_array();

    for (size_t i = 0; i < list->count; i++) {
        const struct dockerfile_outline_item *const from = &list->items[i];
        struct doc *const item = doc_new_object();

        doc_set_view(item, "name", from->name);
        set_given(item, "description", from->description);
        set_given(item, "value", from->value);
        if (from->required)
            doc_set_bool(item, "required", true);
        doc_set(item, "location", location_doc(from->pos));
        doc_append(items, item);
    }
    if (list->count > 0)
        doc_set(root, key, items);
    else
        doc_unref(items);
}

static void doc_print(const struct doc *doc)
{
    cli_output_doc(doc, DOC_WRITE_INDENT);
}

/* --- Outline ------------------------------------------------------------------------ */

static struct view stage_description(const struct dockerfile_stage *stage)
{
    return dockerfile_description(stage->from, stage->from->from->stage_name);
}

static void outline_json(const struct dockerfile *file,
                         const struct dockerfile_stage *stage,
                         const struct dockerfile_outline *outline)
{
    CLEANUP(doc_unrefp) struct doc *root = doc_new_object();

    set_given(root, "name", stage->from->from->stage_name);
    set_given(root, "description", stage_description(stage));
    set_list(root, "args", &outline->args);
    set_list(root, "secrets", &outline->secrets);
    set_list(root, "ssh", &outline->ssh);
    set_sources(root, file->text);
    doc_print(root);
}

static int longest(int width, struct view text)
{
    return text.size > (size_t)width && text.size < 1000 ? (int)text.size : width;
}

static void args_print(const struct dockerfile_outline_list *args, struct buf *out)
{
    int name = 9, value = 5; /* BUILD ARG, VALUE */

    for (size_t i = 0; i < args->count; i++) {
        name = longest(name, args->items[i].name);
        value = longest(value, args->items[i].value);
    }
    if (args->count > 0)
        buf_printf(out, "%-*s   %-*s   DESCRIPTION\n", name, "BUILD ARG", value, "VALUE");
    for (size_t i = 0; i < args->count; i++) {
        const struct dockerfile_outline_item *const arg = &args->items[i];
        const struct view text = arg->value.data != NULL ? arg->value : VIEW_LIT("");

        buf_printf(out, "%-*.*s   %-*.*s   %.*s\n", name, VIEW_ARG(arg->name), value,
                   VIEW_ARG(text), VIEW_ARG(arg->description));
    }
    if (args->count > 0)
        buf_append_char(out, '\n');
}

static void keys_print(const struct dockerfile_outline_list *keys,
                       const char *title,
                       struct buf *out)
{
    int width = (int)strlen(title);

    for (size_t i = 0; i < keys->count; i++)
        width = longest(width, keys->items[i].name);
    if (keys->count > 0)
        buf_printf(out, "%-*s   REQUIRED\n", width, title);
    for (size_t i = 0; i < keys->count; i++)
        buf_printf(out, "%-*.*s   %s\n", width, VIEW_ARG(keys->items[i].name),
                   keys->items[i].required ? "true" : "");
    if (keys->count > 0)
        buf_append_char(out, '\n');
}

static void outline_text(const struct dockerfile_stage *stage,
                         const struct dockerfile_outline *outline,
                         struct buf *out)
{
    const struct view name = stage->from->from->stage_name;
    const struct view description = stage_description(stage);

    if (name.size > 0 || description.size > 0)
        buf_printf(out, "%-*s %.*s\n", description.size > 0 ? 12 : 7,
                   "TARGET:", VIEW_ARG(name.size > 0 ? name : VIEW_LIT("(default)")));
    if (description.size > 0)
        buf_printf(out, "%-12s %.*s\n", "DESCRIPTION:", VIEW_ARG(description));
    if (name.size > 0 || description.size > 0)
        buf_append_char(out, '\n');
    args_print(&outline->args, out);
    keys_print(&outline->secrets, "SECRET", out);
    keys_print(&outline->ssh, "SSH", out);
}

static void outline_release(struct dockerfile_outline *outline)
{
    dockerfile_outline_release(outline);
}

static int outline_run(const struct dockerfile *file,
                       const char *target,
                       bool json,
                       struct error *err)
{
    CLEANUP(outline_release) struct dockerfile_outline outline = {.text_count = 0};
    CLEANUP(buf_release) struct buf out = BUF_INIT(4 * LIMIT_DOCKERFILE_SIZE);
    size_t stage = file->stage_count - 1;

    if (target != NULL && target[0] != '\0')
        stage = dockerfile_stage_find(file, view_of(target));
    if (stage >= file->stage_count)
        return error_set(err, ERROR_INVALID, "target stage \"%s\" could not be found",
                         target);
    dockerfile_outline_make(file, stage, &outline);
    if (json) {
        outline_json(file, &file->stages[stage], &outline);
        return 0;
    }
    outline_text(&file->stages[stage], &outline, &out);
    cli_output_buf(&out);
    return 0;
}

/* --- Targets ------------------------------------------------------------------------ */

static void targets_json(const struct dockerfile *file)
{
    CLEANUP(doc_unrefp) struct doc *root = doc_new_object();
    struct doc *const targets = doc_new_array();

    for (size_t i = 0; i < file->stage_count; i++) {
        const struct dockerfile_stage *const stage = &file->stages[i];
        const struct dockerfile_from *const from = stage->from->from;
        struct doc *const target = doc_new_object();

        set_given(target, "name", from->stage_name);
        if (i + 1 == file->stage_count)
            doc_set_bool(target, "default", true);
        set_given(target, "description", stage_description(stage));
        set_given(target, "base", from->image.text);
        set_given(target, "platform", from->platform.text);
        doc_set(target, "location", location_doc(stage->from->pos));
        doc_append(targets, target);
    }
    doc_set(root, "targets", targets);
    set_sources(root, file->text);
    doc_print(root);
}

static char *target_title(const struct dockerfile *file, size_t index)
{
    const struct view name = file->stages[index].from->from->stage_name;
    const bool is_default = index + 1 == file->stage_count;

    return base_format("%.*s%s%s", VIEW_ARG(name), name.size > 0 && is_default ? " " : "",
                       is_default ? "(default)" : "");
}

static void targets_text(const struct dockerfile *file)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(4 * LIMIT_DOCKERFILE_SIZE);
    int width = 6; /* TARGET */

    for (size_t i = 0; i < file->stage_count; i++) {
        CLEANUP(base_freep) char *title = target_title(file, i);
        width = longest(width, view_of(title));
    }
    buf_printf(&out, "%-*s DESCRIPTION\n", width, "TARGET");
    for (size_t i = 0; i < file->stage_count; i++) {
        CLEANUP(base_freep) char *title = target_title(file, i);
        const struct view description = stage_description(&file->stages[i]);

        buf_printf(&out, "%-*s %.*s\n", width, title, VIEW_ARG(description));
    }
    cli_output_buf(&out);
}

/* ------------------------------------------------------------------------------------ */

static int check_run(const struct cli_build_call *call,
                     struct cli_session *session,
                     const struct build_request *request,
                     const struct cli_build_source *source,
                     struct error *err)
{
    const struct cli_dockerfile_check check = {
        .session = session,
        .request = request,
        .source = source,
        .format = call->json ? CLI_DIAGNOSTICS_JSON : CLI_DIAGNOSTICS_TEXT,
    };
    size_t findings = 0;

    if (cli_dockerfile_check(&check, &findings, err) < 0)
        return -1;
    session->exit_code = findings > 0 ? 1 : 0;
    return 0;
}

int cli_build_call_run(const struct cli_build_call *call,
                       struct cli_session *session,
                       const struct build_request *request,
                       const struct cli_build_source *source,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    CLEANUP(base_freep) char *path = NULL;

    if (call->method == CLI_BUILD_METHOD_CHECK)
        return check_run(call, session, request, source, err);
    const bool is_stdin =
        source->dockerfile != NULL && strcmp(source->dockerfile, "-") == 0;
    CLEANUP(dockerfile_freep)
    struct dockerfile *file =
        source->path != NULL || is_stdin
            ? cli_dockerfile_read(is_stdin ? "-" : source->path, &text, &path, err)
            : cli_dockerfile_of_context(session, request, &text, err);
    if (file == NULL)
        return -1;
    if (file->stage_count == 0)
        return error_set(err, ERROR_INVALID, "dockerfile contains no stages to build");
    if (call->method == CLI_BUILD_METHOD_OUTLINE)
        return outline_run(file, request->target, call->json, err);
    if (call->json)
        targets_json(file);
    else
        targets_text(file);
    return 0;
}
