/*
 * RUN: the command line, environment and mounts of a step.
 */
#include "builder/plan_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- What is run --- */

/* Leaves room for two words more. */
static void set_shell(const struct plan_stage *s, struct build_run_op *op)
{
    const struct doc *shell = doc_get(doc_get(s->config.root, "config"), "Shell");
    const size_t shell_count = doc_count(shell);

    op->argv = base_alloc_array(shell_count + 4, sizeof(char *));
    for (size_t i = 0; i < shell_count; i++)
        op->argv[op->argc++] = view_dup(doc_view(doc_at(shell, i)));
    if (shell_count > 0)
        return;
    op->argv[op->argc++] = base_strdup("/bin/sh");
    op->argv[op->argc++] = base_strdup("-c");
}

static void set_argv(const struct plan_stage *s,
                     const struct dockerfile_run *run,
                     struct build_run_op *op)
{
    if (run->form == DOCKERFILE_RUN_EXEC) {
        op->argv = base_alloc_array(run->command.args.count + 1, sizeof(char *));
        for (size_t i = 0; i < run->command.args.count; i++)
            op->argv[op->argc++] = view_dup(run->command.args.items[i].text);
        return;
    }
    set_shell(s, op);
    if (run->form == DOCKERFILE_RUN_SCRIPT) {
        op->script = view_dup(run->script);
        op->script_name = view_dup(run->script_name);
        op->argv[op->argc++] = base_format("/dev/pipes/%s", op->script_name);
    } else {
        op->argv[op->argc++] = view_dup(run->script);
    }
}

static void set_env(const struct plan_stage *s, struct build_run_op *op)
{
    struct view ignored;

    op->env = base_alloc_array(s->env.count + 1, sizeof(char *));
    op->env_is_arg = base_alloc_array(s->env.count + 1, sizeof *op->env_is_arg);
    for (size_t i = 0; i < s->env.count; i++) {
        op->env_is_arg[i] = plan_env_get(&s->args, view_of(s->env.items[i].name), &ignored);
        op->env[op->env_count++] =
            base_format("%s=%s", s->env.items[i].name, s->env.items[i].value);
    }
}

/* A proxy given as build argument is seen by every RUN, in capitals and small letters,
 * without ARG and without a trace in cache or history. */
static void set_proxies(const struct planner *p, struct build_run_op *op)
{
    static const char *const names[] = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY",
                                        "NO_PROXY", "ALL_PROXY"};

    op->proxy_env = base_alloc_array(2 * ARRAY_COUNT(names) + 1, sizeof(char *));
    for (size_t k = 0; k < ARRAY_COUNT(names); k++) {
        const char *value = NULL;
        char small[16] = "";

        for (size_t i = 0; i < p->build_args.count; i++)
            if (strcasecmp(p->build_args.items[i].name, names[k]) == 0)
                value = p->build_args.items[i].value;
        if (!value || !*value)
            continue;
        for (size_t i = 0; names[k][i]; i++)
            small[i] = (char)tolower((unsigned char)names[k][i]);
        op->proxy_env[op->proxy_env_count++] = base_format("%s=%s", names[k], value);
        op->proxy_env[op->proxy_env_count++] = base_format("%s=%s", small, value);
    }
}

/* --- Mounts --- */

static char *mount_target(const struct plan_stage *s, const char *target)
{
    CLEANUP(base_freep) char *joined = NULL;

    if (*target == '/')
        return path_clean_rooted(view_of(target));
    joined = base_format("/%s/%s", build_config_text(&s->config, "WorkingDir"), target);
    return path_clean_rooted(view_of(joined));
}

static int read_secret(const struct plan_stage *s,
                       const struct dockerfile_mount *m,
                       struct build_mount *out,
                       struct error *err)
{
    const char *id = m->source && *m->source ? m->source : m->id && *m->id ? m->id : NULL;
    const bool has_target = m->target && *m->target;

