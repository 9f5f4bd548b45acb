/*
 * RUN. Spec: BuildKit instructions/parse.go parseRun, commands_run*.go; how heredocs reach
 * the shell: dockerfile2llb/convert.go dispatchRun.
 */
#include "base/limits.h"
#include "parser/csv.h"
#include "parser/node.h"
#include "parser/number.h"
#include "parser/suggest.h"

#include <string.h>

enum {
    FLAG_MOUNT,
    FLAG_NETWORK,
    FLAG_SECURITY,
    FLAG_DEVICE,
    FLAG_COUNT,
};

static const struct dockerfile_flag_spec specs[FLAG_COUNT] = {
    [FLAG_MOUNT] = {"mount", DOCKERFILE_FLAG_TEXTS},
    [FLAG_NETWORK] = {"network", DOCKERFILE_FLAG_TEXT},
    [FLAG_SECURITY] = {"security", DOCKERFILE_FLAG_TEXT},
    [FLAG_DEVICE] = {"device", DOCKERFILE_FLAG_TEXTS},
};

/* --- Mounts -----------------------------------------------------------------------------
 */

/* What can be said of a mount before its values are expanded: that it can be split, and
 * which stage it is from. */
static int parse_mount(struct dockerfile_node *node,
                       struct dockerfile_word value,
                       struct dockerfile_mount_flag *mount)
{
    CLEANUP(buf_release) struct buf space = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    size_t at = 0, dollar;
    struct view field, key, text;

    *mount = (struct dockerfile_mount_flag){value, VIEW_LIT("")};
    for (bool more = true; more;) {
        if (dockerfile_csv_field(value.text, &at, &space, &field, &more, node->err) < 0) {
            error_wrap(node->err, "--mount=%.*s", VIEW_ARG(value.text));
            return error_locate(node->err, value.pos);
        }
        if (!view_cut(field, '=', &key, &text) || !view_eq_nocase(key, "from"))
            continue;
        if (view_find(text, '$', &dollar) && dollar != text.size - 1)
            return error_at(node->err, value.pos, ERROR_INVALID,
                            "'from' doesn't support variable expansion, define alias stage "
                            "instead");
        mount->from = dockerfile_arena_text(node->parser->arena, text);
    }
    return 0;
}

static int parse_mounts(struct dockerfile_node *node, struct dockerfile_run *run)
{
    const struct dockerfile_words values = dockerfile_flags_collect(node, "mount");
    struct dockerfile_mount_flag *mounts =
        dockerfile_arena_array(node->parser->arena, values.count, sizeof *mounts);

    for (size_t i = 0; i < values.count; i++) {
        if (values.items[i].text.size == 0)
            return error_at(node->err, values.items[i].pos, ERROR_INVALID,
                            "--mount has no value");
        if (parse_mount(node, values.items[i], &mounts[i]) < 0)
            return -1;
    }
    run->mounts = mounts;
    run->mount_count = values.count;
    return 0;
}

/* --- Devices ----------------------------------------------------------------------------
 */

static int device_field(struct dockerfile_node *node,
                        struct dockerfile_word flag,
                        struct view field,
                        struct dockerfile_device *device)
{
    struct view key, value;
    const bool has_value = view_cut(field, '=', &key, &value);
    const bool named = dockerfile_word_given(device->name);
    struct dockerfile_arena *arena = node->parser->arena;

    if (!has_value && view_eq_nocase(key, "required")) {
        device->required = true;
        return 0;
    }
    if (has_value && view_eq_nocase(key, "required")) {
        if (!dockerfile_bool_parse(value, &device->required))
            return error_at(node->err, flag.pos, ERROR_INVALID,
                            "invalid value for required: %.*s", VIEW_ARG(value));
        return 0;
    }
    if (has_value && view_eq_nocase(key, "name")) {
        if (named)
            return error_at(node->err, flag.pos, ERROR_INVALID,
                            "device name already set to %.*s", VIEW_ARG(device->name.text));
        device->name =
            (struct dockerfile_word){dockerfile_arena_text(arena, value), flag.pos};
        return 0;
    }
    if (!named) {
        device->name =
            (struct dockerfile_word){dockerfile_arena_text(arena, field), flag.pos};
        return 0;
    }
    if (!has_value)
        return error_at(node->err, flag.pos, ERROR_INVALID,
                        "invalid field '%.*s' must be a key=value pair", VIEW_ARG(field));
    return error_at(node->err, flag.pos, ERROR_INVALID, "unexpected key '%.*s' in '%.*s'",
                    VIEW_ARG(key), VIEW_ARG(field));
}

