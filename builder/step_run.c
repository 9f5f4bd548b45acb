/*
 * RUN: one command in the sandbox, on a snapshot of the layers below; what it changed
 * becomes a layer.
 */
#include "builder/solve_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/cache_mount.h"
#include "builder/sandbox/sandbox.h"
#include "builder/step_io.h"
#include "builder/step_users.h"
#include "cas/snapshot.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Everything that a step holds while it runs. */
struct run {
    struct solve_node *n;
    const struct build_run_op *op;
    struct cas_snapshot *root;
    struct cas_snapshot **snapshots;  /* per mount; NULL where it has none */
    struct build_cache_mount *caches; /* per mount */
    struct buf *secrets;              /* per mount */
    struct sandbox_mount *mounts;
    size_t mount_count;
    char **env; /* owned texts, then NULL */
    size_t env_count;
    struct build_process_user user;
    struct buf hosts;
    struct buf resolv;
};

static void run_init(struct run *r, struct solve_node *n)
{
    const struct build_run_op *op = &n->node->run;

    *r = (struct run){.n = n,
                      .op = op,
                      .hosts = BUF_INIT(LIMIT_TEXT_SIZE),
                      .resolv = BUF_INIT(LIMIT_TEXT_SIZE)};
    r->snapshots = base_alloc_array(op->mount_count + 1, sizeof(struct cas_snapshot *));
    r->caches = base_alloc_array(op->mount_count + 1, sizeof *r->caches);
    r->secrets = base_alloc_array(op->mount_count + 1, sizeof *r->secrets);
    r->mounts = base_alloc_array(op->mount_count + 2, sizeof *r->mounts);
    r->env = base_alloc_array(op->env_count + op->proxy_env_count + op->mount_count + 3,
                              sizeof(char *));
    for (size_t i = 0; i < op->mount_count; i++) {
        r->caches[i] = (struct build_cache_mount){.dir_fd = -1, .lock_fd = -1};
        buf_init(&r->secrets[i], LIMIT_SECRET_SIZE);
    }
}

static void run_release(struct run *r)
{
    for (size_t i = 0; i < r->op->mount_count; i++) {
        cas_snapshot_discard(r->snapshots[i]);
        build_cache_mount_close(&r->caches[i]);
        if (r->secrets[i].data)
            explicit_bzero(r->secrets[i].data, r->secrets[i].size);
        buf_release(&r->secrets[i]);
    }
    for (size_t i = 0; i < r->env_count; i++) {
        explicit_bzero(r->env[i], strlen(r->env[i]));
        free(r->env[i]);
    }
    cas_snapshot_discard(r->root);
    free(r->snapshots);
    free(r->caches);
    free(r->secrets);
    free(r->mounts);
    free(r->env);
    build_process_user_release(&r->user);
    buf_release(&r->hosts);
    buf_release(&r->resolv);
}

/* --- Environment --- */

static void env_set(struct run *r, const char *name, const char *value)
{
    const size_t size = strlen(name);

    for (size_t i = 0; i < r->env_count; i++) {
        if (strncmp(r->env[i], name, size) != 0 || r->env[i][size] != '=')
            continue;
        free(r->env[i]);
        r->env[i] = base_format("%s=%s", name, value);
        return;
    }
    r->env[r->env_count++] = base_format("%s=%s", name, value);
}

static bool env_has(const struct run *r, const char *name)
{
    const size_t size = strlen(name);

    for (size_t i = 0; i < r->env_count; i++)
        if (strncmp(r->env[i], name, size) == 0 && r->env[i][size] == '=')
            return true;
    return false;
}

static void set_env(struct run *r)
{
    for (size_t i = 0; i < r->op->env_count; i++)
        r->env[r->env_count++] = base_strdup(r->op->env[i]);
    for (size_t i = 0; i < r->op->proxy_env_count; i++) {
        struct view name, value;

        view_cut(view_of(r->op->proxy_env[i]), '=', &name, &value);
        char *text = view_dup(name);
        if (!env_has(r, text))
            env_set(r, text, value.data);
        free(text);
    }
    if (!env_has(r, "HOME"))
        env_set(r, "HOME", r->user.home);
}

/* --- Mounts --- */

static const struct build_secret *find_secret(const struct run *r, const char *id)
{
    const struct build_request *request = r->n->solver->request;

    for (size_t i = 0; i < request->secret_count; i++)
        if (strcmp(request->secrets[i].id, id) == 0)
            return &request->secrets[i];
    return NULL;
}

