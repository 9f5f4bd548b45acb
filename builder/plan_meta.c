/*
 * Instructions that only change the image config, and WORKDIR.
 */
#include "builder/plan_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void history(struct plan_stage *s, struct buf *text, bool empty_layer)
{
    build_config_history(&s->config, buf_text(text), empty_layer);
}

/* --- ENV, LABEL, ARG --- */

struct expanded {
    char *name;
    char *value;
};

static int expand_pairs(struct planner *p,
                        struct plan_stage *s,
                        const struct dockerfile_env *env,
                        struct expanded *out,
                        struct error *err)
{
    for (size_t i = 0; i < env->count; i++) {
        out[i].name = plan_expand(p, s, env->pairs[i].name.text, err);
        if (!out[i].name)
            return -1;
        out[i].value = plan_expand(p, s, env->pairs[i].value.text, err);
        if (!out[i].value)
            return -1;
    }
    return 0;
}

/* All values are expanded with the variables as they stood before the instruction. */
static int meta_pairs(struct planner *p,
                      struct plan_stage *s,
                      const struct dockerfile_instruction *in,
                      struct error *err)
{
    const bool is_env = in->kind == DOCKERFILE_ENV;
    struct expanded *pairs = base_alloc_array(in->env->count + 1, sizeof *pairs);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    int status = expand_pairs(p, s, in->env, pairs, err);

    buf_append_text(&text, is_env ? "ENV" : "LABEL");
    for (size_t i = 0; i < in->env->count; i++) {
        if (status == 0 && is_env)
            status = plan_env_check(&s->env, err);
        if (status == 0 && is_env) {
            plan_env_set(&s->env, view_of(pairs[i].name), view_of(pairs[i].value));
            build_config_env_set(&s->config, view_of(pairs[i].name),
                                 view_of(pairs[i].value));
        } else if (status == 0) {
            build_config_set_key(&s->config, "Labels", pairs[i].name, pairs[i].value);
        }
        buf_printf(&text, " %s=%s", pairs[i].name ? pairs[i].name : "",
                   pairs[i].value ? pairs[i].value : "");
        free(pairs[i].name);
        free(pairs[i].value);
    }
    free(pairs);
    if (status == 0)
        history(s, &text, true);
    return status;
}

/* What the build arguments say; else what the Dockerfile says; else the global value. */
static int arg_value(struct planner *p,
                     struct plan_stage *s,
                     const struct dockerfile_pair *pair,
                     char **out,
                     struct error *err)
{
    struct view value;

    *out = NULL;
    if (plan_env_get(&p->build_args, pair->name.text, &value)) {
        *out = view_dup(value);
        return 0;
    }
    if (dockerfile_word_given(pair->value)) {
        *out = plan_expand(p, s, pair->value.text, err);
        return *out ? 0 : -1;
    }
    if (plan_env_get(&p->globals, pair->name.text, &value))
        *out = view_dup(value);
    return 0;
}

/* What these say is for the builder: no step sees it. */
static bool is_env_arg(struct view name)
{
    return !view_eq_text(name, "BUILDKIT_SBOM_SCAN_CONTEXT") &&
           !view_eq_text(name, "BUILDKIT_SBOM_SCAN_STAGE");
}

static int meta_arg(struct planner *p,
                    struct plan_stage *s,
                    const struct dockerfile_arg *arg,
                    struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    buf_append_text(&text, "ARG");
    for (size_t i = 0; i < arg->count; i++) {
        const struct view name = arg->pairs[i].name.text;
        char *value;

        if (arg_value(p, s, &arg->pairs[i], &value, err) < 0)
            return -1;
        buf_printf(&text, " %.*s", VIEW_ARG(name));
        if (value) {
            buf_printf(&text, "=%s", value);
            if (is_env_arg(name))
                plan_env_set(&s->env, name, view_of(value));
        }
        plan_env_put(&s->args, name, view_of(value ? value : ""));
        free(value);
        if (plan_env_check(&s->args, err) < 0)
            return -1;
    }
    history(s, &text, true);
    return 0;
}

/* --- Commands --- */

static char **command_list(const struct plan_stage *s,
                           const struct dockerfile_command *c,
                           size_t *count)
{
    const struct doc *shell = doc_get(doc_get(s->config.root, "config"), "Shell");
    const size_t shell_count = doc_count(shell);
    char **list = base_alloc_array(c->args.count + shell_count + 4, sizeof(char *));

    *count = 0;
    if (!c->exec) {
        for (size_t i = 0; i < shell_count; i++)
            list[(*count)++] = view_dup(doc_view(doc_at(shell, i)));
        if (shell_count == 0) {
            list[(*count)++] = base_strdup("/bin/sh");
            list[(*count)++] = base_strdup("-c");
        }
    }
    for (size_t i = 0; i < c->args.count; i++)
        list[(*count)++] = view_dup(c->args.items[i].text);
    /* A bare CMD is a shell's empty command line. */
    if (!c->exec && c->args.count == 0)
        list[(*count)++] = base_strdup("");
    return list;
}