static int parse_devices(struct dockerfile_node *node, struct dockerfile_run *run)
{
    const struct dockerfile_words values = dockerfile_flags_collect(node, "device");
    struct dockerfile_device *devices =
        dockerfile_arena_array(node->parser->arena, values.count, sizeof *devices);

    for (size_t i = 0; i < values.count; i++) {
        CLEANUP(buf_release) struct buf space = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
        const struct dockerfile_word flag = values.items[i];
        struct view field;
        size_t at = 0;
        if (flag.text.size == 0)
            return error_at(node->err, flag.pos, ERROR_INVALID, "--device has no value");
        for (bool more = true; more;) {
            if (dockerfile_csv_field(flag.text, &at, &space, &field, &more, node->err) <
                0) {
                error_wrap(node->err, "--device=%.*s", VIEW_ARG(flag.text));
                return error_locate(node->err, flag.pos);
            }
            if (device_field(node, flag, field, &devices[i]) < 0)
                return -1;
        }
    }
    run->devices = devices;
    run->device_count = values.count;
    return 0;
}

/* --- Modes ------------------------------------------------------------------------------
 */

static int parse_network(struct dockerfile_node *node,
                         struct dockerfile_flag flag,
                         struct dockerfile_run *run)
{
    static const char *const names[] = {
        [DOCKERFILE_NETWORK_DEFAULT] = "default",
        [DOCKERFILE_NETWORK_NONE] = "none",
        [DOCKERFILE_NETWORK_HOST] = "host",
    };
    CLEANUP(buf_release) struct buf hint = BUF_INIT(LIMIT_NAME_SIZE);

    if (!flag.given)
        return 0;
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        if (view_eq_text(flag.value.text, names[i])) {
            run->network = (enum dockerfile_network)i;
            return 0;
        }
    }
    dockerfile_suggest_append(&hint, flag.value.text, names, ARRAY_COUNT(names), false);
    return error_at(node->err, flag.value.pos, ERROR_INVALID,
                    "invalid network mode \"%.*s\"%s", VIEW_ARG(flag.value.text),
                    buf_text(&hint));
}

static int parse_security(struct dockerfile_node *node,
                          struct dockerfile_flag flag,
                          struct dockerfile_run *run)
{
    if (!flag.given || view_eq_text(flag.value.text, "sandbox"))
        return 0;
    if (!view_eq_text(flag.value.text, "insecure"))
        return error_at(node->err, flag.value.pos, ERROR_INVALID,
                        "security \"%.*s\" is not valid (sandbox, insecure)",
                        VIEW_ARG(flag.value.text));
    run->insecure = true;
    return 0;
}

/* --- The command ------------------------------------------------------------------------
 */

/* The command with its heredocs put back in after it, for the shell to read. */
static struct view rebuild(struct dockerfile_node *node, struct view command)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(2 * LIMIT_DOCKERFILE_SIZE);

    buf_append_view(&text, command);
    for (size_t i = 0; i < node->heredocs.count; i++) {
        buf_append_char(&text, '\n');
        buf_append_view(&text, node->heredocs.items[i].content);
        buf_append_view(&text, node->heredocs.items[i].name.text);
    }
    return dockerfile_arena_text(node->parser->arena, buf_view(&text));
}

static void choose_form(struct dockerfile_node *node, struct dockerfile_run *run)
{
    struct dockerfile_heredoc_name name;

    run->script = VIEW_LIT("");
    if (run->command.exec) {
        run->form = DOCKERFILE_RUN_EXEC;
        return;
    }
    run->form = DOCKERFILE_RUN_SHELL;
    if (run->command.args.count == 0)
        return;
    run->script = run->command.args.items[0].text;
    if (node->heredocs.count == 0)
        return;
    if (!dockerfile_heredoc_word(node->parser->arena, run->script, &name)) {
        run->script = rebuild(node, run->script);
        return;
    }
    run->only_heredoc = true;
    run->script = node->heredocs.items[0].body;
    if (view_starts(run->script, "#!")) {
        run->form = DOCKERFILE_RUN_SCRIPT;
        run->script_name = node->heredocs.items[0].name.text;
    }
}

int dockerfile_parse_run(struct dockerfile_node *node)
{
    struct dockerfile_flag flags[FLAG_COUNT];
    struct dockerfile_run run = {.heredocs = node->heredocs, .script_name = VIEW_LIT("")};

    if (dockerfile_parse_command(node, node->args, &run.command) < 0 ||
        dockerfile_flags_parse(node, specs, FLAG_COUNT, flags) < 0 ||
        parse_mounts(node, &run) < 0 ||
        parse_network(node, flags[FLAG_NETWORK], &run) < 0 ||
        parse_security(node, flags[FLAG_SECURITY], &run) < 0 ||
        parse_devices(node, &run) < 0)
        return -1;
    choose_form(node, &run);
    node->out->run = dockerfile_arena_copy(node->parser->arena, &run, 1, sizeof run);
    return 0;
}
