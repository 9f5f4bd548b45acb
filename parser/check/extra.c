/* Rules beyond BuildKit's: what people use other linters for. */
#include "parser/check/context.h"
#include "parser/check/shell.h"

#include <string.h>

/* --- Base images ------------------------------------------------------------------------
 */

static void check_platform(struct dockerfile_checker *check,
                           struct dockerfile_word written,
                           const struct dockerfile_base *base)
{
    const struct dockerfile_check_options *options = check->options;
    struct view expected, actual;

    if (options->base_mismatch &&
        options->base_mismatch(options->context, base, &expected, &actual))
        dockerfile_check_report(
            check, DOCKERFILE_RULE_INVALID_BASE_IMAGE_PLATFORM, written.pos,
            "Base image %.*s was pulled with platform \"%.*s\", expected \"%.*s\" for "
            "current build",
            VIEW_ARG(base->image), VIEW_ARG(actual), VIEW_ARG(expected));
}

void dockerfile_check_base(struct dockerfile_checker *check,
                           struct dockerfile_word written,
                           const struct dockerfile_base *base)
{
    const struct view image = base->image;
    size_t at, last = 0;

    check_platform(check, written, base);

    if (view_find(image, '@', &at))
        return;
    for (size_t i = 0; i < image.size; i++)
        if (image.data[i] == '/')
            last = i + 1;
    const struct view name = view_sub(image, last, image.size - last);
    if (!view_find(name, ':', &at))
        dockerfile_check_report(check, DOCKERFILE_RULE_UNPINNED_BASE_IMAGE, written.pos,
                                "Base image %.*s has no tag: what it means will change",
                                VIEW_ARG(image));
    else if (view_eq_text(view_sub(name, at + 1, name.size), "latest"))
        dockerfile_check_report(check, DOCKERFILE_RULE_LATEST_BASE_IMAGE, written.pos,
                                "Base image %.*s uses the tag latest: name a version",
                                VIEW_ARG(image));
}

/* --- RUN --------------------------------------------------------------------------------
 */

/* What one script does. */
struct script {
    bool cd_first; /* its first command changes the directory */
    bool sudo;
    bool pipe;
    bool pipefail;
    bool update;  /* apt-get update */
    bool install; /* apt-get install */
    bool lists_removed;
};

static void note_word(struct script *script, struct view word, bool first, bool *apt)
{
    if (first) {
        *apt = view_eq_text(word, "apt-get") || view_eq_text(word, "apt");
        script->sudo = script->sudo || view_eq_text(word, "sudo");
    }
    if (*apt) {
        script->update = script->update || view_eq_text(word, "update");
        script->install = script->install || view_eq_text(word, "install");
    }
    if (view_starts(word, "/var/lib/apt/lists"))
        script->lists_removed = true;
    if (view_eq_text(word, "pipefail"))
        script->pipefail = true;
}

static bool is_assignment(struct view word)
{
    size_t at;

    return view_find(word, '=', &at) && at > 0;
}

static struct script read_script(struct view text)
{
    struct script script = {.cd_first = false};
    struct dockerfile_shell shell = {text, 0};
    bool first = true, apt = false;
    struct view word;

    for (size_t words = 0;;) {
        switch (dockerfile_shell_next(&shell, &word)) {
        case DOCKERFILE_SHELL_END:
            return script;
        case DOCKERFILE_SHELL_PIPE:
            script.pipe = true;
            first = true;
            apt = false;
            break;
        case DOCKERFILE_SHELL_SEPARATOR:
            first = true;
            apt = false;
            break;
        case DOCKERFILE_SHELL_WORD:
            if (words++ == 0)
                script.cd_first = view_eq_text(word, "cd");
            note_word(&script, word, first, &apt);
            /* NAME=value before a command, and sudo, do not end its beginning. */
            first = first && (is_assignment(word) || view_eq_text(word, "sudo"));
            break;
        }
    }
}

