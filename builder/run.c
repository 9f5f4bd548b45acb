#include "builder/run.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/owner.h"
#include "builder/run_attach.h"
#include "builder/run_image.h"
#include "builder/run_spec.h"
#include "builder/sandbox/sandbox.h"
#include "cas/snapshot.h"
#include "cas/tree.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define EXIT_NOT_FOUND      127
#define EXIT_NOT_EXECUTABLE 126
#define HOSTNAME_DEFAULT    "cooper"

/* Everything that a specification borrows from. */
struct run {
    const struct build_environment *env;
    const struct build_run_options *options;
    struct run_image image;
    struct cas_snapshot *snapshot;
    struct run_texts argv;
    struct run_texts variables;
    struct run_mounts mounts;
    struct build_process_user user;
    char *hosts;
    struct buf resolv_conf;
};

static void run_release(struct run *r)
{
    cas_snapshot_discard(r->snapshot);
    run_image_release(&r->image);
    run_texts_release(&r->argv);
    run_texts_release(&r->variables);
    run_mounts_release(&r->mounts);
    build_process_user_release(&r->user);
    free(r->hosts);
    buf_release(&r->resolv_conf);
}

static const char *config_text(const struct run *r, const char *key)
{
    return doc_text(doc_get(doc_get(r->image.config, "config"), key));
}

static const char *hostname_of(const struct run *r)
{
    return r->options->hostname != NULL ? r->options->hostname : HOSTNAME_DEFAULT;
}

/* The primary group is one of the supplementary ones too, as containerd has it: a program
 * that drops to fewer groups must not gain what a "negative" group permission denied it. */
static void groups_complete(struct build_process_user *user)
{
    uint32_t *const groups = base_alloc_array(user->group_count + 1, sizeof groups[0]);

    groups[0] = user->gid;
    for (size_t i = 0; i < user->group_count; i++)
        groups[i + 1] = user->groups[i];
    free(user->groups);
    user->groups = groups;
    user->group_count++;
}

static int user_find(struct run *r, struct error *err)
{
    CLEANUP(cas_tree_freep)
    struct cas_tree *tree = cas_tree_new(r->image.layers, r->image.layer_count);
    const char *const user =
        r->options->user != NULL ? r->options->user : config_text(r, "User");

    if (build_user_of_process(tree, user, &r->user, err) < 0)
        return -1;
    if (r->user.group_count == 0 || r->user.groups[0] != r->user.gid)
        groups_complete(&r->user);
    return 0;
}

static bool network_is_none(const struct run *r)
{
    return r->options->network != NULL && strcmp(r->options->network, "none") == 0;
}

/* Names are resolved as on this machine, unless there is no network. */
static void names_prepare(struct run *r)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    r->hosts =
        base_format("127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost ip6-loopback\n",
                    hostname_of(r));
    buf_init(&r->resolv_conf, LIMIT_TEXT_SIZE);
    /* A machine without the file has no resolver to offer. */
    if (!network_is_none(r) &&
        fs_read_file_at(AT_FDCWD, "/etc/resolv.conf", &r->resolv_conf, &ignored) < 0)
        buf_clear(&r->resolv_conf);
}

static int prepare(struct run *r, struct error *err)
{
    const struct build_run_options *const o = r->options;

    buf_init(&r->resolv_conf, LIMIT_TEXT_SIZE);
    if (r->env->sandbox == NULL)
        return error_set(err, ERROR_UNSUPPORTED, "no sandbox can be had here");
    if (run_image_open(r->env, o->image, &r->image, err) < 0 ||
        run_spec_argv(r->image.config, o, &r->argv, err) < 0 ||
        run_spec_mounts(o, &r->mounts, err) < 0)
        return -1;
    /* Before anything looks into the layers: what makes the files makes the indexes too. */
    r->snapshot = cas_snapshot_new(r->env->store, r->image.layers, r->image.layer_count,
                                   CAS_SNAPSHOT_AUTO, err);
    if (r->snapshot == NULL || run_image_keep(&r->image, err) < 0 || user_find(r, err) < 0)
        return -1;
    run_spec_env(r->image.config, o, r->user.home, hostname_of(r), &r->variables);
    names_prepare(r);
    return 0;
}

static struct sandbox_process *spawn(const struct run *r, struct error *err)
{
    const struct build_run_options *const o = r->options;
    const char *const workdir =
        o->workdir != NULL ? o->workdir : config_text(r, "WorkingDir");
    const int stdio[] = {o->interactive ? STDIN_FILENO : -1, STDOUT_FILENO, STDERR_FILENO};
    struct sandbox_spec spec = {
        .root = cas_snapshot_mount(r->snapshot),
        .readonly_root = o->read_only,
        .mounts = r->mounts.items,
        .mount_count = r->mounts.count,
        .argv = run_texts_list(&r->argv),
        .env = run_texts_list(&r->variables),
        .cwd = workdir != NULL && workdir[0] != '\0' ? workdir : NULL,
        .uid = r->user.uid,
        .gid = r->user.gid,
        .groups = r->user.groups,
        .group_count = r->user.group_count,
        .stdio = stdio,
        .network = network_is_none(r) ? SANDBOX_NETWORK_NONE : SANDBOX_NETWORK_HOST,
        .netns_fd = -1,
        .hostname = hostname_of(r),
        .hosts = r->hosts,
        .resolv_conf = r->resolv_conf.size > 0 ? buf_text(&r->resolv_conf) : NULL,
    };

    if (o->tty)
        run_terminal(&spec);
    return sandbox_spawn(r->env->sandbox, &spec, err);
}

/* docker's exit codes for a command that could not be started; what was wrong is a note. */
static int exec_failed(const struct run *r, int *exit_code, struct error *err)
{
    CLEANUP(base_freep) char *note = base_strdup(error_text(err));

    *exit_code = err->code == ERROR_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
    event_send(&r->env->sink, (struct event){.type = EVENT_NOTE, .text = note});
    error_clear(err);
    return 0;
}

static int perform(const struct run *r, int *exit_code, struct error *err)
{
    const struct build_run_options *const o = r->options;
    CLEANUP(sandbox_discardp) struct sandbox_process *process = spawn(r, err);
    struct sandbox_status status = {0};

    if (process == NULL)
        return -1;
    if (o->tty && run_attach(process, o->interactive, o->cancel, err) < 0)
        return -1;
    if (run_wait(process, o->cancel, &status, err) < 0) {
        if (sandbox_exec_failed(process))
            return exec_failed(r, exit_code, err);
        return -1;
    }
    *exit_code = status.exit_code;
    return 0;
}

int build_run_image(const struct build_environment *env,
                    const struct build_run_options *options,
                    int *exit_code,
                    struct error *err)
{
    CLEANUP(run_release) struct run r = {.env = env, .options = options};

    if (prepare(&r, err) < 0)
        return -1;
    return perform(&r, exit_code, err);
}