static int read_secret(const struct build_secret *secret,
                       struct buf *out,
                       struct error *err)
{
    const char *value = secret->env ? getenv(secret->env) : NULL;

    if (secret->env && !value)
        return error_set(err, ERROR_NOT_FOUND, "environment variable %s is not set",
                         secret->env);
    if (!secret->env)
        return fs_read_file_at(AT_FDCWD, secret->file, out, err);
    buf_append_text(out, value);
    return buf_ok(out, "secret", err);
}

static int add_secret(struct run *r, size_t i, struct error *err)
{
    const struct build_mount *m = &r->op->mounts[i];
    const struct build_secret *secret = find_secret(r, m->id);

    if (secret && read_secret(secret, &r->secrets[i], err) < 0)
        return error_wrap(err, "secret %s", m->id);
    if (!secret && m->required)
        return error_set(err, ERROR_NOT_FOUND,
                         "secret %s: not found: give it with --secret id=%s,src=FILE",
                         m->id, m->id);
    /* As BuildKit has it: without the secret the variable is there, and empty. */
    if (m->env)
        env_set(r, m->env, buf_text(&r->secrets[i]));
    if (!m->as_file || !secret)
        return 0;
    r->mounts[r->mount_count++] =
        (struct sandbox_mount){.type = SANDBOX_MOUNT_FILE,
                               .target = m->target,
                               .readonly = true,
                               .content = buf_view(&r->secrets[i]),
                               .mode = m->mode,
                               .uid = m->uid,
                               .gid = m->gid};
    return 0;
}

static int add_bind(struct run *r, size_t i, struct error *err)
{
    const struct build_mount *m = &r->op->mounts[i];
    const struct solve_node *from = m->from ? solve_of(r->n->solver, m->from) : NULL;

    r->snapshots[i] = cas_snapshot_new(r->n->solver->env->store, from ? from->layers : NULL,
                                       from ? from->count : 0, CAS_SNAPSHOT_AUTO, err);
    if (!r->snapshots[i])
        return -1;
    r->mounts[r->mount_count++] =
        (struct sandbox_mount){.type = SANDBOX_MOUNT_SNAPSHOT,
                               .target = m->target,
                               .readonly = m->read_only,
                               .snapshot = cas_snapshot_mount(r->snapshots[i]),
                               .source = m->source};
    return 0;
}

static bool is_cancelled(void *context)
{
    const struct run *r = context;

    return solve_is_cancelled(r->n->solver);
}

struct named_cache {
    char *name;
    size_t at; /* which of the mounts */
    const struct solve_node *from;
};

static int compare_caches(const void *a, const void *b)
{
    const struct named_cache *x = a;
    const struct named_cache *y = b;
    const int order = strcmp(x->name, y->name);

    return order ? order : (x->at > y->at) - (x->at < y->at);
}

/* Finds the cache mounts and what they are called. */
static int name_caches(const struct run *r,
                       struct named_cache *out,
                       size_t *count,
                       struct error *err)
{
    for (size_t i = 0; i < r->op->mount_count; i++) {
        const struct build_mount *m = &r->op->mounts[i];
        const struct solve_node *from = m->from ? solve_of(r->n->solver, m->from) : NULL;

        if (m->type != DOCKERFILE_MOUNT_CACHE)
            continue;
        for (size_t k = 0; from && k < from->count; k++)
            if (cas_layer_wait(from->layers[k], err) < 0)
                return -1;
        out[(*count)++] = (struct named_cache){
            build_cache_mount_name(m, from ? from->layers : NULL, from ? from->count : 0),
            i, from};
    }
    if (*count > 1)
        qsort(out, *count, sizeof *out, compare_caches);
    return 0;
}

static int open_cache(struct run *r,
                      const struct named_cache *c,
                      const struct named_cache *previous,
                      struct error *err)
{
    const struct build_mount *m = &r->op->mounts[c->at];
    const struct build_cache_wait wait = {is_cancelled, r};
    int status;

    if (previous && strcmp(previous->name, c->name) == 0 &&
        r->op->mounts[previous->at].sharing == m->sharing)
        status = build_cache_mount_share(&r->caches[previous->at], &r->caches[c->at], err);
    else
        status = build_cache_mount_open(
            r->n->solver->env->store, m, c->from ? c->from->layers : NULL,
            c->from ? c->from->count : 0, &wait, &r->caches[c->at], err);
    return status < 0 ? error_wrap(err, "cache mount %s", m->id) : 0;
}

