/*
 * A whole Dockerfile: directives, instructions, stages.
 * Spec: BuildKit parser.go Parse, instructions/parse.go Parse.
 */
#include "parser/dockerfile.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "parser/directive.h"
#include "parser/node.h"
#include "parser/unicode.h"

#include <stdlib.h>
#include <string.h>

/* Past this many, further errors of one file help nobody. */
#define ERROR_COUNT_MAX 100

struct parse {
    struct dockerfile *file;
    struct dockerfile_parser parser;
    struct dockerfile_reader reader;
    struct dockerfile_directives directives;
    struct dockerfile_word_list comments;
    struct dockerfile_instruction *instructions;
    size_t instruction_count;
    size_t instruction_capacity;
    bool stage_missed; /* an instruction before the first FROM was reported */
    const struct dockerfile_parse_options *options;
    size_t error_count;
    bool stop;
    struct error *err; /* gets the first error */
};

/* --- Errors -----------------------------------------------------------------------------
 */

static void report(struct parse *parse, struct error *error)
{
    const struct dockerfile_parse_options *options = parse->options;
    const bool listening = options && options->on_error;

    if (listening)
        options->on_error(options->context, error);
    if (parse->error_count++ == 0)
        error_move(parse->err, error);
    else
        error_clear(error);
    if (!listening || parse->error_count >= ERROR_COUNT_MAX)
        parse->stop = true;
}

/* --- Comments and directives ------------------------------------------------------------
 */

static struct source_pos line_pos(const struct parse *parse,
                                  struct view line,
                                  const char *at)
{
    if (parse->parser.fixed_pos)
        return *parse->parser.fixed_pos;
    return (struct source_pos){parse->parser.source_name, parse->reader.line,
                               (unsigned)(at - line.data) + 1, parse->reader.line};
}

/* An empty comment ends a block of them. */
static void read_comment(struct parse *parse, struct view line)
{
    const struct view text = dockerfile_trim(view_sub(line, 1, line.size));

    if (text.size == 0) {
        parse->comments.count = 0;
        return;
    }
    dockerfile_word_list_add(
        &parse->comments, (struct dockerfile_word){text, line_pos(parse, line, text.data)});
}

static void read_directive(struct parse *parse, struct view line, struct view text)
{
    struct error error = ERROR_INIT;
    const int result = dockerfile_directive_read(&parse->directives, text,
                                                 line_pos(parse, line, text.data), &error);

    if (result == 0)
        return;
    if (parse->comments.count > 0)
        parse->comments.count--;
    if (result < 0) {
        report(parse, &error);
        return;
    }
    const struct dockerfile_directive *last =
        &parse->directives.items[parse->directives.count - 1];
    if (last->kind == DOCKERFILE_DIRECTIVE_ESCAPE)
        parse->parser.escape = last->value.text.data[0];
}

/* --- Instructions -----------------------------------------------------------------------
 */

static bool has_stage(const struct parse *parse)
{
    return parse->file->stage_count > 0;
}

static int check_stage(struct parse *parse,
                       const struct dockerfile_instruction *instruction,
                       struct error *err)
{
    if (instruction->kind == DOCKERFILE_FROM) {
        parse->file->stage_count++;
        return 0;
    }
    if (has_stage(parse) || parse->parser.fixed_pos || parse->stage_missed)
        return 0;
    if (instruction->kind == DOCKERFILE_ARG) {
        parse->file->global_count++;
        return 0;
    }
    parse->stage_missed = true;
    return error_at(err, instruction->pos, ERROR_INVALID,
                    "no build stage in current context: %s comes before the first FROM",
                    dockerfile_kind_name(instruction->kind));
}

/* The bytes from `start` up to where the reader is, without the last line's end. */
static struct view source_since(const struct parse *parse, const char *start)
{
    const char *end = parse->reader.text.data + parse->reader.at;

    while (end > start && (end[-1] == '\n' || end[-1] == '\r'))
        end--;
    return (struct view){start, (size_t)(end - start)};
}

static int parse_node(struct parse *parse, struct dockerfile_node *node, struct error *err)
{
    struct dockerfile_instruction *out = node->out;
    const struct view text = node->line->text;

    dockerfile_node_split(node, text);
    out->original = dockerfile_trim(text);
    out->empty_continuation = node->line->empty_continuation;
    if (dockerfile_heredocs_read(node, &parse->reader) < 0) {
        parse->stop = true; /* the rest of the file was read as its content */
        return -1;
    }
    if (!parse->parser.fixed_pos)
        out->pos.line_end = parse->reader.line;
    out->comments = dockerfile_word_list_seal(&parse->comments, parse->parser.arena);
    if (dockerfile_instruction_parse(node) < 0)
        return -1;
    return check_stage(parse, out, err);
}