    if (!id && !has_target)
        return error_set(err, ERROR_INVALID,
                         "secret mount: one of id, source, target is required");
    out->id = id ? base_strdup(id) : view_dup(path_base(view_of(m->target)));
    out->as_file = has_target || !m->env;
    if (m->env && !*m->env)
        return error_set(err, ERROR_INVALID,
                         "secret mount: env= names no variable: give it a name");
    out->env = m->env ? base_strdup(m->env) : NULL;
    if (has_target) {
        out->target = mount_target(s, m->target);
    } else if (out->as_file) {
        const struct view name = path_base(view_of(out->id));

        out->target = base_format("/run/secrets/%.*s", VIEW_ARG(name));
    }
    if (!out->has_owner)
        out->mode = 0400;
    return 0;
}

/* Where a bind or cache mount has its files from. */
static int set_from(struct planner *p,
                    const struct plan_command *c,
                    size_t i,
                    const struct dockerfile_mount *m,
                    struct build_mount *out,
                    struct error *err)
{
    struct plan_stage *from = c->sources[i];
    struct build_context *context;

    if (from) {
        if (!from->is_dispatched && (from->ast || !from->config.root))
            return error_set(err, ERROR_INVALID,
                             "cannot mount from stage \"%s\" to \"%s\", stage needs to be "
                             "defined before current command",
                             m->from, out->target);
        out->from = from->node;
        return 0;
    }
    if (m->type != DOCKERFILE_MOUNT_BIND)
        return 0;
    context = build_inputs_context(p->inputs, err);
    if (!context)
        return -1;
    out->from = plan_context_node(p, context, out->source, c->instruction->pos,
                                  "[internal] load build context");
    return 0;
}

/* The target as it is written, whatever the working directory, names a cache without an id.
 * BUILDKIT_CACHE_MOUNT_NS keeps the caches of, say, branches apart. */
static char *cache_id(const struct planner *p, const struct dockerfile_mount *m)
{
    CLEANUP(buf_release) struct buf id = BUF_INIT(LIMIT_TEXT_SIZE);
    const char *space = build_request_arg(p->request, "BUILDKIT_CACHE_MOUNT_NS");

    if (space && *space)
        buf_printf(&id, "%s/", space);
    if (m->id && *m->id)
        buf_append_text(&id, m->id);
    else
        path_clean(view_of(m->target ? m->target : ""), &id);
    return base_strdup(buf_text(&id));
}

static int read_tree(struct planner *p,
                     const struct plan_stage *s,
                     const struct plan_command *c,
                     size_t i,
                     const struct dockerfile_mount *m,
                     struct build_mount *out,
                     struct error *err)
{
    out->target = mount_target(s, m->target ? m->target : "");
    if (strcmp(out->target, "/") == 0)
        return error_set(err, ERROR_INVALID, "invalid mount target \"/\"");
    out->source = path_clean_rooted(view_of(m->source ? m->source : ""));
    if (m->type == DOCKERFILE_MOUNT_CACHE)
        out->id = cache_id(p, m);
    /* A part of a cache is what it is; only a whole one is made for its owner. */
    if (strcmp(out->source, "/") != 0)
        out->has_owner = false;
    if (!out->has_owner) {
        out->mode = 0755;
        out->uid = out->gid = 0;
    }
    if (m->type != DOCKERFILE_MOUNT_TMPFS)
        return set_from(p, c, i, m, out, err);
    if (strcmp(out->source, "/") != 0)
        return error_set(err, ERROR_NOT_FOUND,
                         "tmpfs mount at %s: there is no %s in an empty file system: leave "
                         "source away",
                         out->target, out->source);
    return 0;
}

/* Without a target the sockets of an instruction are numbered. */
static int read_ssh(const struct plan_stage *s,
                    const struct dockerfile_mount *m,
                    const struct build_run_op *op,
                    struct build_mount *out,
                    struct error *err)
{
    size_t number = 0;

