#include "builder/debug.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "builder/builds.h"
#include "builder/debug_shell.h"
#include "builder/kept.h"
#include "builder/run_attach.h"
#include "builder/step_run_priv.h"
#include "builder/step_shared.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_NOT_FOUND      127
#define EXIT_NOT_EXECUTABLE 126

/* A solver of one RUN whose inputs are done: what steps need to be prepared. */
struct debug {
    const struct build_environment *env;
    const struct build_debug_options *options;
    int hold_fd; /* the build's entry stays */
    struct build_kept kept;
    struct build_request request;
    struct build_plans plans;
    struct solver solver;
};

static void debug_release(struct debug *d)
{
    step_shared_free(d->solver.shared);
    free(d->solver.nodes);
    build_kept_release(&d->kept);
    fd_closep(&d->hold_fd);
}

static void solver_make(struct debug *d)
{
    const struct build_graph *g = &d->kept.graph;

    d->request = (struct build_request){
        .secrets = d->options->secrets,
        .secret_count = d->options->secret_count,
        .add_hosts = d->kept.hosts,
        .add_host_count = d->kept.host_count,
        .shm_size = d->kept.shm_size,
        .ssh = d->options->ssh,
        .ssh_count = d->options->ssh_count,
        .ca = doc_view(doc_get(d->kept.doc, "ca")),
        .allow_devices = true, /* as they were */
        .epoch = -1,
        .cancel = d->options->cancel,
    };
    d->solver =
        (struct solver){.env = d->env,
                        .request = &d->request,
                        .plans = &d->plans,
                        .variant = {.epoch = -1},
                        .count = g->count,
                        .nodes = base_alloc_array(g->count, sizeof *d->solver.nodes)};
    d->solver.shared = step_shared_new(d->env, &d->request);
    for (size_t i = 0; i < g->count; i++) {
        struct solve_node *n = &d->solver.nodes[i];

        n->node = g->nodes[i];
        n->solver = &d->solver;
        n->phase = SOLVE_DONE;
        if (i < d->kept.stack_count) {
            n->layers = d->kept.stacks[i].layers;
            n->count = d->kept.stacks[i].count;
        }
    }
}

static struct solve_node *step_of(struct debug *d)
{
    return &d->solver.nodes[d->solver.count - 1];
}

static int debug_open(struct debug *d, struct error *err)
{
    struct cas_store *store = d->env->store;
    CLEANUP(base_freep)
    char *id = d->options->build ? build_builds_find(store, d->options->build, err)
                                 : build_kept_latest(store, err);

    if (!id || (d->hold_fd = build_builds_hold(store, id, err)) < 0 ||
        build_kept_open(d->env, id, &d->kept, err) < 0)
        return -1;
    solver_make(d);
    return 0;
}

/* What one is about to see. */
static void introduce(struct debug *d)
{
    const char *why = doc_text(doc_get(d->kept.doc, "error"));
    CLEANUP(base_freep)
    char *note = base_format("%s: %s", step_of(d)->node->title, why ? why : "failed");

    event_send(&d->env->sink, (struct event){.type = EVENT_NOTE, .text = note});
}

/* --- One attempt --- */

/* The step's root as it was left; NULL with err set. */
static struct cas_snapshot *root_open(struct debug *d, struct error *err)
{
    const struct build_kept_stack *base = &d->kept.stacks[0];

    if (!d->kept.files)
        return cas_snapshot_new(d->env->store, base->layers, base->count, CAS_SNAPSHOT_AUTO,
                                err);
    return cas_snapshot_reopen(d->env->store, base->layers, base->count, d->kept.files,
                               d->kept.form, err);
}

/* A terminal without a name is of little use. */
static void set_terminal(struct step_run *r, bool tty)
{
    const char *name = getenv("TERM");

    if (tty && name && *name && !step_env_has(r, "TERM"))
        step_env_set(r, "TERM", name);
}

static int run_spawned(const struct debug *d,
                       struct sandbox_process *p,
                       int *exit_code,
                       bool *exec_failed,
                       struct error *err)
{
    struct sandbox_status status = {0};

    if (d->options->tty && run_attach(p, true, d->options->cancel, err) < 0)
        return -1;
    if (run_wait(p, d->options->cancel, &status, err) < 0) {
        *exec_failed = sandbox_exec_failed(p);
        return -1;
    }
    *exit_code = status.exit_code;
    return 0;
}

/* What is run, and the busybox to be mounted for it, if any. */
struct debug_command {
    const char *const *argv;
    int shell_dir; /* -1: none */
    const char *shell_name;
};

