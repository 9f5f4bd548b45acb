#include "parser/check/fix.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "parser/dockerfile.h"
#include "parser/line.h"
#include "parser/unicode.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A change of one name's case may make another finding appear (AS after FROM); what is
 * needed settles in two rounds. */
#define ROUNDS_MAX 8

/* Replaces [offset, offset + size) of the text. */
struct edit {
    size_t offset;
    size_t size;
    char *text;
};

struct fixer {
    const struct dockerfile *file;
    size_t *lines; /* where each line begins, from line 1 on */
    size_t line_count;
    struct edit *edits;
    size_t edit_count;
    size_t edit_capacity;
    size_t fixed; /* findings */
};

static void fixer_release(struct fixer *fixer)
{
    for (size_t i = 0; i < fixer->edit_count; i++)
        free(fixer->edits[i].text);
    free(fixer->edits);
    free(fixer->lines);
}

static void find_lines(struct fixer *fixer)
{
    const struct view text = fixer->file->text;
    size_t capacity = 0;

    for (size_t at = 0; at <= text.size; at++) {
        if (at > 0 && text.data[at - 1] != '\n')
            continue;
        fixer->lines =
            base_grow(fixer->lines, fixer->line_count, &capacity, sizeof(size_t));
        fixer->lines[fixer->line_count++] = at;
    }
}

/* --- Edits ------------------------------------------------------------------------------
 */

/* Consumes `text`. */
static void add_edit(struct fixer *fixer, size_t offset, size_t size, char *text)
{
    fixer->edits = base_grow(fixer->edits, fixer->edit_count, &fixer->edit_capacity,
                             sizeof *fixer->edits);
    fixer->edits[fixer->edit_count++] = (struct edit){offset, size, text};
}

/* Where a word stands in the file; false if it stands there otherwise than its text says:
 * broken by a continuation, quoted, escaped. */
static bool find_word(const struct fixer *fixer,
                      struct dockerfile_word word,
                      size_t *offset)
{
    const struct view text = fixer->file->text;

    if (word.pos.line == 0 || word.pos.line > fixer->line_count || word.pos.column == 0)
        return false;
    *offset = fixer->lines[word.pos.line - 1] + word.pos.column - 1;
    /* A byte order mark is no part of the first line's columns. */
    if (word.pos.line == 1 && view_starts(text, "\xef\xbb\xbf"))
        *offset += 3;
    if (view_eq(view_sub(text, *offset, word.text.size), word.text))
        return true;
    if (word.pos.line == 1 && *offset >= 3 &&
        view_eq(view_sub(text, *offset - 3, word.text.size), word.text)) {
        *offset -= 3;
        return true;
    }
    return false;
}

static bool put_case(struct fixer *fixer, struct dockerfile_word word, bool upper)
{
    size_t offset, nul;

    if (word.text.size == 0 || view_find(word.text, '\0', &nul) ||
        !find_word(fixer, word, &offset))
        return false;
    char *text = view_dup(word.text);
    for (size_t i = 0; i < word.text.size; i++) {
        const unsigned char c = (unsigned char)text[i];
        text[i] = (char)(upper ? toupper(c) : tolower(c));
    }
    add_edit(fixer, offset, word.text.size, text);
    return true;
}

/* --- Fixes ------------------------------------------------------------------------------
 */

static bool has_lower(struct view text)
{
    for (size_t i = 0; i < text.size; i++)
        if (islower((unsigned char)text.data[i]))
            return true;
    return false;
}

/* The message names the case of the majority. */
static bool fix_casing(struct fixer *fixer,
                       const struct dockerfile_instruction *instruction,
                       const struct dockerfile_finding *finding)
{
    return put_case(fixer, instruction->name,
                    strstr(finding->message, "(uppercase)") != NULL);
}

static bool fix_empty_lines(struct fixer *fixer,
                            const struct dockerfile_instruction *instruction)
{
    const size_t start = (size_t)(instruction->head.data - fixer->file->text.data);
    struct dockerfile_reader reader = {.text = instruction->head};
    struct view line;
    size_t fixed = 0;

    for (size_t at = 0; dockerfile_reader_next(&reader, &line); at = reader.at) {
        if (at == 0 || dockerfile_space_size(line) < line.size)
            continue;
        add_edit(fixer, start + at, reader.at - at, base_strdup(""));
        fixed++;
    }
    return fixed > 0;
}