    if (m->source && *m->source)
        return error_set(err, ERROR_INVALID, "ssh does not support source");
    for (size_t i = 0; &op->mounts[i] != out; i++)
        number += op->mounts[i].type == DOCKERFILE_MOUNT_SSH;
    out->id = base_strdup(m->id && *m->id ? m->id : "default");
    out->target = m->target && *m->target
                      ? mount_target(s, m->target)
                      : base_format("/run/buildkit/ssh_agent.%zu", number);
    return 0;
}

static uint32_t default_mode(enum dockerfile_mount_type type)
{
    switch (type) {
    case DOCKERFILE_MOUNT_SECRET:
        return 0400;
    case DOCKERFILE_MOUNT_SSH:
        return 0600;
    case DOCKERFILE_MOUNT_BIND:
    case DOCKERFILE_MOUNT_CACHE:
    case DOCKERFILE_MOUNT_TMPFS:
        break;
    }
    return 0755;
}

static int convert_mount(struct planner *p,
                         const struct plan_stage *s,
                         const struct plan_command *c,
                         size_t i,
                         const struct dockerfile_mount *m,
                         struct build_run_op *op,
                         struct error *err)
{
    struct build_mount *out = &op->mounts[op->mount_count];

    op->mount_count++;
    *out =
        (struct build_mount){.type = m->type,
                             .sharing = m->sharing,
                             .read_only = m->read_only,
                             .required = m->required,
                             .has_owner = m->has_mode || m->has_uid || m->has_gid,
                             .mode = m->has_mode ? m->mode & 0777 : default_mode(m->type),
                             .uid = m->has_uid ? m->uid : 0,
                             .gid = m->has_gid ? m->gid : 0,
                             .size = m->size};
    if (m->type == DOCKERFILE_MOUNT_SECRET)
        return read_secret(s, m, out, err);
    if (m->type == DOCKERFILE_MOUNT_SSH)
        return read_ssh(s, m, op, out, err);
    return read_tree(p, s, c, i, m, out, err);
}

/* Secrets and sockets come last, as they are written; all else in the order of the targets,
 * so that a directory is mounted before what is mounted in it. */
static int compare_mounts(const struct build_mount *a, const struct build_mount *b)
{
    const bool a_last =
        a->type == DOCKERFILE_MOUNT_SECRET || a->type == DOCKERFILE_MOUNT_SSH;
    const bool b_last =
        b->type == DOCKERFILE_MOUNT_SECRET || b->type == DOCKERFILE_MOUNT_SSH;

    if (a_last || b_last)
        return a_last - b_last;
    return strcmp(a->target, b->target);
}

/* Stable, and of a handful: of two at one target the later one counts. */
static void sort_mounts(struct build_run_op *op)
{
    for (size_t i = 1; i < op->mount_count; i++) {
        const struct build_mount m = op->mounts[i];
        size_t at = i;

        for (; at > 0 && compare_mounts(&op->mounts[at - 1], &m) > 0; at--)
            op->mounts[at] = op->mounts[at - 1];
        op->mounts[at] = m;
    }
}

static int set_mounts(struct planner *p,
                      const struct plan_stage *s,
                      const struct plan_command *c,
                      struct build_run_op *op,
                      struct error *err)
{
    const struct dockerfile_run *run = c->instruction->run;
    int status = 0;

    op->mounts = base_alloc_array(run->mount_count + 1, sizeof *op->mounts);
    for (size_t i = 0; status == 0 && i < run->mount_count; i++) {
        CLEANUP(dockerfile_mount_release) struct dockerfile_mount m = {0};

        status = plan_expand_mount(p, s, run->mounts[i].value, &m, err);
        if (status == 0)
            status = convert_mount(p, s, c, i, &m, op, err);
    }
    if (status == 0)
        sort_mounts(op);
    return status;
}

/* --- The rest --- */

static int check_rights(const struct planner *p,
                        const struct dockerfile_run *run,
                        struct error *err)
{
    if (run->insecure && !p->request->allow_insecure)
        return error_set(err, ERROR_DENIED,
                         "RUN --security=insecure is not allowed: give --allow "
                         "security.insecure if you trust this Dockerfile");
    if (run->network == DOCKERFILE_NETWORK_HOST && !p->request->allow_host_network)
        return error_set(err, ERROR_DENIED,
                         "RUN --network=host is not allowed: give --allow network.host if "
                         "you trust this Dockerfile");
    return 0;
}

