#include "parser/print.h"

#include "base/doc.h"
#include "parser/dockerfile.h"

#include <string.h>

static void set_pos(struct doc *object, struct source_pos pos)
{
    doc_set_int(object, "line", pos.line);
    doc_set_int(object, "column", pos.column);
}

static struct doc *word_doc(struct dockerfile_word word)
{
    struct doc *object = doc_new_object();

    doc_set_view(object, "text", word.text);
    set_pos(object, word.pos);
    return object;
}

static void set_word(struct doc *object, const char *key, struct dockerfile_word word)
{
    if (dockerfile_word_given(word))
        doc_set(object, key, word_doc(word));
}

static void set_words(struct doc *object, const char *key, struct dockerfile_words words)
{
    struct doc *array = doc_new_array();

    for (size_t i = 0; i < words.count; i++)
        doc_append(array, word_doc(words.items[i]));
    doc_set(object, key, array);
}

static void set_switch(struct doc *object, const char *key, enum dockerfile_switch value)
{
    if (value != DOCKERFILE_SWITCH_UNSET)
        doc_set_bool(object, key, value == DOCKERFILE_SWITCH_ON);
}

static void set_heredocs(struct doc *object, struct dockerfile_heredocs heredocs)
{
    struct doc *array = doc_new_array();

    for (size_t i = 0; i < heredocs.count; i++) {
        const struct dockerfile_heredoc *heredoc = &heredocs.items[i];
        struct doc *item = doc_new_object();
        set_word(item, "name", heredoc->name);
        doc_set_view(item, "content", heredoc->content);
        doc_set_int(item, "line", heredoc->pos.line);
        doc_set_bool(item, "expand", heredoc->expand);
        doc_set_bool(item, "strip_tabs", heredoc->strip_tabs);
        doc_set_int(item, "descriptor", heredoc->descriptor);
        doc_append(array, item);
    }
    doc_set(object, "heredocs", array);
}

static void set_copy(struct doc *object, const struct dockerfile_copy *copy)
{
    set_words(object, "sources", copy->sources);
    set_heredocs(object, copy->inlines);
    set_word(object, "dest", copy->dest);
    set_word(object, "from", copy->from);
    set_word(object, "chown", copy->chown);
    set_word(object, "chmod", copy->chmod);
    set_word(object, "checksum", copy->checksum);
    set_words(object, "excludes", copy->excludes);
    doc_set_bool(object, "link", copy->link);
    doc_set_bool(object, "parents", copy->parents);
    set_switch(object, "keep_git_dir", copy->keep_git_dir);
    set_switch(object, "unpack", copy->unpack);
}

static void set_pairs(struct doc *object, const struct dockerfile_pair *pairs, size_t count)
{
    struct doc *array = doc_new_array();

    for (size_t i = 0; i < count; i++) {
        struct doc *item = doc_new_object();
        set_word(item, "name", pairs[i].name);
        set_word(item, "value", pairs[i].value);
        doc_set_bool(item, "legacy", pairs[i].legacy);
        doc_append(array, item);
    }
    doc_set(object, "pairs", array);
}

static void set_command(struct doc *object, const struct dockerfile_command *command)
{
    doc_set_text(object, "form", command->exec ? "exec" : "shell");
    set_words(object, "args", command->args);
}

static void set_from(struct doc *object, const struct dockerfile_from *from)
{
    set_word(object, "image", from->image);
    set_word(object, "platform", from->platform);
    set_word(object, "as", from->as);
    if (from->stage_name.size > 0)
        doc_set_view(object, "stage", from->stage_name);
}

static void set_healthcheck(struct doc *object, const struct dockerfile_healthcheck *check)
{
    if (check->none) {
        doc_set_bool(object, "none", true);
        return;
    }
    set_command(object, &check->command);
    doc_set_int(object, "interval_ns", check->interval_ns);
    doc_set_int(object, "timeout_ns", check->timeout_ns);
    doc_set_int(object, "start_period_ns", check->start_period_ns);
    doc_set_int(object, "start_interval_ns", check->start_interval_ns);
    doc_set_int(object, "retries", check->retries);
}