static bool is_plain_name(struct view name)
{
    for (size_t i = 0; i < name.size; i++)
        if (!isalnum((unsigned char)name.data[i]) &&
            (name.data[i] == '\0' || !strchr("_.-/", name.data[i])))
            return false;
    return name.size > 0;
}

/* What means the same in double quotes: one line, nothing that quotes or escapes. */
static bool is_plain_value(struct view value)
{
    for (size_t i = 0; i < value.size; i++) {
        const unsigned char c = (unsigned char)value.data[i];
        if (strchr("\"'\\`{}", c) || (c < ' ' && c != '\t') || c >= 0x7f)
            return false;
    }
    return value.size > 0;
}

static bool has_blank(struct view value)
{
    size_t at;

    return view_find(value, ' ', &at) || view_find(value, '\t', &at);
}

static bool fix_legacy(struct fixer *fixer,
                       const struct dockerfile_instruction *instruction)
{
    const struct dockerfile_pair *pair = &instruction->env->pairs[0];
    const struct view name = pair->name.text, value = pair->value.text;
    size_t first, last;

    if (!is_plain_name(name) || !is_plain_value(value) ||
        !find_word(fixer, pair->name, &first) || !find_word(fixer, pair->value, &last) ||
        last < first || pair->name.pos.line != pair->value.pos.line)
        return false;
    const char *quote = has_blank(value) ? "\"" : "";
    add_edit(fixer, first, last + value.size - first,
             base_format("%.*s=%s%.*s%s", VIEW_ARG(name), quote, VIEW_ARG(value), quote));
    return true;
}

static bool fix_protocols(struct fixer *fixer,
                          const struct dockerfile_instruction *instruction,
                          unsigned column,
                          unsigned line)
{
    for (size_t i = 0; i < instruction->words->count; i++) {
        const struct dockerfile_word word = instruction->words->items[i];
        size_t at;
        if (word.pos.line == line && word.pos.column == column &&
            !view_find(word.text, '$', &at))
            return put_case(fixer, word, false);
    }
    return false;
}

/* The flag and the blanks after it. */
static bool fix_platform(struct fixer *fixer,
                         const struct dockerfile_instruction *instruction)
{
    const struct view text = fixer->file->text;

    for (size_t i = 0; i < instruction->flags.count; i++) {
        const struct dockerfile_word flag = instruction->flags.items[i];
        size_t offset, end;
        if (!view_starts(flag.text, "--platform=") || !find_word(fixer, flag, &offset))
            continue;
        end = offset + flag.text.size;
        while (end < text.size && (text.data[end] == ' ' || text.data[end] == '\t'))
            end++;
        if (end == offset + flag.text.size)
            return false;
        add_edit(fixer, offset, end - offset, base_strdup(""));
        return true;
    }
    return false;
}

bool dockerfile_rule_is_fixable(enum dockerfile_rule rule)
{
    return rule == DOCKERFILE_RULE_CONSISTENT_INSTRUCTION_CASING ||
           rule == DOCKERFILE_RULE_FROM_AS_CASING ||
           rule == DOCKERFILE_RULE_STAGE_NAME_CASING ||
           rule == DOCKERFILE_RULE_NO_EMPTY_CONTINUATION ||
           rule == DOCKERFILE_RULE_LEGACY_KEY_VALUE_FORMAT ||
           rule == DOCKERFILE_RULE_EXPOSE_PROTO_CASING ||
           rule == DOCKERFILE_RULE_REDUNDANT_TARGET_PLATFORM;
}

static bool fix(struct fixer *fixer,
                const struct dockerfile_instruction *instruction,
                const struct dockerfile_finding *finding)
{
    switch ((int)finding->rule) {
    case DOCKERFILE_RULE_CONSISTENT_INSTRUCTION_CASING:
        return fix_casing(fixer, instruction, finding);
    case DOCKERFILE_RULE_FROM_AS_CASING:
        return put_case(fixer, instruction->from->as, !has_lower(instruction->name.text));
    case DOCKERFILE_RULE_STAGE_NAME_CASING:
        return put_case(fixer, instruction->from->name, false);
    case DOCKERFILE_RULE_NO_EMPTY_CONTINUATION:
        return fix_empty_lines(fixer, instruction);
    case DOCKERFILE_RULE_LEGACY_KEY_VALUE_FORMAT:
        return fix_legacy(fixer, instruction);
    case DOCKERFILE_RULE_EXPOSE_PROTO_CASING:
        return fix_protocols(fixer, instruction, finding->pos.column, finding->pos.line);
    case DOCKERFILE_RULE_REDUNDANT_TARGET_PLATFORM:
        return fix_platform(fixer, instruction);
    default:
        return false;
    }
}

