#include "builder/sandbox/plan.h"

#include "builder/sandbox/notify.h"
#include "builder/sandbox/plain.h"
#include "builder/sandbox/plan_parts.h"
#include "builder/sandbox/seccomp.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <assert.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Operations of a step without mounts and limits; the rest is counted. */
    OPS_FIXED = 64,
    OPS_PER_MOUNT = 5,
    TABLE_ALIGNMENT = 8,
};

static const char default_path[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
static const char default_hostname[] = "buildkitsandbox";

/* --- the parts of a plan --- */

struct sandbox_op *plan_add(struct sandbox_plan *plan, enum sandbox_opcode code)
{
    assert(plan->op_count < plan->op_room);
    struct sandbox_op *const op = &plan->ops[plan->op_count++];

    *op = (struct sandbox_op){.code = code, .slot = -1};
    return op;
}

uint32_t plan_add_bytes(struct sandbox_plan *plan, const void *data, size_t size)
{
    const size_t offset = plan->bytes.size;

    buf_append(&plan->bytes, data, size);
    return (uint32_t)offset; /* SANDBOX_PLAN_MAX fits */
}

uint32_t plan_add_text(struct sandbox_plan *plan, const char *text)
{
    return text ? plan_add_bytes(plan, text, strlen(text) + 1) : 0;
}

uint32_t plan_add_slot(struct sandbox_plan *plan, int fd)
{
    plan->slots = base_grow(plan->slots, plan->slot_count, &plan->slot_room, sizeof(int));
    plan->slots[plan->slot_count] = fd;
    return (uint32_t)plan->slot_count++;
}

static void align(struct sandbox_plan *plan)
{
    while (plan->bytes.size % TABLE_ALIGNMENT != 0 && !plan->bytes.failed)
        buf_append_char(&plan->bytes, '\0');
}

/* A NULL-terminated list of texts: a table of their offsets, ending with 0. */
static uint32_t add_list(struct sandbox_plan *plan,
                         const char *const *list,
                         uint32_t *count)
{
    const uint64_t end = 0;
    uint32_t n = 0;

    while (list && list[n])
        n++;
    uint64_t *const offsets = base_alloc_array((size_t)n + 1, sizeof *offsets);
    for (uint32_t i = 0; i < n; i++)
        offsets[i] = plan_add_text(plan, list[i]);
    align(plan);
    const uint32_t table = plan_add_bytes(plan, offsets, n * sizeof *offsets);
    buf_append(&plan->bytes, &end, sizeof end);
    free(offsets);
    *count = n;
    return table;
}

uint64_t plan_ids(uid_t uid, gid_t gid)
{
    return (uint64_t)uid << 32 | gid;
}

/* --- the process --- */

static void plan_stdio(struct sandbox_plan *plan, const struct sandbox_spec *spec)
{
    if (spec->tty) {
        /* OP_TTY: of user `a`, with `b` / 65536 rows and the rest as columns. */
        struct sandbox_op *const op = plan_add(plan, OP_TTY);
        op->a = spec->uid;
        op->b = (uint64_t)spec->tty_rows << 16 | spec->tty_columns;
        return;
    }
    /* OP_STDIO: `slot`, or /dev/null without one, becomes descriptor `number` of user `a`.
     */
    for (uint32_t i = 0; i < 3; i++) {
        const int fd = spec->stdio ? spec->stdio[i] : -1;
        const int32_t slot = fd >= 0 ? (int32_t)plan_add_slot(plan, fd) : -1;
        struct sandbox_op *const op = plan_add(plan, OP_STDIO);
        op->slot = slot;
        op->number = i;
        op->a = spec->uid;
    }
}

/* OP_CWD: `text`, created for `a`. */
static void plan_cwd(struct sandbox_plan *plan, const struct sandbox_spec *spec)
{
    struct sandbox_op *const cwd = plan_add(plan, OP_CWD);

    cwd->text = plan_add_text(plan, spec->cwd ? spec->cwd : "/");
    cwd->a = plan_ids(spec->uid, spec->gid);
}

static void plan_rlimits(struct sandbox_plan *plan, const struct sandbox_spec *spec)
{
    for (size_t i = 0; i < spec->rlimit_count; i++) {
        struct sandbox_op *const op = plan_add(plan, OP_RLIMIT);
        op->number = (uint32_t)spec->rlimits[i].resource;
        op->a = spec->rlimits[i].soft;
        op->b = spec->rlimits[i].hard;
    }
}

static void plan_surroundings(struct sandbox_plan *plan, const struct sandbox_spec *spec)
{
    if (spec->network == SANDBOX_NETWORK_NONE)
        plan_add(plan, OP_LOOPBACK);
    plan_add(plan, OP_HOSTNAME)->text =
        plan_add_text(plan, spec->hostname ? spec->hostname : default_hostname);
    plan_add(plan, OP_KEYRING);
    plan_cwd(plan, spec);
    if (spec->readonly_root)
        plan_add(plan, OP_ROOT_READONLY);
    plan_stdio(plan, spec);
    plan_rlimits(plan, spec);
}

/* OP_CGROUP: `slot`. Before anything else, so that all that the step uses is counted. */
static void plan_cgroups(struct sandbox_plan *plan, const struct sandbox_spec *spec)
{
    for (size_t i = 0; i < spec->cgroup_count; i++)
        plan_add(plan, OP_CGROUP)->slot = (int32_t)plan_add_slot(plan, spec->cgroup_fds[i]);
    if (spec->cgroup_count > 0)
        plan_add(plan, OP_CGROUP_NAMESPACE);
}

/* OP_PROCESSES: `text` is how many, none for any; `target` how much sooner than others they
 * are killed when memory runs out, of 1000. Before /proc becomes the step's. */
static void plan_processes(struct sandbox_plan *plan,
                           const struct sandbox_spec *spec,
                           const struct sandbox_host *host)
{
    struct sandbox_op *const op = plan_add(plan, OP_PROCESSES);
    char count[16];

    snprintf(count, sizeof count, "%u",
             spec->process_max ? spec->process_max : host->process_max);
    op->text = host->process_max ? plan_add_text(plan, count) : 0;
    op->target = plan_add_text(plan, "500");
}

/* OP_NOTIFY: `count` instructions at `data`; the listener goes to `slot`. First of all, so
 * that what is set up for the step's user gets its owner too. */
static int plan_notify(struct sandbox_plan *plan,
                       int socket,
                       bool with_exit,
                       struct error *err)
{
    struct sandbox_op *const op = plan_add(plan, OP_NOTIFY);

    op->slot = (int32_t)plan_add_slot(plan, socket);
    align(plan);
    op->data = (uint32_t)plan->bytes.size;
    op->count = sandbox_notify_filter(with_exit, &plan->bytes);
    if (op->count == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "owners cannot be recorded on this kind of machine: have "
                         "subordinate ids (/etc/subuid, /etc/subgid), or be root");
    return 0;
}

static uint64_t capability_mask(const struct sandbox_spec *spec)
{
    /* Who only takes himself for another user does not lose root's capabilities by it. */
    if (spec->no_capabilities || (spec->root.owners && spec->uid != 0))
        return 0;
    if (spec->capabilities)
        return spec->capabilities;
    return spec->insecure ? SANDBOX_CAPABILITIES_ALL : SANDBOX_CAPABILITIES_DEFAULT;
}

/* OP_USER: `a`, and `count` groups at `data` if `number` is set. */
static void plan_user(struct sandbox_plan *plan,
                      const struct sandbox_spec *spec,
                      bool set_groups)
{
    struct sandbox_op *const user = plan_add(plan, OP_USER);

    user->a = plan_ids(spec->uid, spec->gid);
    user->number = set_groups;
    align(plan);
    user->data = plan_add_bytes(plan, spec->groups, spec->group_count * sizeof(gid_t));
    user->count = (uint32_t)spec->group_count;
}

static int plan_privileges(struct sandbox_plan *plan,
                           const struct sandbox_spec *spec,
                           const struct sandbox_host *host,
                           struct error *err)
{
    const uint64_t mask = capability_mask(spec);

    if (spec->no_new_privileges)
        plan_add(plan, OP_NO_NEW_PRIVILEGES);
    if (!spec->insecure) {
        /* OP_SECCOMP: `count` instructions at `data`. */
        struct sandbox_op *const op = plan_add(plan, OP_SECCOMP);
        align(plan);
        op->data = (uint32_t)plan->bytes.size;
        if (sandbox_seccomp_filter(mask, &plan->bytes, &op->count, err) < 0)
            return -1;
    }
    plan_add(plan, OP_BOUNDING)->a = mask;
    /* Where a user namespace forbids setgroups the step has no supplementary groups: none
     * could be mapped. */
    plan_user(plan, spec, host->setgroups || spec->root.owners);
    plan_add(plan, OP_CAPABILITIES)->a = mask;
    return 0;
}

static const char *search_path(const char *const *env)
{
    for (; env && *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return default_path;
}

/* OP_EXEC: table of `count` arguments at `text`, of `number` variables at `data`, PATH at
 * `target`. */
static void plan_exec(struct sandbox_plan *plan,
                      const char *const *argv,
                      const char *const *env)
{
    struct sandbox_op *const op = plan_add(plan, OP_EXEC);

    op->text = add_list(plan, argv, &op->count);
    op->data = add_list(plan, env, &op->number);
    op->target = plan_add_text(plan, search_path(env));
}

/* --- the whole --- */

static bool descriptors_valid(const struct cas_snapshot_mount *m)
{
    return m->upper_fd >= 0 && (!m->overlay || (m->work_fd >= 0 && m->lower_count > 0));
}

static int check_mount(const struct sandbox_mount *m, struct error *err)
{
    if (!m->target || m->target[0] != '/')
        return error_set(err, ERROR_INVALID, "mount target '%s' is not absolute",
                         m->target ? m->target : "");
    CLEANUP(base_freep) char *clean = path_clean_rooted(view_of(m->target));
    if (strcmp(clean, "/") == 0)
        return error_set(err, ERROR_INVALID, "nothing can be mounted over '/'");
    if (m->type == SANDBOX_MOUNT_SNAPSHOT && !descriptors_valid(&m->snapshot))
        return error_set(err, ERROR_INVALID, "mount '%s' has no snapshot", m->target);
    if ((m->type == SANDBOX_MOUNT_BIND || m->type == SANDBOX_MOUNT_DEVICE) &&
        m->source_fd < 0)
        return error_set(err, ERROR_INVALID, "mount '%s' has no source", m->target);
    return 0;
}

static int check_spec(const struct sandbox_spec *spec, struct error *err)
{
    if (!spec->argv || !spec->argv[0])
        return error_set(err, ERROR_INVALID, "there is no command to run");
    if (!descriptors_valid(&spec->root))
        return error_set(err, ERROR_INVALID, "there is no root file system to run in");
    if (spec->cwd && spec->cwd[0] != '/')
        return error_set(err, ERROR_INVALID, "working directory '%s' is not absolute",
                         spec->cwd);
    if (spec->hostname && strlen(spec->hostname) > 64)
        return error_set(err, ERROR_INVALID, "host name '%s' is longer than 64",
                         spec->hostname);
    for (size_t i = 0; i < spec->mount_count; i++)
        if (check_mount(&spec->mounts[i], err) < 0)
            return -1;
    return 0;
}

static uint64_t clone_flags(const struct sandbox_spec *spec)
{
    uint64_t flags = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;

    flags |= spec->cgroup_count == 0 ? CLONE_NEWCGROUP : 0;
    return spec->network == SANDBOX_NETWORK_NONE ? flags | CLONE_NEWNET : flags;
}

/* Room for the operations, at the beginning; they are filled in by plan_close. */
static void plan_open(struct sandbox_plan *plan, size_t op_room, uint64_t flags)
{
    plan->op_room = op_room;
    plan->ops = base_alloc_array(plan->op_room, sizeof *plan->ops);
    plan->clone_flags = flags;
    buf_append(&plan->bytes, plan->ops, plan->op_room * sizeof *plan->ops);
}

static int plan_close(struct sandbox_plan *plan, struct error *err)
{
    if (buf_ok(&plan->bytes, "the command with its environment and mounts", err) < 0)
        return -1;
    if (plan->slot_count > SANDBOX_SLOTS_MAX)
        return error_set(err, ERROR_LIMIT,
                         "a step with %zu layers and mounts, more than %u",
                         plan->slot_count, SANDBOX_SLOTS_MAX);
    memcpy(plan->bytes.data, plan->ops, plan->op_count * sizeof *plan->ops);
    return 0;
}

int sandbox_plan_make(struct sandbox_plan *plan,
                      const struct sandbox_spec *spec,
                      const struct sandbox_host *host,
                      int notify_socket,
                      struct error *err)
{
    *plan = (struct sandbox_plan){.bytes = BUF_INIT(SANDBOX_PLAN_MAX)};
    if (check_spec(spec, err) < 0)
        return -1;
    plan_open(plan,
              OPS_FIXED + OPS_PER_MOUNT * (spec->mount_count + 1) + spec->rlimit_count +
                  spec->cgroup_count,
              clone_flags(spec));
    plan_cgroups(plan, spec);
    plan_processes(plan, spec, host);
    if (spec->root.owners && plan_notify(plan, notify_socket, false, err) < 0)
        return -1;
    plan_file_systems(plan, spec, host);
    plan_surroundings(plan, spec);
    if (plan_privileges(plan, spec, host, err) < 0)
        return -1;
    plan_exec(plan, spec->argv, spec->env);
    return plan_close(plan, err);
}

int sandbox_plan_make_plain(struct sandbox_plan *plan,
                            const struct sandbox_spec *spec,
                            const struct sandbox_plain *plain,
                            int notify_socket,
                            struct error *err)
{
    *plan = (struct sandbox_plan){.bytes = BUF_INIT(SANDBOX_PLAN_MAX)};
    if (check_spec(spec, err) < 0)
        return -1;
    plan_open(plan,
              OPS_FIXED + sandbox_plain_target_count(plain) + spec->rlimit_count +
                  spec->cgroup_count,
              0);
    for (size_t i = 0; i < spec->cgroup_count; i++)
        plan_add(plan, OP_CGROUP)->slot = (int32_t)plan_add_slot(plan, spec->cgroup_fds[i]);
    /* A filter can be installed by everybody who gives this up. */
    plan_add(plan, OP_NO_NEW_PRIVILEGES);
    if (plan_notify(plan, notify_socket, true, err) < 0)
        return -1;
    /* OP_TRACER: `slot` is the root. */
    const uint32_t root = plan_add_slot(plan, spec->root.upper_fd);
    plan_add(plan, OP_TRACER)->slot = (int32_t)root;
    /* OP_TARGET: `target`, a directory if `number` is set. */
    for (size_t i = 0; i < sandbox_plain_target_count(plain); i++) {
        struct sandbox_op *const op = plan_add(plan, OP_TARGET);
        const struct sandbox_plain_target target = sandbox_plain_target_at(plain, i);
        op->target = plan_add_text(plan, target.path);
        op->number = target.is_directory;
    }
    plan_add(plan, OP_KEYRING);
    plan_cwd(plan, spec);
    plan_stdio(plan, spec);
    plan_rlimits(plan, spec);
    plan_user(plan, spec, true);
    plan_exec(plan, sandbox_plain_argv(plain), sandbox_plain_env(plain));
    return plan_close(plan, err);
}

/* Nothing shuts a service in but the pid namespace that it ends with. */
int sandbox_plan_make_service(struct sandbox_plan *plan,
                              const struct sandbox_service *service,
                              struct error *err)
{
    *plan = (struct sandbox_plan){.bytes = BUF_INIT(SANDBOX_PLAN_MAX)};
    plan_open(plan, OPS_FIXED, CLONE_NEWPID);
    if (service->netns_path) {
        /* OP_NETWORK: a file system over `text`, the namespace at `target` in it. */
        struct sandbox_op *const op = plan_add(plan, OP_NETWORK);
        const struct view directory = path_dir(view_of(service->netns_path));
        char *const text = view_dup(directory);
        op->text = plan_add_text(plan, text);
        op->target = plan_add_text(plan, service->netns_path);
        free(text);
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct sandbox_op *const op = plan_add(plan, OP_STDIO);
        op->slot = (int32_t)plan_add_slot(plan, service->stdio[i]);
        op->number = i;
    }
    plan_exec(plan, service->argv, service->env);
    return plan_close(plan, err);
}

void sandbox_plan_release(struct sandbox_plan *plan)
{
    buf_release(&plan->bytes);
    free(plan->ops);
    free(plan->slots);
    *plan = (struct sandbox_plan){0};
}
