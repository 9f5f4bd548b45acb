/* Rules about what follows a FROM. Spec: BuildKit dockerfile2llb/convert.go,
 * convert_expose.go, validations.go. */
#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "parser/check/context.h"
#include "parser/ignore.h"

#include <ctype.h>
#include <string.h>

/* --- Variables --------------------------------------------------------------------------
 */

/* Expands a word and reports what it uses and nobody defined. The caller releases *out. */
static bool expand(struct dockerfile_checker *check,
                   const struct dockerfile_scope *scope,
                   struct dockerfile_word word,
                   unsigned flags,
                   struct dockerfile_expansion *out)
{
    const bool good = dockerfile_check_expand(check, scope, word.text, flags, out);

    for (size_t i = 0; i < out->unmatched.count; i++) {
        CLEANUP(buf_release) struct buf hint = BUF_INIT(LIMIT_TEXT_SIZE);
        const struct view name = view_of(out->unmatched.items[i].name);
        /* In scope without a value, or perhaps from an image that we do not know. */
        if (scope->open || dockerfile_scope_find(scope, name))
            continue;
        dockerfile_scope_suggest(scope, name, "$", &hint);
        dockerfile_check_report(check, DOCKERFILE_RULE_UNDEFINED_VAR, word.pos,
                                "Usage of undefined variable '$%.*s'%s", VIEW_ARG(name),
                                buf_text(&hint));
    }
    return good;
}

static void use_word(struct dockerfile_checker *check,
                     const struct dockerfile_scope *scope,
                     struct dockerfile_word word)
{
    CLEANUP(dockerfile_expansion_release)
    struct dockerfile_expansion expansion = {.text = BUF_INIT(0)};

    if (dockerfile_word_given(word))
        expand(check, scope, word, 0, &expansion);
}

static void use_words(struct dockerfile_checker *check,
                      const struct dockerfile_scope *scope,
                      struct dockerfile_words words)
{
    for (size_t i = 0; i < words.count; i++)
        use_word(check, scope, words.items[i]);
}

/* --- ENV, LABEL, ARG --------------------------------------------------------------------
 */

/* One of these words, alone or between underscores, in any case. */
static bool has_part(struct view name, const char *const *parts, size_t count)
{
    for (bool more = name.size > 0; more;) {
        struct view part, rest;
        more = view_cut(name, '_', &part, &rest);
        for (size_t i = 0; i < count; i++)
            if (view_eq_nocase(part, parts[i]))
                return true;
        name = rest;
    }
    return false;
}

bool dockerfile_name_is_secret(struct view name)
{
    static const char *const secrets[] = {"apikey", "auth",     "credential", "credentials",
                                          "key",    "password", "pword",      "passwd",
                                          "secret", "token"};
    static const char *const harmless[] = {"public", "file", "version"};

    return has_part(name, secrets, ARRAY_COUNT(secrets)) &&
           !has_part(name, harmless, ARRAY_COUNT(harmless));
}

static void check_secret(struct dockerfile_checker *check,
                         const char *kind,
                         struct dockerfile_word name)
{
    if (dockerfile_name_is_secret(name.text))
        dockerfile_check_report(
            check, DOCKERFILE_RULE_SECRETS_USED_IN_ARG_OR_ENV, name.pos,
            "Do not use ARG or ENV instructions for sensitive data (%s \"%.*s\")", kind,
            VIEW_ARG(name.text));
}

static void check_env(struct dockerfile_checker *check,
                      const struct dockerfile_instruction *instruction,
                      struct dockerfile_scope *scope)
{
    const struct dockerfile_env *env = instruction->env;
    const bool label = instruction->kind == DOCKERFILE_LABEL;
    struct dockerfile_scope added = {.count = 0};