/* The instruction's devices, and those that every step gets. */
static void set_devices(const struct planner *p,
                        const struct dockerfile_run *run,
                        struct build_run_op *op)
{
    op->devices = base_alloc_array(run->device_count + p->request->device_count + 1,
                                   sizeof *op->devices);
    for (size_t i = 0; i < p->request->device_count; i++)
        op->devices[op->device_count++] =
            (struct build_device){base_strdup(p->request->devices[i]), true};
    for (size_t i = 0; i < run->device_count; i++)
        op->devices[op->device_count++] = (struct build_device){
            view_dup(run->devices[i].name.text), run->devices[i].required};
}

/* --network is the default of what the instruction says. */
static enum dockerfile_network network_of(const struct planner *p,
                                          const struct dockerfile_run *run)
{
    const char *given = p->request->network;

    if (run->network != DOCKERFILE_NETWORK_DEFAULT || !given)
        return run->network;
    return strcmp(given, "none") == 0   ? DOCKERFILE_NETWORK_NONE
           : strcmp(given, "host") == 0 ? DOCKERFILE_NETWORK_HOST
                                        : DOCKERFILE_NETWORK_DEFAULT;
}

static void append_history(struct plan_stage *s, const struct build_run_op *op)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);

    buf_append_text(&text, "RUN");
    if (s->args.count > 0)
        buf_printf(&text, " |%zu", s->args.count);
    for (size_t i = 0; i < s->args.count; i++) {
        struct view value = view_of(s->args.items[i].value);

        plan_env_get(&s->env, view_of(s->args.items[i].name), &value);
        buf_printf(&text, " %s=%.*s", s->args.items[i].name, VIEW_ARG(value));
    }
    for (size_t i = 0; i < op->argc; i++)
        buf_printf(&text, " %s", op->argv[i]);
    buf_append_text(&text, " # cooper");
    build_config_history(&s->config, buf_text(&text), false);
}

/* What every command of the stage has. */
static void set_stage(const struct planner *p,
                      const struct plan_stage *s,
                      const char *workdir,
                      struct build_run_op *op)
{
    const char *user = build_config_text(&s->config, "User");

    set_env(s, op);
    set_proxies(p, op);
    op->hostname = build_request_arg(p->request, "BUILDKIT_SANDBOX_HOSTNAME");
    op->ulimits = p->request->ulimits;
    op->ulimit_count = p->request->ulimit_count;
    op->user = *user ? base_strdup(user) : NULL;
    op->workdir = base_strdup(*workdir ? workdir : "/");
    op->platform = *plan_stage_platform(p, s);
}

void plan_run_beside(const struct planner *p,
                     const struct plan_stage *s,
                     const char *workdir,
                     struct build_node *n)
{
    n->beside = base_alloc(sizeof *n->beside);
    set_shell(s, n->beside);
    set_stage(p, s, workdir, n->beside);
}

int plan_run(struct planner *p,
             struct plan_stage *s,
             const struct plan_command *c,
             struct error *err)
{
    const struct dockerfile_run *run = c->instruction->run;
    struct build_run_op op = {.network = network_of(p, run), .insecure = run->insecure};
    struct build_node *n;
    int status = check_rights(p, run, err);

    /* Context nodes of the mounts come before the step in the graph. */
    if (status == 0)
        status = set_mounts(p, s, c, &op, err);
    n = plan_add_node(p, s, c, BUILD_OP_RUN);
    set_argv(s, run, &op);
    set_stage(p, s, build_config_text(&s->config, "WorkingDir"), &op);
    set_devices(p, run, &op);
    n->run = op;
    if (status < 0)
        return -1;
    append_history(s, &n->run);
    s->node = n;
    return 0;
}