static void free_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

static void append_list(struct buf *text, char *const *list, size_t count)
{
    buf_append_char(text, '[');
    for (size_t i = 0; i < count; i++)
        buf_printf(text, "%s\"%s\"", i ? " " : "", list[i]);
    buf_append_char(text, ']');
}

static void meta_command(struct plan_stage *s, const struct dockerfile_instruction *in)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    size_t count;
    char **list = command_list(s, in->command, &count);

    if (in->kind == DOCKERFILE_CMD) {
        build_config_set_list(&s->config, "Cmd", list, count);
        doc_set_bool(build_config_inner(&s->config), "ArgsEscaped", true);
        s->cmd_set = true;
    } else {
        build_config_set_list(&s->config, "Entrypoint", list, count);
        if (!s->cmd_set)
            build_config_set_list(&s->config, "Cmd", NULL, 0);
    }
    buf_printf(&text, "%s ", dockerfile_kind_name(in->kind));
    append_list(&text, list, count);
    free_list(list, count);
    history(s, &text, true);
}

static void meta_shell(struct plan_stage *s, const struct dockerfile_command *c)
{
    const struct dockerfile_command exec = {.exec = true, .args = c->args};
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    size_t count;
    char **list = command_list(s, &exec, &count);

    build_config_set_list(&s->config, "Shell", list, count);
    buf_append_text(&text, "SHELL [");
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%s%s", i ? " " : "", list[i]);
    buf_append_char(&text, ']');
    free_list(list, count);
    history(s, &text, true);
}

/* --- One word or several --- */

static int meta_expose(struct planner *p,
                       struct plan_stage *s,
                       const struct dockerfile_words *words,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(dockerfile_strings_release) struct dockerfile_strings ports = {0};

    for (size_t i = 0; i < words->count; i++)
        if (plan_expand_words(p, s, words->items[i].text, &ports, err) < 0)
            return -1;
    buf_append_text(&text, "EXPOSE [");
    for (size_t i = 0; i < ports.count; i++)
        if (plan_expose(&s->config, ports.items[i], &text, err) < 0)
            return -1;
    buf_append_char(&text, ']');
    history(s, &text, true);
    return 0;
}

static int meta_volume(struct planner *p,
                       struct plan_stage *s,
                       const struct dockerfile_words *words,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    buf_append_text(&text, "VOLUME [");
    for (size_t i = 0; i < words->count; i++) {
        CLEANUP(base_freep) char *path = plan_expand(p, s, words->items[i].text, err);

        if (!path)
            return -1;
        if (*path == '\0')
            return error_set(err, ERROR_INVALID,
                             "VOLUME specified can not be an empty string");
        build_config_set_key(&s->config, "Volumes", path, NULL);
        buf_printf(&text, "%s%s", i ? " " : "", path);
    }
    buf_append_char(&text, ']');
    history(s, &text, true);
    return 0;
}

/* Any number but zero, with or without a sign, as Go's Atoi reads it. */
static bool is_signal_number(const char *text)
{
    uint64_t number;

    if (*text == '+' || *text == '-')
        text++;
    return view_to_u64(view_of(text), &number) && number > 0 && number <= INT64_MAX;
}

static bool is_signal_name(const char *name)
{
    static const char *const names[] = {
        "ABRT", "ALRM",   "BUS",  "CHLD",   "CLD",   "CONT", "FPE",  "HUP",  "ILL",
        "INT",  "IO",     "IOT",  "KILL",   "PIPE",  "POLL", "PROF", "PWR",  "QUIT",
        "SEGV", "STKFLT", "STOP", "SYS",    "TERM",  "TRAP", "TSTP", "TTIN", "TTOU",
        "URG",  "USR1",   "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ"};
    uint64_t offset;

    if (strncasecmp(name, "SIG", 3) == 0)
        name += 3;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    if (strncasecmp(name, "RTMIN", 5) == 0)
        return name[5] == '\0' ||
               (name[5] == '+' && view_to_u64(view_of(name + 6), &offset) && offset >= 1 &&
                offset <= 15);
    if (strncasecmp(name, "RTMAX", 5) == 0)
        return name[5] == '\0' ||
               (name[5] == '-' && view_to_u64(view_of(name + 6), &offset) && offset >= 1 &&
                offset <= 14);
    return false;
}

