/*
 * RUN: one command in the sandbox, on a snapshot of the layers below; what it changed
 * becomes a layer.
 */
#include "builder/step_run_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/solve_failed.h"
#include "builder/step_foreign.h"
#include "builder/step_io.h"
#include "builder/step_output.h"
#include "builder/step_shared.h"
#include "builder/step_users.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void step_run_init(struct step_run *r, struct solve_node *n)
{
    const struct build_run_op *op = &n->node->run;

    *r = (struct step_run){.n = n,
                           .op = op,
                           .hosts = BUF_INIT(LIMIT_TEXT_SIZE),
                           .bundle = BUF_INIT(LIMIT_TEXT_SIZE)};
    r->snapshots = base_alloc_array(op->mount_count + 1, sizeof(struct cas_snapshot *));
    r->caches = base_alloc_array(op->mount_count + 1, sizeof *r->caches);
    r->secrets = base_alloc_array(op->mount_count + 1, sizeof *r->secrets);
    for (size_t i = 0; i < op->mount_count; i++) {
        r->caches[i] = BUILD_CACHE_MOUNT_NONE;
        buf_init(&r->secrets[i], LIMIT_SECRET_SIZE);
    }
}

void step_run_release(struct step_run *r)
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
    free(r->script_target);
    for (size_t i = 0; i < r->kept_count; i++)
        fd_closep(&r->kept[i]);
    free(r->kept);
    for (size_t i = 0; i < r->bundle_count; i++)
        free(r->bundles[i]);
    free(r->bundles);
    free(r->rlimits);
    step_ssh_end(r);
    build_cgroup_end(&r->cgroup);
    build_process_user_release(&r->user);
    buf_release(&r->hosts);
    buf_release(&r->bundle);
}

void step_run_mount(struct step_run *r, struct sandbox_mount mount)
{
    /* The later one takes the place of one at the same target, but for sockets: those are
     * known by their number. */
    for (size_t i = 0; mount.type != SANDBOX_MOUNT_SOCKET && i < r->mount_count; i++) {
        if (r->mounts[i].type == SANDBOX_MOUNT_SOCKET ||
            strcmp(r->mounts[i].target, mount.target) != 0)
            continue;
        r->mounts[i] = mount;
        return;
    }
    r->mounts = base_grow(r->mounts, r->mount_count, &r->mount_room, sizeof *r->mounts);
    r->mounts[r->mount_count++] = mount;
}

void step_run_keep(struct step_run *r, int fd)
{
    r->kept = base_grow(r->kept, r->kept_count, &r->kept_room, sizeof *r->kept);
    r->kept[r->kept_count++] = fd;
}

bool step_run_is_cancelled(void *context)
{
    const struct step_run *r = context;

    return solve_is_cancelled(r->n->solver);
}

/* --- Running --- */

static void output(void *context, int stream, const char *data, size_t size)
{
    const struct step_run *r = context;

    step_output_write(r->output, stream, data, size);
}

static char *command_text(const struct build_run_op *op)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);

    for (size_t i = 0; i < op->argc; i++)
        buf_printf(&text, "%s%s", i ? " " : "", op->argv[i]);
    return text.size ? buf_take(&text) : base_strdup("");
}

static const char *kill_reason(const struct step_run *r, int number)
{
    if (build_cgroup_ran_out(&r->cgroup))
        return ": it needed more memory than the limit allows";
    return number == SIGKILL ? ": perhaps out of memory" : "";
}

static int check_status(const struct step_run *r,
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
            kill_reason(r, status->signal));
    return error_set(err, ERROR_FAILED,
                     "process \"%s\" did not complete successfully: exit code: %d%s",
                     command, status->exit_code, kill_reason(r, 0));
}

static int start_failed(const struct step_run *r,
                        const struct sandbox_process *p,
                        struct error *err)
{
    CLEANUP(base_freep) char *command = command_text(r->op);

    if (sandbox_exec_failed(p)) {
        err->code = ERROR_FAILED;
        step_foreign_explain(r, err);
    }
    return error_wrap(err, "process \"%s\" could not be started", command);
}

static int run_process(struct step_run *r,
                       const struct sandbox_spec *spec,
                       struct step_pipes *pipes,
                       struct error *err)
{
    CLEANUP(sandbox_discardp)
    struct sandbox_process *p = sandbox_spawn(r->n->solver->env->sandbox, spec, err);
    struct sandbox_status status;
    int result;

