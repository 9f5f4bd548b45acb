/*
 * From a split node to a typed instruction: dispatch and the simple ones.
 * Spec: BuildKit instructions/parse.go; error texts are its own where it has any.
 */
#include "base/limits.h"
#include "parser/node.h"
#include "parser/suggest.h"
#include "parser/unicode.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[DOCKERFILE_KIND_COUNT] = {
    [DOCKERFILE_ADD] = "ADD",
    [DOCKERFILE_ARG] = "ARG",
    [DOCKERFILE_CMD] = "CMD",
    [DOCKERFILE_COPY] = "COPY",
    [DOCKERFILE_ENTRYPOINT] = "ENTRYPOINT",
    [DOCKERFILE_ENV] = "ENV",
    [DOCKERFILE_EXPOSE] = "EXPOSE",
    [DOCKERFILE_FROM] = "FROM",
    [DOCKERFILE_HEALTHCHECK] = "HEALTHCHECK",
    [DOCKERFILE_LABEL] = "LABEL",
    [DOCKERFILE_MAINTAINER] = "MAINTAINER",
    [DOCKERFILE_ONBUILD] = "ONBUILD",
    [DOCKERFILE_RUN] = "RUN",
    [DOCKERFILE_SHELL] = "SHELL",
    [DOCKERFILE_STOPSIGNAL] = "STOPSIGNAL",
    [DOCKERFILE_USER] = "USER",
    [DOCKERFILE_VOLUME] = "VOLUME",
    [DOCKERFILE_WORKDIR] = "WORKDIR",
};

const char *dockerfile_kind_name(enum dockerfile_kind kind)
{
    return kind_names[kind];
}

bool dockerfile_kind_find(struct view name, enum dockerfile_kind *kind)
{
    for (unsigned i = 0; i < DOCKERFILE_KIND_COUNT; i++) {
        if (view_eq_nocase(name, kind_names[i])) {
            *kind = (enum dockerfile_kind)i;
            return true;
        }
    }
    return false;
}

static const char *kind_name(const struct dockerfile_node *node)
{
    return kind_names[node->out->kind];
}

static int no_flags(struct dockerfile_node *node)
{
    return dockerfile_flags_parse(node, NULL, 0, NULL);
}

static int needs_one(struct dockerfile_node *node)
{
    return dockerfile_node_error(node, "%s requires exactly one argument", kind_name(node));
}

static int needs_some(struct dockerfile_node *node)
{
    return dockerfile_node_error(node, "%s requires at least one argument",
                                 kind_name(node));
}

static int unknown_instruction(struct dockerfile_node *node)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    const struct view name = node->out->name.text;

    buf_append_view(&text, view_sub(name, 0, 200));
    dockerfile_suggest_append(&text, name, kind_names, DOCKERFILE_KIND_COUNT, true);
    return dockerfile_node_error(node, "unknown instruction: %s", buf_text(&text));
}

/* MAINTAINER, STOPSIGNAL, USER, WORKDIR: all of the text is one word. */
static int parse_word(struct dockerfile_node *node)
{
    if (node->args.size == 0)
        return needs_one(node);
    /* BuildKit does not look at STOPSIGNAL's flags. */
    if (node->out->kind != DOCKERFILE_STOPSIGNAL && no_flags(node) < 0)
        return -1;
    const struct dockerfile_word word = dockerfile_node_word(node, node->args);
    node->out->word = dockerfile_arena_copy(node->parser->arena, &word, 1, sizeof word);
    return 0;
}

static int seal_words(struct dockerfile_node *node)
{
    const struct dockerfile_words words =
        dockerfile_word_list_seal(&node->parser->args, node->parser->arena);

    node->out->words = dockerfile_arena_copy(node->parser->arena, &words, 1, sizeof words);
    return 0;
}

static int compare_words(const void *a, const void *b)
{
    const struct dockerfile_word *left = a, *right = b;

    return view_compare(left->text, right->text);
}