/* In the order of their names, so that no two steps wait for each other's locks. */
static int open_caches(struct run *r, struct error *err)
{
    struct named_cache *caches = base_alloc_array(r->op->mount_count + 1, sizeof *caches);
    size_t count = 0;
    int status = name_caches(r, caches, &count, err);

    for (size_t i = 0; status == 0 && i < count; i++)
        status = open_cache(r, &caches[i], i > 0 ? &caches[i - 1] : NULL, err);
    for (size_t i = 0; i < count; i++)
        free(caches[i].name);
    free(caches);
    return status;
}

static void add_cache(struct run *r, size_t i)
{
    const struct build_mount *m = &r->op->mounts[i];

    r->mounts[r->mount_count++] = (struct sandbox_mount){.type = SANDBOX_MOUNT_BIND,
                                                         .target = m->target,
                                                         .readonly = m->read_only,
                                                         .source_fd = r->caches[i].dir_fd};
}

static int add_mount(struct run *r, size_t i, struct error *err)
{
    const struct build_mount *m = &r->op->mounts[i];

    switch (m->type) {
    case DOCKERFILE_MOUNT_BIND:
        return add_bind(r, i, err);
    case DOCKERFILE_MOUNT_CACHE:
        add_cache(r, i);
        return 0;
    case DOCKERFILE_MOUNT_TMPFS:
        r->mounts[r->mount_count++] = (struct sandbox_mount){
            .type = SANDBOX_MOUNT_TMPFS, .target = m->target, .size = (uint64_t)m->size};
        return 0;
    case DOCKERFILE_MOUNT_SECRET:
        return add_secret(r, i, err);
    case DOCKERFILE_MOUNT_SSH:
        break;
    }
    return 0;
}

static void add_script(struct run *r, char **target)
{
    if (!r->op->script)
        return;
    *target = base_format("/dev/pipes/%s", r->op->script_name);
    r->mounts[r->mount_count++] = (struct sandbox_mount){.type = SANDBOX_MOUNT_FILE,
                                                         .target = *target,
                                                         .readonly = true,
                                                         .content = view_of(r->op->script),
                                                         .mode = 0755};
}

/* --- Network --- */

static void set_hosts(struct run *r)
{
    const struct build_request *request = r->n->solver->request;

    buf_append_text(&r->hosts, "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost "
                               "ip6-localhost ip6-loopback\n");
    for (size_t i = 0; i < request->add_host_count; i++)
        buf_printf(&r->hosts, "%s\t%s\n", request->add_hosts[i].value,
                   request->add_hosts[i].name);
}

/* The host's own resolver, since the step has the host's network. Without one there is
 * none. */
static void set_resolv(struct run *r)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    if (fs_read_file_at(AT_FDCWD, "/etc/resolv.conf", &r->resolv, &ignored) < 0)
        buf_clear(&r->resolv);
}

static enum sandbox_network network_of(const struct run *r)
{
    return r->op->network == DOCKERFILE_NETWORK_NONE ? SANDBOX_NETWORK_NONE
                                                     : SANDBOX_NETWORK_HOST;
}

/* --- Running --- */

static void output(void *context, int stream, const char *data, size_t size)
{
    const struct run *r = context;
    const struct event e = {.type = EVENT_STEP_OUTPUT,
                            .step = r->n->step,
                            .stream = stream,
                            .name = r->n->node->title,
                            .data = {data, size}};

    event_send(&r->n->solver->env->sink, e);
}

static char *command_text(const struct build_run_op *op)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);

    for (size_t i = 0; i < op->argc; i++)
        buf_printf(&text, "%s%s", i ? " " : "", op->argv[i]);
    return text.size ? buf_take(&text) : base_strdup("");
}

static int check_status(const struct run *r,
                        const struct sandbox_status *status,
                        struct error *err)
{
    CLEANUP(base_freep) char *command = NULL;

    if (solve_is_cancelled(r->n->solver))
        return error_set(err, ERROR_CANCELLED, "interrupted");
    if (status->exit_code == 0)
        return 0;
    command = command_text(r->op);
    if (status->signal)
        return error_set(
            err, ERROR_FAILED,
            "process \"%s\" did not complete successfully: killed by signal %d (%s)%s",
            command, status->signal, strsignal(status->signal),
            status->signal == 9 ? ": perhaps out of memory" : "");
    return error_set(err, ERROR_FAILED,
                     "process \"%s\" did not complete successfully: exit code: %d", command,
                     status->exit_code);
}

static int start_failed(const struct run *r,
                        const struct sandbox_process *p,
                        struct error *err)
{
    CLEANUP(base_freep) char *command = command_text(r->op);