    if (!p || (r->agent_count > 0 && step_ssh_start(r, p, err) < 0) ||
        step_pipes_pump(pipes, p, output, step_run_is_cancelled, r, err) < 0)
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

struct sandbox_spec step_run_spec(const struct step_run *r)
{
    return (struct sandbox_spec){
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
        .network = r->network.mode,
        .netns_fd = r->network.netns_fd,
        .cgroup_fds = r->cgroup.procs,
        .cgroup_count = r->cgroup.count,
        .hostname = r->op->hostname,
        .resolv_conf = r->network.resolv_conf,
        .hosts = buf_text(&r->hosts),
        .rlimits = r->rlimits,
        .rlimit_count = r->op->ulimit_count,
        .insecure = r->op->insecure,
        .capabilities = r->op->insecure ? SANDBOX_CAPABILITIES_ALL : 0,
        .shm_size = r->n->solver->request->shm_size,
    };
}

static int execute(struct step_run *r, struct error *err)
{
    struct sandbox_spec spec = step_run_spec(r);
    struct step_pipes pipes;
    int status;

    if (step_pipes_open(&pipes, err) < 0)
        return -1;
    spec.stdio = pipes.theirs;
    r->output = step_output_new(r->n);
    status = run_process(r, &spec, &pipes, err);
    step_output_end(r->output);
    step_pipes_close(&pipes);
    return status;
}

/* --- The layer --- */

static int commit(struct step_run *r, struct error *err)
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

int step_run_prepare(struct step_run *r, struct error *err)
{
    const struct solve_node *base =
        r->n->node->base ? solve_of(r->n->solver, r->n->node->base) : NULL;
    struct cas_layer *const *layers = base ? base->layers : NULL;
    const size_t count = base ? base->count : 0;
    struct cas_snapshot_mount mount;

    if (!r->root)
        r->root = cas_snapshot_new(r->n->solver->env->store, layers, count,
                                   CAS_SNAPSHOT_AUTO, err);
    if (!r->root)
        return -1;
    mount = cas_snapshot_mount(r->root);
    if (step_user(&mount, layers, count, r->op->user, &r->user, err) < 0)
        return -1;
    step_env_init(r);
    if (step_mounts_open(r, err) < 0 || step_devices_open(r, err) < 0 ||
        step_trust_open(r, err) < 0 || step_limits_open(r, err) < 0)
        return -1;
    return step_network_open(r, err);
}

void step_run_expect(struct solve_node *n)
{
    if (n->solver->env->sandbox && n->node->run.network == DOCKERFILE_NETWORK_DEFAULT)
        build_network_prepare(step_shared_network(n->solver->shared));
}

/* Root's is what everybody expects. */
static void tell_isolation(const struct solver *s)
{
    if (!sandbox_helper_is_nested(s->env->sandbox) &&
        !sandbox_helper_is_plain(s->env->sandbox))
        return;
    CLEANUP(base_freep)
    char *text = base_format("isolation of the steps: %s",
                             sandbox_helper_isolation(s->env->sandbox));

    step_shared_note(s->shared, text);
}

/* Limits that were asked for are held or refused: this is about steps without any. */
static void tell_bounds(const struct solver *s)
{
    if (!sandbox_helper_is_plain(s->env->sandbox) &&
        sandbox_helper_process_max(s->env->sandbox) == 0)
        step_shared_note(s->shared,
                         "processes of the steps: not bounded, as this kernel or container "
                         "gives no way to ('cooper doctor' tells more)");
}

int step_run(struct solve_node *n, struct error *err)
{
    struct step_run r;
    int status;

    if (!n->solver->env->sandbox)
        return error_set(err, ERROR_UNSUPPORTED,
                         "RUN needs a sandbox, which this process could not start: cooper "
                         "doctor tells why; --isolation none runs steps without one");
    tell_isolation(n->solver);
    tell_bounds(n->solver);
    step_run_init(&r, n);
    status = step_run_prepare(&r, err);
    if (status == 0)
        status = execute(&r, err);
    if (status < 0 && error_is(err, ERROR_FAILED)) {
        solve_failed_take(n, r.root, err);
        r.root = NULL;
    }
    if (status == 0)
        status = commit(&r, err);
    step_run_release(&r);
    return status;
}
