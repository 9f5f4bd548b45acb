/*
 * ADD and COPY. Spec: BuildKit instructions/parse.go parseAdd, parseCopy,
 * parseSourcesAndDest.
 */
#include "parser/node.h"

enum {
    FLAG_CHOWN,
    FLAG_CHMOD,
    FLAG_LINK,
    FLAG_EXCLUDE,
    FLAG_FROM, /* COPY from here on */
    FLAG_PARENTS,
    COPY_FLAG_COUNT,
    FLAG_KEEP_GIT_DIR = FLAG_FROM, /* ADD from here on */
    FLAG_CHECKSUM,
    FLAG_UNPACK,
    ADD_FLAG_COUNT,
};

static const struct dockerfile_flag_spec copy_specs[COPY_FLAG_COUNT] = {
    [FLAG_CHOWN] = {"chown", DOCKERFILE_FLAG_TEXT},
    [FLAG_CHMOD] = {"chmod", DOCKERFILE_FLAG_TEXT},
    [FLAG_LINK] = {"link", DOCKERFILE_FLAG_BOOL},
    [FLAG_EXCLUDE] = {"exclude", DOCKERFILE_FLAG_TEXTS},
    [FLAG_FROM] = {"from", DOCKERFILE_FLAG_TEXT},
    [FLAG_PARENTS] = {"parents", DOCKERFILE_FLAG_BOOL},
};

static const struct dockerfile_flag_spec add_specs[ADD_FLAG_COUNT] = {
    [FLAG_CHOWN] = {"chown", DOCKERFILE_FLAG_TEXT},
    [FLAG_CHMOD] = {"chmod", DOCKERFILE_FLAG_TEXT},
    [FLAG_LINK] = {"link", DOCKERFILE_FLAG_BOOL},
    [FLAG_EXCLUDE] = {"exclude", DOCKERFILE_FLAG_TEXTS},
    [FLAG_KEEP_GIT_DIR] = {"keep-git-dir", DOCKERFILE_FLAG_BOOL},
    [FLAG_CHECKSUM] = {"checksum", DOCKERFILE_FLAG_TEXT},
    [FLAG_UNPACK] = {"unpack", DOCKERFILE_FLAG_BOOL},
};

static enum dockerfile_switch to_switch(struct dockerfile_flag flag)
{
    if (!flag.given)
        return DOCKERFILE_SWITCH_UNSET;
    return flag.on ? DOCKERFILE_SWITCH_ON : DOCKERFILE_SWITCH_OFF;
}

static int parse_flags(struct dockerfile_node *node, struct dockerfile_copy *copy)
{
    struct dockerfile_flag flags[ADD_FLAG_COUNT];
    const bool add = node->out->kind == DOCKERFILE_ADD;

    if (dockerfile_flags_parse(node, add ? add_specs : copy_specs,
                               add ? ADD_FLAG_COUNT : COPY_FLAG_COUNT, flags) < 0)
        return -1;
    copy->chown = flags[FLAG_CHOWN].value;
    copy->chmod = flags[FLAG_CHMOD].value;
    copy->link = flags[FLAG_LINK].on;
    copy->excludes = dockerfile_flags_collect(node, "exclude");
    if (add) {
        copy->keep_git_dir = to_switch(flags[FLAG_KEEP_GIT_DIR]);
        copy->checksum = flags[FLAG_CHECKSUM].value;
        copy->unpack = to_switch(flags[FLAG_UNPACK]);
    } else {
        copy->from = flags[FLAG_FROM].value;
        copy->parents = flags[FLAG_PARENTS].on;
    }
    return 0;
}

/* The heredoc that a source names: the last of that name, as in BuildKit. */
static struct dockerfile_heredoc find_heredoc(const struct dockerfile_node *node,
                                              const struct dockerfile_heredoc_name *name,
                                              struct source_pos pos)
{
    struct dockerfile_heredoc found = {
        .content = VIEW_LIT(""),
        .body = VIEW_LIT(""),
    };

    for (size_t i = node->heredocs.count; i-- > 0;) {
        if (view_eq(node->heredocs.items[i].name.text, name->name)) {
            found = node->heredocs.items[i];
            break;
        }
    }
    found.name = (struct dockerfile_word){name->name, pos};
    found.expand = name->expand;
    return found;
}

static void sort_sources(struct dockerfile_node *node,
                         const struct dockerfile_word_list *args,
                         struct dockerfile_copy *copy)
{
    struct dockerfile_arena *arena = node->parser->arena;
    struct dockerfile_word_list *paths = &node->parser->extra;
    struct dockerfile_heredoc *inlines = NULL;
    struct dockerfile_heredoc_name name;

    paths->count = 0;
    for (size_t i = 0; i + 1 < args->count; i++) {
        const struct dockerfile_word word = args->items[i];
        if (!dockerfile_heredoc_word(arena, word.text, &name)) {
            dockerfile_word_list_add(paths, word);
            continue;
        }
        if (!inlines)
            inlines = dockerfile_arena_array(arena, args->count, sizeof *inlines);
        inlines[copy->inlines.count++] = find_heredoc(node, &name, word.pos);
    }
    copy->inlines.items = inlines;
    copy->sources = dockerfile_word_list_seal(paths, arena);
}

int dockerfile_parse_copy(struct dockerfile_node *node)
{
    struct dockerfile_word_list *args = &node->parser->args;
    struct dockerfile_copy copy = {.link = false};
    struct dockerfile_heredoc_name name;
    const char *what = dockerfile_kind_name(node->out->kind);

    args->count = 0;
    switch (dockerfile_json_read(node, node->args, args)) {
    case DOCKERFILE_JSON_OTHER:
        return dockerfile_node_error(
            node, "when using JSON array syntax, arrays must be comprised of strings only");
    case DOCKERFILE_JSON_NONE:
        dockerfile_split_blanks(node, node->args, args);
        break;
    case DOCKERFILE_JSON_STRINGS:
        break;
    }
    if (args->count < 2)
        return dockerfile_node_error(node,
                                     "%s requires at least two arguments, but %s provided. "
                                     "Destination could not be determined",
                                     what, args->count ? "only one was" : "none was");
    if (parse_flags(node, &copy) < 0)
        return -1;
    copy.dest = args->items[args->count - 1];
    if (dockerfile_heredoc_word(node->parser->arena, copy.dest.text, &name))
        return dockerfile_node_error(node, "%s cannot accept a heredoc as a destination",
                                     what);
    sort_sources(node, args, &copy);
    node->out->copy = dockerfile_arena_copy(node->parser->arena, &copy, 1, sizeof copy);
    return 0;
}