    if (sandbox_exec_failed(p))
        err->code = ERROR_FAILED;
    return error_wrap(err, "process \"%s\" could not be started", command);
}

static int run_process(struct run *r,
                       const struct sandbox_spec *spec,
                       struct step_pipes *pipes,
                       struct error *err)
{
    CLEANUP(sandbox_discardp)
    struct sandbox_process *p = sandbox_spawn(r->n->solver->env->sandbox, spec, err);
    struct sandbox_status status;
    int result;

    if (!p || step_pipes_pump(pipes, p, output, is_cancelled, r, err) < 0)
        return -1;
    result = sandbox_wait(p, &status, err);
    for (size_t i = 0; sandbox_stub_at(p, i); i++)
        cas_snapshot_add_stub(r->root, sandbox_stub_at(p, i));
    if (result < 0)
        return solve_is_cancelled(r->n->solver)
                   ? error_set(err, ERROR_CANCELLED, "interrupted")
                   : start_failed(r, p, err);
    return check_status(r, &status, err);
}

static int execute(struct run *r, struct error *err)
{
    const struct build_request *request = r->n->solver->request;
    struct step_pipes pipes;
    struct sandbox_spec spec = {
        .root = cas_snapshot_mount(r->root),
        .mounts = r->mounts,
        .mount_count = r->mount_count,
        .argv = (const char *const *)r->op->argv,
        .env = (const char *const *)r->env,
        .cwd = r->op->workdir,
        .uid = r->user.uid,
        .gid = r->user.gid,
        .groups = r->user.groups,
        .group_count = r->user.group_count,
        .network = network_of(r),
        .resolv_conf = r->resolv.size ? buf_text(&r->resolv) : NULL,
        .hosts = buf_text(&r->hosts),
        .insecure = r->op->insecure,
        .capabilities = r->op->insecure ? SANDBOX_CAPABILITIES_ALL : 0,
        .shm_size = request->shm_size,
    };
    int status;

    if (step_pipes_open(&pipes, err) < 0)
        return -1;
    spec.stdio = pipes.theirs;
    status = run_process(r, &spec, &pipes, err);
    step_pipes_close(&pipes);
    return status;
}

/* --- The layer --- */

static int commit(struct run *r, struct error *err)
{
    struct cas_layer_options options = solve_layer_options(r->n);
    struct cas_snapshot *root = r->root;
    int64_t created = solve_now_ns();
    struct cas_layer *layer;
    bool changed;

    r->root = NULL;
    options.unpack = false; /* the upper directory itself is the unpacked layer */
    layer = cas_snapshot_commit(root, &options, &changed, err);
    if (!layer && err->code != ERROR_NONE)
        return -1;
    /* A step that changed nothing still has its layer, as in every docker image. */
    if (!layer && !(layer = cas_layer_write(r->n->solver->env->store, NULL, 0, NULL, NULL,
                                            &options, err)))
        return -1;
    if (solve_adopt(r->n, &layer, &created, err) < 0) {
        cas_layer_unref(layer);
        return -1;
    }
    solve_set_result(r->n, layer, created);
    return 0;
}

static int prepare(struct run *r, struct error *err)
{
    const struct solve_node *base =
        r->n->node->base ? solve_of(r->n->solver, r->n->node->base) : NULL;
    struct cas_layer *const *layers = base ? base->layers : NULL;
    const size_t count = base ? base->count : 0;
    struct cas_snapshot_mount mount;

    r->root =
        cas_snapshot_new(r->n->solver->env->store, layers, count, CAS_SNAPSHOT_AUTO, err);
    if (!r->root)
        return -1;
    mount = cas_snapshot_mount(r->root);
    if (step_user(&mount, layers, count, r->op->user, &r->user, err) < 0)
        return -1;
    set_env(r);
    if (open_caches(r, err) < 0)
        return -1;
    for (size_t i = 0; i < r->op->mount_count; i++)
        if (add_mount(r, i, err) < 0)
            return -1;
    set_hosts(r);
    set_resolv(r);
    return 0;
}

int step_run(struct solve_node *n, struct error *err)
{
    char *script = NULL;
    struct run r;
    int status;

    if (!n->solver->env->sandbox)
        return error_set(err, ERROR_UNSUPPORTED,
                         "RUN needs a sandbox, which this process could not start");
    run_init(&r, n);
    status = prepare(&r, err);
    if (status == 0) {
        add_script(&r, &script);
        status = execute(&r, err);
    }
    if (status == 0)
        status = commit(&r, err);
    run_release(&r);
    free(script);
    return status;
}