static int parse_expose(struct dockerfile_node *node)
{
    struct dockerfile_word_list *args = &node->parser->args;

    args->count = 0;
    dockerfile_split_blanks(node, node->args, args);
    if (args->count == 0)
        return needs_some(node);
    if (no_flags(node) < 0)
        return -1;
    /* The order decides which of two ports comes first in the config's history. */
    qsort(args->items, args->count, sizeof *args->items, compare_words);
    return seal_words(node);
}

static int not_strings(struct dockerfile_node *node)
{
    return dockerfile_node_error(
        node, "when using JSON array syntax, arrays must be comprised of strings only");
}

static int parse_volume(struct dockerfile_node *node)
{
    struct dockerfile_word_list *args = &node->parser->args;

    args->count = 0;
    switch (dockerfile_json_read(node, node->args, args)) {
    case DOCKERFILE_JSON_OTHER:
        return not_strings(node);
    case DOCKERFILE_JSON_NONE:
        dockerfile_split_blanks(node, node->args, args);
        break;
    case DOCKERFILE_JSON_STRINGS:
        break;
    }
    if (args->count == 0)
        return needs_some(node);
    if (no_flags(node) < 0)
        return -1;
    for (size_t i = 0; i < args->count; i++) {
        args->items[i].text = dockerfile_trim(args->items[i].text);
        if (args->items[i].text.size == 0)
            return dockerfile_node_error(node,
                                         "VOLUME specified can not be an empty string");
    }
    return seal_words(node);
}

int dockerfile_parse_command(struct dockerfile_node *node,
                             struct view text,
                             struct dockerfile_command *out)
{
    struct dockerfile_word_list *args = &node->parser->args;

    args->count = 0;
    out->exec = false;
    switch (dockerfile_json_read(node, text, args)) {
    case DOCKERFILE_JSON_OTHER:
        return not_strings(node);
    case DOCKERFILE_JSON_STRINGS:
        out->exec = true;
        break;
    case DOCKERFILE_JSON_NONE:
        args->count = 0;
        if (text.size > 0)
            dockerfile_word_list_add(args, dockerfile_node_word(node, text));
        break;
    }
    out->args = dockerfile_word_list_seal(args, node->parser->arena);
    return 0;
}

/* CMD, ENTRYPOINT, SHELL. */
static int parse_command(struct dockerfile_node *node)
{
    struct dockerfile_command command = {.exec = false};

    if (dockerfile_parse_command(node, node->args, &command) < 0 || no_flags(node) < 0)
        return -1;
    if (node->out->kind == DOCKERFILE_SHELL) {
        if (command.args.count == 0)
            return needs_some(node);
        if (!command.exec)
            return dockerfile_node_error(node,
                                         "SHELL requires the arguments to be in JSON form");
    }
    node->out->command =
        dockerfile_arena_copy(node->parser->arena, &command, 1, sizeof command);
    return 0;
}

static bool is_stage_name(struct view name)
{
    if (name.size == 0 || name.data[0] < 'a' || name.data[0] > 'z')
        return false;
    for (size_t i = 1; i < name.size; i++) {
        const char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              c == '.'))
            return false;
    }
    return true;
}

static struct view to_lower(struct dockerfile_arena *arena, struct view text)
{
    char *copy = dockerfile_arena_array(arena, text.size + 1, 1);

    for (size_t i = 0; i < text.size; i++)
        copy[i] = (char)tolower((unsigned char)text.data[i]);
    return (struct view){copy, text.size};
}