static int meta_stopsignal(struct planner *p,
                           struct plan_stage *s,
                           struct view word,
                           struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(base_freep) char *name = plan_expand(p, s, word, err);
    if (!name)
        return -1;
    if (!is_signal_number(name) && !is_signal_name(name))
        return error_set(err, ERROR_INVALID, "invalid signal: %s", name);
    build_config_set_text(&s->config, "StopSignal", name);
    buf_printf(&text, "STOPSIGNAL %s", name);
    history(s, &text, true);
    return 0;
}

static int meta_user(struct planner *p,
                     struct plan_stage *s,
                     struct view word,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(base_freep) char *user = plan_expand(p, s, word, err);

    if (!user)
        return -1;
    build_config_set_text(&s->config, "User", user);
    buf_printf(&text, "USER %s", user);
    history(s, &text, true);
    return 0;
}

static char *workdir_of(const struct plan_stage *s, const char *path)
{
    const char *parent = build_config_text(&s->config, "WorkingDir");
    CLEANUP(base_freep) char *joined = NULL;

    if (*path == '/')
        return base_strdup(path);
    joined = base_format("%s/%s", parent, path);
    return path_clean_rooted(view_of(joined));
}

static int meta_workdir(struct planner *p,
                        struct plan_stage *s,
                        const struct plan_command *c,
                        struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(base_freep) char *typed = plan_expand(p, s, c->instruction->word->text, err);
    CLEANUP(base_freep) char *path = NULL;
    CLEANUP(base_freep)
    char *before = base_strdup(build_config_text(&s->config, "WorkingDir"));
    const bool has_layer = typed && (path = workdir_of(s, typed)) && strcmp(path, "/") != 0;

    if (!typed)
        return -1;
    build_config_set_text(&s->config, "WorkingDir", path);
    if (has_layer) {
        const char *user = build_config_text(&s->config, "User");
        struct build_node *n = plan_add_node(p, s, c, BUILD_OP_MKDIR);

        n->mkdir.path = path_clean_rooted(view_of(path));
        n->mkdir.user = *user ? base_strdup(user) : NULL;
        plan_run_beside(p, s, before, n);
        s->node = n;
    }
    buf_printf(&text, "WORKDIR %s", path);
    history(s, &text, !has_layer);
    return 0;
}

static void meta_maintainer(struct plan_stage *s, struct view word)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    doc_set_view(s->config.root, "author", word);
    buf_printf(&text, "MAINTAINER %.*s", VIEW_ARG(word));
    history(s, &text, true);
}

static void meta_onbuild(struct plan_stage *s, struct view expression)
{
    const struct doc *old = doc_get(doc_get(s->config.root, "config"), "OnBuild");
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < doc_count(old); i++)
        doc_append(list, doc_copy(doc_at(old, i)));
    doc_append(list, doc_new_text(expression));
    doc_set(build_config_inner(&s->config), "OnBuild", list);
}

int plan_meta(struct planner *p,
              struct plan_stage *s,
              const struct plan_command *c,
              struct error *err)
{
    const struct dockerfile_instruction *in = c->instruction;

    switch (in->kind) {
    case DOCKERFILE_ENV:
    case DOCKERFILE_LABEL:
        return meta_pairs(p, s, in, err);
    case DOCKERFILE_ARG:
        return meta_arg(p, s, in->arg, err);
    case DOCKERFILE_CMD:
    case DOCKERFILE_ENTRYPOINT:
        meta_command(s, in);
        return 0;
    case DOCKERFILE_SHELL:
        meta_shell(s, in->command);
        return 0;
    case DOCKERFILE_HEALTHCHECK:
        plan_healthcheck(s, in->healthcheck);
        return 0;
    case DOCKERFILE_EXPOSE:
        return meta_expose(p, s, in->words, err);
    case DOCKERFILE_VOLUME:
        return meta_volume(p, s, in->words, err);
    case DOCKERFILE_STOPSIGNAL:
        return meta_stopsignal(p, s, in->word->text, err);
    case DOCKERFILE_USER:
        return meta_user(p, s, in->word->text, err);
    case DOCKERFILE_WORKDIR:
        return meta_workdir(p, s, c, err);
    case DOCKERFILE_MAINTAINER:
        meta_maintainer(s, in->word->text);
        return 0;
    case DOCKERFILE_ONBUILD:
        meta_onbuild(s, in->onbuild->expression);
        return 0;
    case DOCKERFILE_ADD:
    case DOCKERFILE_COPY:
    case DOCKERFILE_FROM:
    case DOCKERFILE_RUN:
        break;
    }
    return error_set(err, ERROR_INVALID, "%s cannot stand here",
                     dockerfile_kind_name(in->kind));
}