    for (size_t i = 0; i < env->count; i++) {
        CLEANUP(dockerfile_expansion_release) struct dockerfile_expansion name, value;
        const struct dockerfile_pair *pair = &env->pairs[i];
        expand(check, scope, pair->name, 0, &name);
        expand(check, scope, pair->value, 0, &value);
        const struct view key = {buf_text(&name.text), name.text.size};
        const struct view text = {buf_text(&value.text), value.text.size};
        if (pair->legacy)
            dockerfile_check_report(
                check, DOCKERFILE_RULE_LEGACY_KEY_VALUE_FORMAT, pair->name.pos,
                "\"%.*s key=value\" should be used instead of legacy \"%.*s key "
                "value\" format",
                VIEW_ARG(instruction->name.text), VIEW_ARG(instruction->name.text));
        if (label)
            continue;
        check_secret(check, "ENV", (struct dockerfile_word){key, pair->name.pos});
        dockerfile_scope_set(&added, key, &text);
    }
    /* All values of one instruction are read before any is set. */
    for (size_t i = 0; i < added.count; i++) {
        const struct view text = view_of(added.items[i].value);
        dockerfile_scope_set(scope, view_of(added.items[i].name), &text);
    }
    dockerfile_scope_release(&added);
}

static void check_arg(struct dockerfile_checker *check,
                      const struct dockerfile_arg *arg,
                      struct dockerfile_scope *scope)
{
    for (size_t i = 0; i < arg->count; i++) {
        CLEANUP(dockerfile_expansion_release)
        struct dockerfile_expansion expansion = {.text = BUF_INIT(0)};
        const struct dockerfile_pair *pair = &arg->pairs[i];
        const struct dockerfile_check_options *options = check->options;
        const struct dockerfile_variable *global =
            dockerfile_scope_find(&check->globals, pair->name.text);
        struct view value;
        bool known = options->build_arg &&
                     options->build_arg(options->context, pair->name.text, &value);
        check_secret(check, "ARG", pair->name);
        if (!known && dockerfile_word_given(pair->value)) {
            known = expand(check, scope, pair->value, 0, &expansion);
            value = (struct view){buf_text(&expansion.text), expansion.text.size};
        } else if (!known && global && global->value) {
            known = true;
            value = view_of(global->value);
        }
        dockerfile_scope_set(scope, pair->name.text, known ? &value : NULL);
    }
}

void dockerfile_check_description(struct dockerfile_checker *check,
                                  const struct dockerfile_instruction *instruction)
{
    const struct dockerfile_words comments = instruction->comments;
    const bool from = instruction->kind == DOCKERFILE_FROM;
    struct view first, rest;

    if (comments.count == 0)
        return;
    view_cut(comments.items[comments.count - 1].text, ' ', &first, &rest);
    if (from) {
        const struct view name = instruction->from->stage_name;
        if (name.size > 0 && !view_eq(first, name))
            dockerfile_check_report(
                check, DOCKERFILE_RULE_INVALID_DEFINITION_DESCRIPTION, instruction->pos,
                "Comment for FROM should follow the format: `# %.*s <description>`",
                VIEW_ARG(name));
        return;
    }
    const struct dockerfile_arg *arg = instruction->arg;
    for (size_t i = 0; i < arg->count; i++)
        if (view_eq(first, arg->pairs[i].name.text))
            return;
    const struct view name =
        arg->count > 1 ? VIEW_LIT("<arg_key>") : arg->pairs[0].name.text;
    dockerfile_check_report(
        check, DOCKERFILE_RULE_INVALID_DEFINITION_DESCRIPTION, instruction->pos,
        "Comment for ARG should follow the format: `# %.*s <description>`", VIEW_ARG(name));
}

/* --- COPY, ADD, RUN ---------------------------------------------------------------------
 */

static void check_ignored(struct dockerfile_checker *check,
                          bool add,
                          struct source_pos pos,
                          struct view path)
{
    CLEANUP(buf_release) struct buf clean = BUF_INIT(LIMIT_TEXT_SIZE);
    const struct dockerfile_ignore *ignore = check->options->ignore;

    path_clean(path, &clean);
    const struct view source = buf_view(&clean);
    const bool top = view_eq_text(source, ".") || view_eq_text(source, "/");
    if (top ? dockerfile_ignore_covers_top(ignore)
            : dockerfile_ignore_match(ignore, source))
        dockerfile_check_report(
            check, DOCKERFILE_RULE_COPY_IGNORED_FILE, pos,
            "Attempting to %s file \"%.*s\" that is excluded by .dockerignore",
            add ? "Add" : "Copy", VIEW_ARG(source));
}