static int parse_from(struct dockerfile_node *node)
{
    static const struct dockerfile_flag_spec specs[] = {{"platform", DOCKERFILE_FLAG_TEXT}};
    struct dockerfile_word_list *args = &node->parser->args;
    struct dockerfile_flag platform;
    struct dockerfile_from from = {.stage_name = VIEW_LIT("")};

    args->count = 0;
    dockerfile_split_blanks(node, node->args, args);
    if (args->count == 3 && view_eq_nocase(args->items[1].text, "as")) {
        from.as = args->items[1];
        from.name = args->items[2];
        from.stage_name = to_lower(node->parser->arena, from.name.text);
        if (!is_stage_name(from.stage_name))
            return dockerfile_node_error(
                node,
                "invalid name for build stage: \"%.*s\", name can't "
                "start with a number or contain symbols",
                VIEW_ARG(from.name.text));
    } else if (args->count != 1) {
        return dockerfile_node_error(node, "FROM requires either one or three arguments");
    }
    if (dockerfile_flags_parse(node, specs, 1, &platform) < 0)
        return -1;
    from.image = args->items[0];
    from.platform = platform.value;
    node->out->from = dockerfile_arena_copy(node->parser->arena, &from, 1, sizeof from);
    return 0;
}

int dockerfile_instruction_precheck(struct dockerfile_node *node)
{
    struct dockerfile_word_list *args = &node->parser->args;
    struct view text = node->args, type;

    if (!dockerfile_kind_find(node->out->name.text, &node->out->kind))
        return 0;
    switch (node->out->kind) {
    case DOCKERFILE_ENV:
    case DOCKERFILE_LABEL:
        /* A missing name is found later; here only the form counts. */
        args->count = 0;
        dockerfile_split_quoted(node, text, args);
        return args->count == 0 ? 0 : dockerfile_parse_pairs(node);
    case DOCKERFILE_HEALTHCHECK:
        dockerfile_split_first(text, &type, &text);
        break;
    case DOCKERFILE_ONBUILD:
    case DOCKERFILE_ARG:
    case DOCKERFILE_EXPOSE:
    case DOCKERFILE_FROM:
    case DOCKERFILE_MAINTAINER:
    case DOCKERFILE_STOPSIGNAL:
    case DOCKERFILE_USER:
    case DOCKERFILE_WORKDIR:
        return 0;
    case DOCKERFILE_ADD:
    case DOCKERFILE_CMD:
    case DOCKERFILE_COPY:
    case DOCKERFILE_ENTRYPOINT:
    case DOCKERFILE_RUN:
    case DOCKERFILE_SHELL:
    case DOCKERFILE_VOLUME:
        break;
    }
    args->count = 0;
    if (dockerfile_json_read(node, text, args) == DOCKERFILE_JSON_OTHER)
        return not_strings(node);
    return 0;
}

int dockerfile_instruction_parse(struct dockerfile_node *node)
{
    if (!dockerfile_kind_find(node->out->name.text, &node->out->kind))
        return unknown_instruction(node);
    switch (node->out->kind) {
    case DOCKERFILE_ADD:
    case DOCKERFILE_COPY:
        return dockerfile_parse_copy(node);
    case DOCKERFILE_ARG:
        return dockerfile_parse_arg(node);
    case DOCKERFILE_CMD:
    case DOCKERFILE_ENTRYPOINT:
    case DOCKERFILE_SHELL:
        return parse_command(node);
    case DOCKERFILE_ENV:
    case DOCKERFILE_LABEL:
        return no_flags(node) < 0 ? -1 : dockerfile_parse_pairs(node);
    case DOCKERFILE_EXPOSE:
        return parse_expose(node);
    case DOCKERFILE_FROM:
        return parse_from(node);
    case DOCKERFILE_HEALTHCHECK:
        return dockerfile_parse_healthcheck(node);
    case DOCKERFILE_MAINTAINER:
    case DOCKERFILE_STOPSIGNAL:
    case DOCKERFILE_USER:
    case DOCKERFILE_WORKDIR:
        return parse_word(node);
    case DOCKERFILE_ONBUILD:
        return dockerfile_parse_onbuild(node);
    case DOCKERFILE_RUN:
        return dockerfile_parse_run(node);
    case DOCKERFILE_VOLUME:
        return parse_volume(node);
    }
    return unknown_instruction(node);
}