/* --mount=type=cache for apt's lists: then nothing need be removed. */
static bool caches_lists(const struct dockerfile_run *run)
{
    for (size_t i = 0; i < run->mount_count; i++) {
        const struct view text = run->mounts[i].value.text;
        if (memmem(text.data, text.size, "type=cache", 10) &&
            memmem(text.data, text.size, "/var/lib/apt", 12))
            return true;
    }
    return false;
}

static void check_apt(struct dockerfile_checker *check,
                      const struct dockerfile_instruction *instruction,
                      const struct script *script)
{
    const bool cached = caches_lists(instruction->run);

    if (script->install && !script->update && !cached)
        dockerfile_check_report(
            check, DOCKERFILE_RULE_APT_INSTALL_WITHOUT_UPDATE, instruction->pos,
            "apt-get install without apt-get update in the same RUN works "
            "on lists from the cache");
    if (script->update && !script->lists_removed && !cached)
        dockerfile_check_report(check, DOCKERFILE_RULE_APT_LISTS_KEPT, instruction->pos,
                                "Package lists stay in the layer: end the RUN with "
                                "rm -rf /var/lib/apt/lists/*");
}

static void check_run(struct dockerfile_checker *check,
                      const struct dockerfile_instruction *instruction,
                      const struct dockerfile_scope *scope)
{
    if (instruction->run->form != DOCKERFILE_RUN_SHELL)
        return;
    const struct script script = read_script(instruction->run->script);
    check_apt(check, instruction, &script);
    if (script.cd_first)
        dockerfile_check_report(check, DOCKERFILE_RULE_CD_INSTEAD_OF_WORKDIR,
                                instruction->pos, "Use WORKDIR instead of RUN cd");
    if (script.sudo)
        dockerfile_check_report(check, DOCKERFILE_RULE_SUDO_USED, instruction->pos,
                                "Use USER instead of sudo");
    if (script.pipe && !script.pipefail && !scope->pipefail)
        dockerfile_check_report(check, DOCKERFILE_RULE_PIPE_WITHOUT_PIPEFAIL,
                                instruction->pos,
                                "A failure before the pipe goes unseen: begin with "
                                "set -o pipefail, in a shell that knows it");
}

/* --- ADD --------------------------------------------------------------------------------
 */

/* URLs, repositories and archives are what ADD is for; a variable or a glob may be one. */
static bool needs_add(struct view source)
{
    static const char *const endings[] = {".tar", ".gz",  ".tgz",  ".bz2", ".tbz2", ".xz",
                                          ".txz", ".zst", ".tzst", ".git", ".zip"};

    if (memmem(source.data, source.size, "://", 3) || view_starts(source, "git@"))
        return true;
    for (size_t i = 0; i < source.size; i++)
        if (strchr("$*?[", source.data[i]))
            return true;
    for (size_t i = 0; i < ARRAY_COUNT(endings); i++)
        if (view_ends(source, endings[i]))
            return true;
    return false;
}

static void check_add(struct dockerfile_checker *check,
                      const struct dockerfile_instruction *instruction)
{
    const struct dockerfile_copy *copy = instruction->copy;

    if (copy->checksum.text.size > 0 || copy->unpack != DOCKERFILE_SWITCH_UNSET ||
        copy->keep_git_dir != DOCKERFILE_SWITCH_UNSET)
        return;
    for (size_t i = 0; i < copy->sources.count; i++)
        if (needs_add(copy->sources.items[i].text))
            return;
    dockerfile_check_report(check, DOCKERFILE_RULE_ADD_INSTEAD_OF_COPY,
                            instruction->name.pos,
                            "Use COPY where no archive is unpacked and no URL fetched");
}

void dockerfile_check_extra(struct dockerfile_checker *check,
                            const struct dockerfile_instruction *instruction,
                            const struct dockerfile_scope *scope)
{
    if (!check->options->extra)
        return;
    if (instruction->kind == DOCKERFILE_RUN)
        check_run(check, instruction, scope);
    else if (instruction->kind == DOCKERFILE_ADD)
        check_add(check, instruction);
}