/* The instruction that holds a line: they stand in the order of lines. */
static const struct dockerfile_instruction *find_instruction(const struct dockerfile *file,
                                                             unsigned line)
{
    size_t low = 0, high = file->instruction_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct source_pos pos = file->instructions[middle].pos;
        if (line < pos.line)
            high = middle;
        else if (line > pos.line_end)
            low = middle + 1;
        else
            return &file->instructions[middle];
    }
    return NULL;
}

static void on_finding(void *context, const struct dockerfile_finding *finding)
{
    struct fixer *fixer = context;

    if (!dockerfile_rule_is_fixable(finding->rule))
        return;
    const struct dockerfile_instruction *instruction =
        find_instruction(fixer->file, finding->pos.line);
    if (instruction && fix(fixer, instruction, finding))
        fixer->fixed++;
}

/* --- Rounds -----------------------------------------------------------------------------
 */

static int compare_edits(const void *a, const void *b)
{
    const struct edit *left = a, *right = b;

    return (left->offset > right->offset) - (left->offset < right->offset);
}

static void apply(const struct fixer *fixer, struct buf *out)
{
    const struct view text = fixer->file->text;
    size_t at = 0;

    if (fixer->edit_count > 0)
        qsort(fixer->edits, fixer->edit_count, sizeof *fixer->edits, compare_edits);
    for (size_t i = 0; i < fixer->edit_count; i++) {
        const struct edit *edit = &fixer->edits[i];
        /* Two findings may ask for the same edit. */
        if (edit->offset < at)
            continue;
        buf_append_view(out, view_sub(text, at, edit->offset - at));
        buf_append_text(out, edit->text);
        at = edit->offset + edit->size;
    }
    buf_append_view(out, view_sub(text, at, text.size));
}

/* One round: what of the text is fixed. */
static int run_round(struct view text,
                     const char *source_name,
                     const struct dockerfile_check_options *options,
                     struct buf *out,
                     size_t *fixed,
                     struct error *err)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(text, source_name, NULL, err);

    if (!file)
        return -1;
    CLEANUP(fixer_release) struct fixer fixer = {.file = file};
    const struct dockerfile_check_options own = {.on_finding = on_finding,
                                                 .context = &fixer,
                                                 .config = options->config,
                                                 .target_platform =
                                                     options->target_platform,
                                                 .build_platform = options->build_platform};
    find_lines(&fixer);
    /* Whether findings are errors, and a malformed `# check=`, are for the check to say. */
    if (dockerfile_check(file, &own, NULL, &ignored) < 0)
        error_clear(&ignored);
    apply(&fixer, out);
    *fixed = fixer.fixed;
    return buf_ok(out, "fixed Dockerfile", err);
}

int dockerfile_fix(struct view text,
                   const char *source_name,
                   const struct dockerfile_check_options *options,
                   struct buf *out,
                   size_t *count,
                   struct error *err)
{
    struct buf rounds[2] = {BUF_INIT(LIMIT_DOCKERFILE_SIZE),
                            BUF_INIT(LIMIT_DOCKERFILE_SIZE)};
    struct view now = text;
    size_t fixed = 1;
    int result = 0;

    *count = 0;
    for (unsigned i = 0; i < ROUNDS_MAX && fixed > 0 && result == 0; i++) {
        struct buf *next = &rounds[i % 2];
        buf_clear(next);
        fixed = 0;
        result = run_round(now, source_name, options, next, &fixed, err);
        now = buf_view(next);
        *count += fixed;
    }
    if (result == 0)
        buf_append_view(out, now);
    buf_release(&rounds[0]);
    buf_release(&rounds[1]);
    return result;
}