/* True, with an error reported, past the limit. */
static bool is_too_long(struct parse *parse, struct view line)
{
    struct error error = ERROR_INIT;

    if (parse->instruction_count < LIMIT_DOCKERFILE_INSTRUCTIONS)
        return false;
    error_at(&error, line_pos(parse, line, line.data), ERROR_LIMIT,
             "the file has more than %zu instructions", LIMIT_DOCKERFILE_INSTRUCTIONS);
    report(parse, &error);
    parse->stop = true;
    return true;
}

static void read_instruction(struct parse *parse, struct view first)
{
    struct error error = ERROR_INIT;
    struct dockerfile_instruction out = {.kind = DOCKERFILE_ADD};
    struct dockerfile_line line;
    struct dockerfile_node node = {
        .parser = &parse->parser, .line = &line, .out = &out, .err = &error};

    dockerfile_reader_join(&parse->reader, parse->parser.arena, first, parse->parser.escape,
                           &line);
    out.head = source_since(parse, dockerfile_trim_left(first).data);
    out.pos = dockerfile_node_pos(&node, line.text.data);
    if (!parse->parser.fixed_pos)
        out.pos.line_end = parse->reader.line;
    if (parse_node(parse, &node, &error) < 0)
        report(parse, &error);
    out.source = source_since(parse, dockerfile_trim_left(first).data);
    parse->comments.count = 0;
    parse->instructions =
        base_grow(parse->instructions, parse->instruction_count,
                  &parse->instruction_capacity, sizeof *parse->instructions);
    parse->instructions[parse->instruction_count++] = out;
}

static void read_line(struct parse *parse, struct view line)
{
    const struct view text = dockerfile_trim_left(line);
    const bool comment = text.size > 0 && text.data[0] == '#';

    if (comment)
        read_comment(parse, line);
    read_directive(parse, line, text);
    if (!comment && text.size > 0 && !is_too_long(parse, line))
        read_instruction(parse, line);
}

/* --- The tree ---------------------------------------------------------------------------
 */

static void make_stages(struct parse *parse)
{
    struct dockerfile *file = parse->file;
    struct dockerfile_stage *stages =
        dockerfile_arena_array(file->arena, file->stage_count, sizeof *stages);
    struct dockerfile_stage *stage = NULL;

    for (size_t i = 0; i < file->instruction_count; i++) {
        const struct dockerfile_instruction *instruction = &file->instructions[i];
        if (instruction->kind == DOCKERFILE_FROM) {
            stage = stage ? stage + 1 : stages;
            *stage = (struct dockerfile_stage){instruction, instruction + 1, 0};
        } else if (stage) {
            stage->count++;
        }
    }
    file->stages = stages;
}

static void seal(struct parse *parse)
{
    struct dockerfile *file = parse->file;

    file->escape = parse->parser.escape;
    file->directives =
        dockerfile_arena_copy(file->arena, parse->directives.items, parse->directives.count,
                              sizeof *parse->directives.items);
    file->directive_count = parse->directives.count;
    file->instructions =
        dockerfile_arena_copy(file->arena, parse->instructions, parse->instruction_count,
                              sizeof *parse->instructions);
    file->instruction_count = parse->instruction_count;
    if (!parse->parser.fixed_pos)
        make_stages(parse);
}

static void parse_release(struct parse *parse)
{
    dockerfile_freep(&parse->file);
    dockerfile_reader_release(&parse->reader);
    free(parse->parser.args.items);
    free(parse->parser.extra.items);
    free(parse->comments.items);
    free(parse->instructions);
}

/* Reads all lines. Returns -1 if any error was reported. */
static int parse_lines(struct parse *parse)
{
    struct view line;

    while (!parse->stop && dockerfile_reader_next(&parse->reader, &line))
        read_line(parse, line);
    if (parse->instruction_count == 0 && parse->error_count == 0) {
        struct error error = ERROR_INIT;
        const struct view nothing = VIEW_LIT("");
        error_at(&error, line_pos(parse, nothing, nothing.data), ERROR_INVALID,
                 "file with no instructions");
        report(parse, &error);
    }
    return parse->error_count > 0 ? -1 : 0;
}

static void parse_init(struct parse *parse,
                       struct view text,
                       const char *source_name,
                       struct error *err)
{
    struct dockerfile *file = base_alloc(sizeof *file);

    *parse = (struct parse){.file = file, .err = err};
    file->arena = dockerfile_arena_new();
    file->text = dockerfile_arena_text(file->arena, text);
    file->source_name = dockerfile_arena_text(file->arena, view_of(source_name)).data;
    parse->parser.arena = file->arena;
    parse->parser.source_name = file->source_name;
    parse->parser.escape = '\\';
    dockerfile_reader_init(&parse->reader, file->text);
}

