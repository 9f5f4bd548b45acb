#include "parser/outline.h"

#include "base/alloc.h"
#include "parser/dockerfile.h"
#include "parser/expand.h"

#include <stdlib.h>
#include <string.h>

/* --- Stages -----------------------------------------------------------------------------
 */

/* The last stage before `end` of that name, or `end`. */
static size_t find_named(const struct dockerfile *file, struct view name, size_t end)
{
    CLEANUP(base_freep) char *text = view_dup(name);

    for (size_t i = end; i-- > 0;) {
        const struct view stage = file->stages[i].from->from->stage_name;
        if (stage.size > 0 && view_eq_nocase(stage, text))
            return i;
    }
    return end;
}

size_t dockerfile_stage_find(const struct dockerfile *file, struct view name)
{
    uint64_t number;

    if (view_to_u64(name, &number))
        return number < file->stage_count ? (size_t)number : file->stage_count;
    return find_named(file, name, file->stage_count);
}

static void need(const struct dockerfile *file, struct view from, bool *needed)
{
    const size_t stage =
        from.size > 0 ? dockerfile_stage_find(file, from) : file->stage_count;

    if (stage < file->stage_count)
        needed[stage] = true;
}

static void need_sources(const struct dockerfile *file,
                         const struct dockerfile_instruction *instruction,
                         bool *needed)
{
    if (instruction->kind == DOCKERFILE_COPY)
        need(file, instruction->copy->from.text, needed);
    if (instruction->kind != DOCKERFILE_RUN)
        return;
    for (size_t i = 0; i < instruction->run->mount_count; i++)
        need(file, instruction->run->mounts[i].from, needed);
}

/* A stage can only use earlier ones, so one pass from the target back finds all. */
void dockerfile_stages_needed(const struct dockerfile *file, size_t target, bool *needed)
{
    for (size_t i = 0; i < file->stage_count; i++)
        needed[i] = i == target;
    for (size_t i = target + 1; i-- > 0;) {
        const struct dockerfile_stage *stage = &file->stages[i];
        if (!needed[i])
            continue;
        const size_t base = find_named(file, stage->from->from->image.text, i);
        if (base < i)
            needed[base] = true;
        for (size_t k = 0; k < stage->count; k++)
            need_sources(file, &stage->instructions[k], needed);
    }
}

struct view dockerfile_description(const struct dockerfile_instruction *instruction,
                                   struct view name)
{
    const struct dockerfile_words comments = instruction->comments;
    struct view first, rest;

    for (size_t i = 0; name.size > 0 && i < comments.count; i++)
        if (view_cut(comments.items[i].text, ' ', &first, &rest) && view_eq(first, name))
            return rest;
    return VIEW_LIT("");
}

/* --- The outline ------------------------------------------------------------------------
 */

static struct dockerfile_outline_item *find_item(struct dockerfile_outline_list *list,
                                                 struct view name)
{
    for (size_t i = 0; i < list->count; i++)
        if (view_eq(list->items[i].name, name))
            return &list->items[i];
    return NULL;
}

/* The first of a name counts. */
static void add_item(struct dockerfile_outline_list *list,
                     struct dockerfile_outline_item item)
{
    if (find_item(list, item.name))
        return;
    list->items = base_grow(list->items, list->count, &list->capacity, sizeof *list->items);
    list->items[list->count++] = item;
}

static void add_args(struct dockerfile_outline *outline,
                     const struct dockerfile_instruction *instruction)
{
    for (size_t i = 0; i < instruction->arg->count; i++) {
        const struct dockerfile_pair *pair = &instruction->arg->pairs[i];
        add_item(&outline->args,
                 (struct dockerfile_outline_item){
                     .name = pair->name.text,
                     .value = pair->value.text,
                     .description = dockerfile_description(instruction, pair->name.text),
                     .pos = instruction->pos});
    }
}

/* A text of a mount, which goes away, as a view that stays. */
static struct view keep(struct dockerfile_outline *outline, const char *text)
{
    outline->texts = base_grow(outline->texts, outline->text_count, &outline->text_capacity,
                               sizeof(char *));
    outline->texts[outline->text_count] = base_strdup(text);
    return view_of(outline->texts[outline->text_count++]);
}

static const char *mount_id(const struct dockerfile_mount *mount)
{
    const char *slash;

    if (mount->id && *mount->id)
        return mount->id;
    if (mount->type == DOCKERFILE_MOUNT_SSH)
        return "default";
    if (mount->source && *mount->source)
        return mount->source;
    if (!mount->target)
        return "";
    slash = strrchr(mount->target, '/');
    return slash ? slash + 1 : mount->target;
}