static bool is_remote(struct view source)
{
    return view_starts(source, "http://") || view_starts(source, "https://") ||
           view_starts(source, "git@") || view_starts(source, "git://") ||
           view_starts(source, "ssh://");
}

static void check_copy(struct dockerfile_checker *check,
                       const struct dockerfile_instruction *instruction,
                       const struct dockerfile_scope *scope)
{
    const struct dockerfile_copy *copy = instruction->copy;
    const struct dockerfile_ignore *ignore = check->options->ignore;
    const bool add = instruction->kind == DOCKERFILE_ADD;
    /* With exceptions one cannot tell, as a directory may be left out but not all in it. */
    const bool ignored = ignore && !dockerfile_ignore_has_exceptions(ignore) &&
                         !dockerfile_word_given(copy->from);

    use_word(check, scope, copy->chown);
    use_word(check, scope, copy->chmod);
    use_word(check, scope, copy->checksum);
    for (size_t i = 0; i < copy->sources.count; i++) {
        CLEANUP(dockerfile_expansion_release) struct dockerfile_expansion source;
        const bool good = expand(check, scope, copy->sources.items[i], 0, &source);
        const struct view path = {buf_text(&source.text), source.text.size};
        if (good && ignored && !(add && is_remote(path)))
            check_ignored(check, add, copy->sources.items[i].pos, path);
        if (good && !is_remote(path))
            dockerfile_check_secret_files(check, instruction, copy->sources.items[i], path);
    }
    use_word(check, scope, copy->dest);
    for (size_t i = 0; i < copy->inlines.count; i++) {
        CLEANUP(dockerfile_expansion_release)
        struct dockerfile_expansion expansion = {.text = BUF_INIT(0)};
        const struct dockerfile_heredoc *heredoc = &copy->inlines.items[i];
        const struct dockerfile_word body = {heredoc->body, heredoc->pos};
        if (heredoc->expand)
            expand(check, scope, body, DOCKERFILE_EXPAND_CONTENT, &expansion);
    }
}

static void check_run(struct dockerfile_checker *check,
                      const struct dockerfile_run *run,
                      const struct dockerfile_scope *scope)
{
    for (size_t i = 0; i < run->mount_count; i++)
        use_word(check, scope, run->mounts[i].value);
}

/* --- EXPOSE -----------------------------------------------------------------------------
 */

static void check_port(struct dockerfile_checker *check,
                       struct source_pos pos,
                       struct view port)
{
    struct view rest, address, proto;
    size_t colon;
    bool upper = false;

    const bool mapped = view_find(port, ':', &colon);
    view_cut(port, '/', &address, &proto);
    for (size_t i = 0; i < proto.size; i++)
        upper = upper || isupper((unsigned char)proto.data[i]);
    if (upper)
        dockerfile_check_report(
            check, DOCKERFILE_RULE_EXPOSE_PROTO_CASING, pos,
            "Defined protocol '%.*s' in EXPOSE instruction should be lowercase",
            VIEW_ARG(port));
    view_cut(port, ':', &address, &rest);
    if (mapped && (address.size > 0 || view_find(rest, ':', &colon)))
        dockerfile_check_report(
            check, DOCKERFILE_RULE_EXPOSE_INVALID_FORMAT, pos,
            "EXPOSE instruction should not define an IP address or host-port mapping, "
            "found '%.*s'",
            VIEW_ARG(port));
}

static void check_expose(struct dockerfile_checker *check,
                         const struct dockerfile_words *words,
                         const struct dockerfile_scope *scope)
{
    for (size_t i = 0; i < words->count; i++) {
        CLEANUP(dockerfile_expansion_release) struct dockerfile_expansion port;
        if (dockerfile_check_expand(check, scope, words->items[i].text, 0, &port))
            check_port(check, words->items[i].pos,
                       (struct view){buf_text(&port.text), port.text.size});
    }
}

/* --- The rest ---------------------------------------------------------------------------
 */

static void check_workdir(struct dockerfile_checker *check,
                          struct dockerfile_word path,
                          struct dockerfile_scope *scope)
{
    CLEANUP(dockerfile_expansion_release) struct dockerfile_expansion expansion;