static struct dockerfile *parse_finish(struct parse *parse)
{
    struct dockerfile *file = parse->file;

    seal(parse);
    parse->file = NULL;
    return file;
}

/* --- Which front end --------------------------------------------------------------------
 */

bool dockerfile_syntax_is_ours(struct view reference)
{
    static const char *const hosts[] = {"docker.io/", "index.docker.io/",
                                        "registry-1.docker.io/"};
    static const char *const names[] = {"docker/dockerfile", "docker/dockerfile-upstream"};

    for (size_t i = 0; i < ARRAY_COUNT(hosts); i++) {
        if (view_starts(reference, hosts[i])) {
            reference = view_sub(reference, strlen(hosts[i]), reference.size);
            break;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const size_t size = strlen(names[i]);
        if (view_starts(reference, names[i]) &&
            (reference.size == size || reference.data[size] == ':' ||
             reference.data[size] == '@'))
            return true;
    }
    return false;
}

static int check_syntax(struct parse *parse)
{
    struct dockerfile_word syntax = dockerfile_syntax_find(
        parse->file->arena, parse->file->text, parse->file->source_name);
    struct error error = ERROR_INIT;

    if (parse->options && parse->options->syntax.size > 0)
        syntax = (struct dockerfile_word){parse->options->syntax, {NULL, 0, 0, 0}};
    if (!dockerfile_word_given(syntax) || dockerfile_syntax_is_ours(syntax.text))
        return 0;
    error_at(
        &error, syntax.pos, ERROR_UNSUPPORTED,
        "syntax '%.*s' is another front end; only docker/dockerfile, of any version, is "
        "built in",
        VIEW_ARG(syntax.text));
    report(parse, &error);
    return -1;
}

/* The file's name is part of the tree, which goes away: errors get the caller's. */
static void restore_source(struct error *err,
                           const struct dockerfile *file,
                           const char *name)
{
    if (err->pos.source == file->source_name)
        err->pos.source = name;
}

/* --- Public -----------------------------------------------------------------------------
 */

struct dockerfile *dockerfile_parse(struct view text,
                                    const char *source_name,
                                    const struct dockerfile_parse_options *options,
                                    struct error *err)
{
    CLEANUP(parse_release) struct parse parse;

    if (text.size > LIMIT_DOCKERFILE_SIZE) {
        parse = (struct parse){.file = NULL};
        error_set(err, ERROR_LIMIT, "%s is longer than %zu bytes", source_name,
                  LIMIT_DOCKERFILE_SIZE);
        return NULL;
    }
    parse_init(&parse, text, source_name, err);
    parse.options = options;
    if (check_syntax(&parse) < 0 || parse_lines(&parse) < 0) {
        restore_source(err, parse.file, source_name);
        return NULL;
    }
    return parse_finish(&parse);
}

struct dockerfile *dockerfile_parse_trigger(struct view trigger,
                                            struct source_pos pos,
                                            struct error *err)
{
    CLEANUP(parse_release) struct parse parse;

    if (trigger.size > LIMIT_DOCKERFILE_SIZE) {
        parse = (struct parse){.file = NULL};
        error_at(err, pos, ERROR_LIMIT, "an ONBUILD trigger is longer than %zu bytes",
                 LIMIT_DOCKERFILE_SIZE);
        return NULL;
    }
    parse_init(&parse, trigger, pos.source ? pos.source : "", err);
    parse.parser.fixed_pos = &pos;
    if (parse_lines(&parse) < 0) {
        error_wrap(err, "ONBUILD trigger of the base image");
        return NULL;
    }
    if (parse.instruction_count != 1 || parse.instructions[0].kind == DOCKERFILE_FROM) {
        error_at(err, pos, ERROR_INVALID,
                 "onbuild trigger should be a single expression: %.*s",
                 VIEW_ARG(view_sub(trigger, 0, 200)));
        return NULL;
    }
    return parse_finish(&parse);
}

void dockerfile_free(struct dockerfile *file)
{
    if (!file)
        return;
    dockerfile_arena_free(file->arena);
    free(file);
}

void dockerfile_freep(struct dockerfile **file)
{
    dockerfile_free(*file);
    *file = NULL;
}

struct view dockerfile_line(const struct dockerfile *file, unsigned line)
{
    struct dockerfile_reader reader = {.text = file->text};
    struct view found = {"", 0};

    for (unsigned i = 0; i < line; i++)
        if (!dockerfile_reader_next(&reader, &found))
            return VIEW_LIT("");
    return found;
}
