/*
 * CacheUnfriendlyOrder: a stage that copies all its sources and then installs what they
 * depend on does so again after every change of any source. Copying the manifest first lets
 * the cache keep the installation.
 */
#include "parser/check/context.h"
#include "parser/check/shell.h"

/* Commands that install what a manifest lists. */
static const struct installer {
    const char *program;
    const char *verb;     /* its first argument that is no flag */
    const char *flag;     /* must be among the arguments, or NULL */
    const char *manifest; /* for the message */
    bool alone;           /* with the name of a package it reads no manifest */
} installers[] = {
    {"npm", "ci", NULL, "package.json and package-lock.json", false},
    {"npm", "install", NULL, "package.json and package-lock.json", true},
    {"npm", "i", NULL, "package.json and package-lock.json", true},
    {"pnpm", "install", NULL, "package.json and pnpm-lock.yaml", true},
    {"pnpm", "i", NULL, "package.json and pnpm-lock.yaml", true},
    {"yarn", "install", NULL, "package.json and yarn.lock", true},
    {"bun", "install", NULL, "package.json and bun.lock", true},
    {"pip", "install", "-r", "requirements.txt", false},
    {"pip3", "install", "-r", "requirements.txt", false},
    {"pip", "install", "--requirement", "requirements.txt", false},
    {"pip3", "install", "--requirement", "requirements.txt", false},
    {"poetry", "install", NULL, "pyproject.toml and poetry.lock", false},
    {"pipenv", "install", NULL, "Pipfile and Pipfile.lock", true},
    {"uv", "sync", NULL, "pyproject.toml and uv.lock", false},
    {"bundle", "install", NULL, "Gemfile and Gemfile.lock", false},
    {"composer", "install", NULL, "composer.json and composer.lock", false},
    {"go", "mod", "download", "go.mod and go.sum", false},
    {"cargo", "fetch", NULL, "Cargo.toml and Cargo.lock", false},
    {"mix", "deps.get", NULL, "mix.exs and mix.lock", false},
    {"dotnet", "restore", NULL, "the project files", false},
};

/* One command of a script, as far as it was read. */
struct command {
    struct view program;
    struct view verb;
    struct view others[16]; /* further arguments, the first ones */
    size_t other_count;
};

static bool is_flag(struct view word)
{
    return view_starts(word, "-");
}

static void add_word(struct command *command, struct view word)
{
    size_t at;

    if (command->program.size == 0) {
        if (!view_find(word, '=', &at) && !view_eq_text(word, "sudo"))
            command->program = word;
    } else if (command->verb.size == 0 && !is_flag(word)) {
        command->verb = word;
    } else if (command->other_count < ARRAY_COUNT(command->others)) {
        command->others[command->other_count++] = word;
    }
}

static bool matches(const struct command *command, const struct installer *installer)
{
    bool has_flag = installer->flag == NULL;
    bool has_name = false;

    if (!view_eq_text(command->program, installer->program) ||
        !view_eq_text(command->verb, installer->verb))
        return false;
    for (size_t i = 0; i < command->other_count; i++) {
        const struct view word = command->others[i];
        has_flag = has_flag || view_eq_text(word, installer->flag);
        has_name = has_name || !is_flag(word) || view_eq_text(word, "-g") ||
                   view_eq_text(word, "--global");
    }
    return has_flag && !(installer->alone && has_name);
}

static const struct installer *find_installer(const struct command *command)
{
    for (size_t i = 0; i < ARRAY_COUNT(installers); i++)
        if (matches(command, &installers[i]))
            return &installers[i];
    return NULL;
}

/* The first command of a script that installs from a manifest, or NULL. */
static const struct installer *script_installer(struct view text)
{
    struct dockerfile_shell shell = {text, 0};
    struct command command = {.other_count = 0};
    const struct installer *found;
    struct view word;

    for (;;) {
        const enum dockerfile_shell_event token = dockerfile_shell_next(&shell, &word);
        if (token == DOCKERFILE_SHELL_WORD) {
            add_word(&command, word);
            continue;
        }
        found = find_installer(&command);
        if (found || token == DOCKERFILE_SHELL_END)
            return found;
        command = (struct command){.other_count = 0};
    }
}

/* The source that stands for the whole context, or NULL. */
static const struct dockerfile_word *whole_context(
    const struct dockerfile_instruction *instruction)
{
    static const char *const names[] = {".", "./", "/", "*"};
    const struct dockerfile_copy *copy = instruction->copy;

    if (dockerfile_word_given(copy->from) || copy->excludes.count > 0)
        return NULL;
    for (size_t i = 0; i < copy->sources.count; i++)
        for (size_t k = 0; k < ARRAY_COUNT(names); k++)
            if (view_eq_text(copy->sources.items[i].text, names[k]))
                return &copy->sources.items[i];
    return NULL;
}

void dockerfile_check_order(struct dockerfile_checker *check,
                            const struct dockerfile_stage *stage)
{
    const struct dockerfile_instruction *copied = NULL;
    const struct dockerfile_word *source = NULL;

    if (!check->options->extra)
        return;
    for (size_t i = 0; i < stage->count; i++) {
        const struct dockerfile_instruction *instruction = &stage->instructions[i];
        if (instruction->kind == DOCKERFILE_COPY || instruction->kind == DOCKERFILE_ADD) {
            const struct dockerfile_word *found = whole_context(instruction);
            if (!copied && found) {
                copied = instruction;
                source = found;
            }
            continue;
        }
        if (instruction->kind != DOCKERFILE_RUN ||
            instruction->run->form == DOCKERFILE_RUN_EXEC)
            continue;
        const struct installer *installer = script_installer(instruction->run->script);
        /* Installed before the sources came: what follows only adds to it. */
        if (installer && !copied)
            return;
        if (!installer)
            continue;
        dockerfile_check_enter(check, copied);
        dockerfile_check_report(
            check, DOCKERFILE_RULE_CACHE_UNFRIENDLY_ORDER, source->pos,
            "Any change of a source runs \"%s %s\" in line %u again: copy %s first, "
            "install, then copy the rest",
            installer->program, installer->verb, instruction->pos.line,
            installer->manifest);
        return;
    }
}