    if (expand(check, scope, path, 0, &expansion) && !scope->workdir_set &&
        !view_starts(buf_view(&expansion.text), "/"))
        dockerfile_check_report(
            check, DOCKERFILE_RULE_WORKDIR_RELATIVE_PATH, path.pos,
            "Relative workdir \"%s\" can have unexpected results if the base image "
            "changes",
            buf_text(&expansion.text));
    scope->workdir_set = true;
}

static void check_command(struct dockerfile_checker *check,
                          const struct dockerfile_instruction *instruction,
                          const struct dockerfile_scope *scope)
{
    if (!instruction->command->exec && !scope->shell_set)
        dockerfile_check_report(
            check, DOCKERFILE_RULE_JSON_ARGS_RECOMMENDED, instruction->pos,
            "JSON arguments recommended for %.*s to prevent unintended behavior "
            "related to OS signals",
            VIEW_ARG(instruction->name.text));
}

/* Of CMD, ENTRYPOINT and HEALTHCHECK only the last of a stage counts. */
static void check_once(struct dockerfile_checker *check,
                       const struct dockerfile_instruction **last,
                       const struct dockerfile_instruction *instruction)
{
    const struct dockerfile_instruction **slot = &last[instruction->kind];

    if (*slot)
        dockerfile_check_report(
            check, DOCKERFILE_RULE_MULTIPLE_INSTRUCTIONS_DISALLOWED, (*slot)->pos,
            "Multiple %.*s instructions should not be used in the same stage because "
            "only the last one will be used",
            VIEW_ARG(instruction->name.text));
    *slot = instruction;
}

static bool has_word(struct dockerfile_words words, const char *text)
{
    for (size_t i = 0; i < words.count; i++)
        if (view_eq_text(words.items[i].text, text))
            return true;
    return false;
}

static void check_instruction(struct dockerfile_checker *check,
                              const struct dockerfile_instruction *instruction,
                              const struct dockerfile_instruction **last,
                              struct dockerfile_scope *scope)
{
    switch (instruction->kind) {
    case DOCKERFILE_ADD:
    case DOCKERFILE_COPY:
        check_copy(check, instruction, scope);
        break;
    case DOCKERFILE_ARG:
        dockerfile_check_description(check, instruction);
        check_arg(check, instruction->arg, scope);
        break;
    case DOCKERFILE_CMD:
    case DOCKERFILE_ENTRYPOINT:
        check_once(check, last, instruction);
        check_command(check, instruction, scope);
        break;
    case DOCKERFILE_ENV:
    case DOCKERFILE_LABEL:
        check_env(check, instruction, scope);
        break;
    case DOCKERFILE_EXPOSE:
        check_expose(check, instruction->words, scope);
        break;
    case DOCKERFILE_HEALTHCHECK:
        check_once(check, last, instruction);
        break;
    case DOCKERFILE_MAINTAINER:
        dockerfile_check_report(
            check, DOCKERFILE_RULE_MAINTAINER_DEPRECATED, instruction->pos,
            "Maintainer instruction is deprecated in favor of using label");
        break;
    case DOCKERFILE_RUN:
        check_run(check, instruction->run, scope);
        break;
    case DOCKERFILE_SHELL:
        scope->shell_set = true;
        scope->pipefail = has_word(instruction->command->args, "pipefail");
        break;
    case DOCKERFILE_STOPSIGNAL:
    case DOCKERFILE_USER:
        use_word(check, scope, *instruction->word);
        break;
    case DOCKERFILE_VOLUME:
        use_words(check, scope, *instruction->words);
        break;
    case DOCKERFILE_WORKDIR:
        check_workdir(check, *instruction->word, scope);
        break;
    case DOCKERFILE_FROM:
    case DOCKERFILE_ONBUILD:
        break;
    }
}

void dockerfile_check_stage(struct dockerfile_checker *check,
                            const struct dockerfile_stage *stage,
                            struct dockerfile_scope *scope)
{
    const struct dockerfile_instruction *last[DOCKERFILE_KIND_COUNT] = {NULL};

    dockerfile_check_order(check, stage);
    for (size_t i = 0; i < stage->count; i++) {
        dockerfile_check_enter(check, &stage->instructions[i]);
        dockerfile_check_extra(check, &stage->instructions[i], scope);
        check_instruction(check, &stage->instructions[i], last, scope);
    }
}