static void set_mounts(struct doc *object, const struct dockerfile_run *run)
{
    struct doc *array = doc_new_array();

    for (size_t i = 0; i < run->mount_count; i++) {
        struct doc *item = doc_new_object();
        set_word(item, "value", run->mounts[i].value);
        if (run->mounts[i].from.size > 0)
            doc_set_view(item, "from", run->mounts[i].from);
        doc_append(array, item);
    }
    doc_set(object, "mounts", array);
}

static void set_devices(struct doc *object, const struct dockerfile_run *run)
{
    struct doc *array = doc_new_array();

    for (size_t i = 0; i < run->device_count; i++) {
        struct doc *item = doc_new_object();
        set_word(item, "name", run->devices[i].name);
        doc_set_bool(item, "required", run->devices[i].required);
        doc_append(array, item);
    }
    doc_set(object, "devices", array);
}

static void set_run(struct doc *object, const struct dockerfile_run *run)
{
    static const char *const forms[] = {
        [DOCKERFILE_RUN_EXEC] = "exec",
        [DOCKERFILE_RUN_SHELL] = "shell",
        [DOCKERFILE_RUN_SCRIPT] = "script",
    };
    static const char *const networks[] = {
        [DOCKERFILE_NETWORK_DEFAULT] = "default",
        [DOCKERFILE_NETWORK_NONE] = "none",
        [DOCKERFILE_NETWORK_HOST] = "host",
    };

    doc_set_text(object, "form", forms[run->form]);
    set_words(object, "args", run->command.args);
    doc_set_view(object, "script", run->script);
    set_heredocs(object, run->heredocs);
    set_mounts(object, run);
    set_devices(object, run);
    doc_set_text(object, "network", networks[run->network]);
    doc_set_bool(object, "insecure", run->insecure);
}

static void set_payload(struct doc *object,
                        const struct dockerfile_instruction *instruction)
{
    switch (instruction->kind) {
    case DOCKERFILE_ADD:
    case DOCKERFILE_COPY:
        set_copy(object, instruction->copy);
        break;
    case DOCKERFILE_ARG:
        set_pairs(object, instruction->arg->pairs, instruction->arg->count);
        break;
    case DOCKERFILE_ENV:
    case DOCKERFILE_LABEL:
        set_pairs(object, instruction->env->pairs, instruction->env->count);
        break;
    case DOCKERFILE_CMD:
    case DOCKERFILE_ENTRYPOINT:
    case DOCKERFILE_SHELL:
        set_command(object, instruction->command);
        break;
    case DOCKERFILE_EXPOSE:
    case DOCKERFILE_VOLUME:
        set_words(object, "args", *instruction->words);
        break;
    case DOCKERFILE_FROM:
        set_from(object, instruction->from);
        break;
    case DOCKERFILE_HEALTHCHECK:
        set_healthcheck(object, instruction->healthcheck);
        break;
    case DOCKERFILE_MAINTAINER:
    case DOCKERFILE_STOPSIGNAL:
    case DOCKERFILE_USER:
    case DOCKERFILE_WORKDIR:
        set_word(object, "value", *instruction->word);
        break;
    case DOCKERFILE_ONBUILD:
        set_word(object, "trigger", instruction->onbuild->trigger);
        doc_set_view(object, "expression", instruction->onbuild->expression);
        break;
    case DOCKERFILE_RUN:
        set_run(object, instruction->run);
        break;
    }
}

static struct doc *instruction_doc(const struct dockerfile_instruction *instruction)
{
    struct doc *object = doc_new_object();