static void add_mounts(struct dockerfile_outline *outline,
                       const struct dockerfile *file,
                       const struct dockerfile_run *run)
{
    const struct dockerfile_expand how = {.escape = file->escape,
                                          .flags = DOCKERFILE_EXPAND_KEEP_UNSET};

    for (size_t i = 0; i < run->mount_count; i++) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* the build tells */
        CLEANUP(dockerfile_mount_release) struct dockerfile_mount mount;
        const struct dockerfile_word value = run->mounts[i].value;
        if (dockerfile_mount_parse(value, &how, &mount, &ignored) < 0 ||
            (mount.type != DOCKERFILE_MOUNT_SECRET && mount.type != DOCKERFILE_MOUNT_SSH))
            continue;
        add_item(mount.type == DOCKERFILE_MOUNT_SECRET ? &outline->secrets : &outline->ssh,
                 (struct dockerfile_outline_item){.name = keep(outline, mount_id(&mount)),
                                                  .required = mount.required,
                                                  .pos = value.pos});
    }
}

/* Global arguments that a needed FROM uses; ARG NAME in a stage shows the global's value.
 */
struct use {
    const struct dockerfile *file;
    struct dockerfile_outline *outline;
};

static const struct dockerfile_pair *find_global(
    const struct dockerfile *file,
    struct view name,
    const struct dockerfile_instruction **instruction)
{
    for (size_t i = file->global_count; i-- > 0;) {
        *instruction = &file->instructions[i];
        for (size_t k = 0; k < (*instruction)->arg->count; k++)
            if (view_eq((*instruction)->arg->pairs[k].name.text, name))
                return &(*instruction)->arg->pairs[k];
    }
    return NULL;
}

static void use_word(struct use *use, struct view word);

static void use_global(void *context, struct view name, bool found)
{
    struct use *use = context;
    const struct dockerfile_instruction *instruction;
    const struct dockerfile_pair *pair = find_global(use->file, name, &instruction);

    (void)found;
    if (!pair || find_item(&use->outline->args, pair->name.text))
        return;
    add_item(&use->outline->args,
             (struct dockerfile_outline_item){
                 .name = pair->name.text,
                 .value = pair->value.text,
                 .description = dockerfile_description(instruction, pair->name.text),
                 .pos = instruction->pos});
    use_word(use, pair->value.text);
}

/* Every global argument is entered once, so this ends. */
static void use_word(struct use *use, struct view word)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(buf_release) struct buf text = BUF_INIT((size_t)1 << 20);
    const struct dockerfile_expand how = {
        .escape = use->file->escape, .on_variable = use_global, .context = use};

    if (word.size > 0 && dockerfile_expand(word, &how, &text, &ignored) < 0)
        return; /* what was used up to there is known */
}

static void add_stage(struct use *use, const struct dockerfile_stage *stage)
{
    for (size_t i = 0; i < stage->count; i++) {
        const struct dockerfile_instruction *instruction = &stage->instructions[i];
        if (instruction->kind == DOCKERFILE_RUN)
            add_mounts(use->outline, use->file, instruction->run);
        if (instruction->kind != DOCKERFILE_ARG)
            continue;
        for (size_t k = 0; k < instruction->arg->count; k++)
            if (!dockerfile_word_given(instruction->arg->pairs[k].value))
                use_global(use, instruction->arg->pairs[k].name.text, false);
        add_args(use->outline, instruction);
    }
}

static int compare_items(const void *a, const void *b)
{
    const struct dockerfile_outline_item *left = a, *right = b;

    if (left->pos.line != right->pos.line)
        return left->pos.line < right->pos.line ? -1 : 1;
    return view_compare(left->name, right->name);
}

static void sort(struct dockerfile_outline_list *list)
{
    if (list->count > 0)
        qsort(list->items, list->count, sizeof *list->items, compare_items);
}

void dockerfile_outline_make(const struct dockerfile *file,
                             size_t target,
                             struct dockerfile_outline *out)
{
    CLEANUP(base_freep)
    bool *needed = base_alloc_array(file->stage_count + 1, sizeof(bool));
    struct use use = {file, out};

    *out = (struct dockerfile_outline){.text_count = 0};
    dockerfile_stages_needed(file, target, needed);
    for (size_t i = 0; i < file->stage_count; i++) {
        if (!needed[i])
            continue;
        use_word(&use, file->stages[i].from->from->image.text);
        use_word(&use, file->stages[i].from->from->platform.text);
        add_stage(&use, &file->stages[i]);
    }
    sort(&out->args);
    sort(&out->secrets);
    sort(&out->ssh);
}

void dockerfile_outline_release(struct dockerfile_outline *outline)
{
    for (size_t i = 0; i < outline->text_count; i++)
        free(outline->texts[i]);
    free(outline->texts);
    free(outline->args.items);
    free(outline->secrets.items);
    free(outline->ssh.items);
    *outline = (struct dockerfile_outline){.text_count = 0};
}