static int run_prepared(const struct debug *d,
                        struct step_run *r,
                        const struct debug_command *command,
                        int *exit_code,
                        bool *exec_failed,
                        struct error *err)
{
    const int stdio[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    CLEANUP(base_freep)
    struct sandbox_mount *mounts = base_alloc_array(r->mount_count + 1, sizeof *mounts);
    struct sandbox_spec spec = step_run_spec(r);

    for (size_t i = 0; i < spec.mount_count; i++)
        mounts[i] = spec.mounts[i];
    if (command->shell_dir >= 0)
        mounts[spec.mount_count++] = (struct sandbox_mount){.type = SANDBOX_MOUNT_BIND,
                                                            .target = DEBUG_SHELL_TARGET,
                                                            .readonly = true,
                                                            .source_fd = command->shell_dir,
                                                            .source = command->shell_name};
    spec.mounts = mounts;
    spec.argv = command->argv;
    if (d->options->tty)
        run_terminal(&spec);
    spec.stdio = stdio;
    CLEANUP(sandbox_discardp)
    struct sandbox_process *p = sandbox_spawn(d->env->sandbox, &spec, err);
    if (!p || (r->agent_count > 0 && step_ssh_start(r, p, err) < 0))
        return -1;
    return run_spawned(d, p, exit_code, exec_failed, err);
}

static int attempt(struct debug *d,
                   const struct debug_command *command,
                   int *exit_code,
                   bool *exec_failed,
                   struct error *err)
{
    struct step_run r;
    int status = -1;

    *exec_failed = false;
    step_run_init(&r, step_of(d));
    r.root = root_open(d, err);
    if (r.root && step_run_prepare(&r, err) == 0) {
        set_terminal(&r, d->options->tty);
        status = run_prepared(d, &r, command, exit_code, exec_failed, err);
    }
    step_run_release(&r);
    return status;
}

/* --- What is run --- */

static int run_command(struct debug *d, int *exit_code, struct error *err)
{
    CLEANUP(base_freep)
    const char **argv = base_alloc_array(d->options->argc + 1, sizeof *argv);
    bool exec_failed;

    for (size_t i = 0; i < d->options->argc; i++)
        argv[i] = d->options->argv[i];
    const struct debug_command command = {.argv = argv, .shell_dir = -1};
    if (attempt(d, &command, exit_code, &exec_failed, err) == 0)
        return 0;
    if (!exec_failed)
        return -1;
    *exit_code = err->code == ERROR_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
    CLEANUP(base_freep) char *note = base_strdup(error_text(err));
    event_send(&d->env->sink, (struct event){.type = EVENT_NOTE, .text = note});
    error_clear(err);
    return 0;
}

/* The shell that the step itself was run by; NULL if it was run by none. */
static const char *own_shell(const struct build_run_op *op)
{
    return op->argc > 1 && strcmp(op->argv[1], "-c") == 0 ? op->argv[0] : NULL;
}

/* Only trying tells whether a shell works there: it may be there without its loader. */
static int run_shell(struct debug *d, int *exit_code, struct error *err)
{
    const char *const shells[] = {"/bin/bash", "/bin/sh",
                                  own_shell(&step_of(d)->node->run)};
    static const char *const lent[] = {DEBUG_SHELL_TARGET, "sh", NULL};
    bool exec_failed;

    for (size_t i = 0; i < ARRAY_COUNT(shells); i++) {
        const char *const argv[] = {shells[i], NULL};
        const struct debug_command command = {.argv = argv, .shell_dir = -1};

        if (!shells[i])
            continue;
        if (attempt(d, &command, exit_code, &exec_failed, err) == 0)
            return 0;
        if (!exec_failed)
            return -1;
        error_clear(err);
    }
    struct debug_command last = {.argv = lent};
    CLEANUP(fd_closep) int dir = debug_shell_open(&last.shell_name, err);
    last.shell_dir = dir;
    return dir < 0 ? -1 : attempt(d, &last, exit_code, &exec_failed, err);
}

int build_debug(const struct build_environment *env,
                const struct build_debug_options *options,
                int *exit_code,
                struct error *err)
{
    CLEANUP(debug_release)
    struct debug d = {.env = env, .options = options, .hold_fd = -1};

    if (!env->sandbox)
        return error_set(err, ERROR_UNSUPPORTED, "no sandbox can be had here");
    if (debug_open(&d, err) < 0)
        return -1;
    introduce(&d);
    return options->argc > 0 ? run_command(&d, exit_code, err)
                             : run_shell(&d, exit_code, err);
}