    doc_set_text(object, "kind", dockerfile_kind_name(instruction->kind));
    doc_set_view(object, "name", instruction->name.text);
    set_pos(object, instruction->pos);
    doc_set_int(object, "line_end", instruction->pos.line_end);
    doc_set_view(object, "original", instruction->original);
    set_words(object, "flags", instruction->flags);
    set_words(object, "comments", instruction->comments);
    set_payload(object, instruction);
    return object;
}

static struct doc *directives_doc(const struct dockerfile *file)
{
    static const char *const names[] = {
        [DOCKERFILE_DIRECTIVE_SYNTAX] = "syntax",
        [DOCKERFILE_DIRECTIVE_ESCAPE] = "escape",
        [DOCKERFILE_DIRECTIVE_CHECK] = "check",
    };
    struct doc *array = doc_new_array();

    for (size_t i = 0; i < file->directive_count; i++) {
        struct doc *item = doc_new_object();
        doc_set_text(item, "name", names[file->directives[i].kind]);
        set_word(item, "value", file->directives[i].value);
        doc_append(array, item);
    }
    return array;
}

static struct doc *stages_doc(const struct dockerfile *file)
{
    struct doc *array = doc_new_array();

    for (size_t i = 0; i < file->stage_count; i++) {
        const struct dockerfile_stage *stage = &file->stages[i];
        const size_t index = (size_t)(stage->from - file->instructions);
        struct doc *item = doc_new_object();
        if (stage->from->from->stage_name.size > 0)
            doc_set_view(item, "name", stage->from->from->stage_name);
        set_word(item, "image", stage->from->from->image);
        doc_set_int(item, "from", (int64_t)index);
        doc_set_int(item, "end", (int64_t)(index + 1 + stage->count));
        doc_append(array, item);
    }
    return array;
}

static struct doc *file_doc(const struct dockerfile *file)
{
    struct doc *root = doc_new_object();
    struct doc *instructions = doc_new_array();

    for (size_t i = 0; i < file->instruction_count; i++)
        doc_append(instructions, instruction_doc(&file->instructions[i]));
    doc_set_text(root, "source", file->source_name);
    doc_set_view(root, "escape", (struct view){&file->escape, 1});
    doc_set(root, "directives", directives_doc(file));
    doc_set(root, "instructions", instructions);
    doc_set(root, "stages", stages_doc(file));
    return root;
}

void dockerfile_print_json(const struct dockerfile *file, struct buf *out)
{
    CLEANUP(doc_unrefp) struct doc *root = file_doc(file);

    doc_write(root, DOC_WRITE_INDENT, out);
    buf_append_char(out, '\n');
}

/* A copy without what depends on layout. Depth is that of the schema: a few levels. */
static struct doc *without_layout(const struct doc *from)
{
    if (doc_type(from) == DOC_ARRAY) {
        struct doc *array = doc_new_array();
        for (size_t i = 0; i < doc_count(from); i++)
            doc_append(array, without_layout(doc_at(from, i)));
        return array;
    }
    if (doc_type(from) != DOC_OBJECT)
        return doc_copy(from);
    struct doc *object = doc_new_object();
    const struct doc *value;
    const bool instruction = doc_get(from, "kind") != NULL;
    for (const char *key = NULL; doc_next(from, &key, &value);) {
        const bool place = strcmp(key, "line") == 0 || strcmp(key, "column") == 0;
        const bool written =
            instruction && (strcmp(key, "line_end") == 0 || strcmp(key, "name") == 0 ||
                            strcmp(key, "original") == 0);
        if (!place && !written && strcmp(key, "as") != 0)
            doc_set(object, key, without_layout(value));
    }
    return object;
}

void dockerfile_print_meaning(const struct dockerfile *file, struct buf *out)
{
    CLEANUP(doc_unrefp) struct doc *root = file_doc(file);
    CLEANUP(doc_unrefp) struct doc *meaning = without_layout(root);

    doc_write(meaning, DOC_WRITE_INDENT, out);
    buf_append_char(out, '\n');
}
