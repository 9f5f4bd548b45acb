#include "builder/sandbox/plan.h"

#include "builder/sandbox/seccomp.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

enum {
    /* Operations of a step without mounts and limits; the rest is counted. */
    OPS_FIXED = 64,
    OPS_PER_MOUNT = 5,
    TABLE_ALIGNMENT = 8,
};

static const char default_path[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
static const char default_hostname[] = "buildkitsandbox";
static const uint64_t default_shm_size = UINT64_C(64) << 20;

/* As containerd and BuildKit have them, and what newer ones of theirs add. */
static const char *const masked_paths[] = {
    "/proc/acpi",        "/proc/asound",      "/proc/kcore",
    "/proc/keys",        "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
    "/proc/interrupts",  "/sys/firmware",     "/sys/devices/virtual/powercap",
};
static const char *const readonly_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

/* --- the parts of a plan --- */

static struct sandbox_op *add_op(struct sandbox_plan *plan, enum sandbox_opcode code)
{
    assert(plan->op_count < plan->op_room);
    struct sandbox_op *const op = &plan->ops[plan->op_count++];

    *op = (struct sandbox_op){.code = code, .slot = -1};
    return op;
}

static uint32_t add_bytes(struct sandbox_plan *plan, const void *data, size_t size)
{
    const size_t offset = plan->bytes.size;

    buf_append(&plan->bytes, data, size);
    return (uint32_t)offset; /* SANDBOX_PLAN_MAX fits */
}

static uint32_t add_text(struct sandbox_plan *plan, const char *text)
{
    return text ? add_bytes(plan, text, strlen(text) + 1) : 0;
}

static uint32_t add_slot(struct sandbox_plan *plan, int fd)
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
static uint32_t add_list(struct sandbox_plan *plan, const char *const *list, uint32_t *count)
{
    const uint64_t end = 0;
    uint32_t n = 0;

    while (list && list[n])
        n++;
    uint64_t *const offsets = base_alloc_array((size_t)n + 1, sizeof *offsets);
    for (uint32_t i = 0; i < n; i++)
        offsets[i] = add_text(plan, list[i]);
    align(plan);
    const uint32_t table = add_bytes(plan, offsets, n * sizeof *offsets);
    buf_append(&plan->bytes, &end, sizeof end);
    free(offsets);
    *count = n;
    return table;
}

static uint64_t pack_ids(uid_t uid, gid_t gid)
{
    return (uint64_t)uid << 32 | gid;
}

/* --- sources: what gets mounted, before and after the mount namespace is left --- */

/* A source that is or becomes one slot. */
struct source {
    const struct cas_snapshot_mount *snapshot; /* NULL: a descriptor */
    const char *path;                          /* beneath it; NULL: itself */
    uint32_t first;                            /* its first slot */
    uint32_t slot;                             /* where the result is */
    bool readonly;
};

static const char *below(const char *path)
{
    while (path && *path == '/')
        path++;
    return path && *path ? path : NULL;
}

static struct source add_snapshot(struct sandbox_plan *plan,
                                  const struct cas_snapshot_mount *snapshot,
                                  const char *path,
                                  bool readonly)
{
    struct source s = {.snapshot = snapshot->overlay ? snapshot : NULL, .path = below(path)};

    s.first = (uint32_t)plan->slot_count;
    s.readonly = readonly;
    for (size_t i = 0; snapshot->overlay && i < snapshot->lower_count; i++)
        add_slot(plan, snapshot->lower_fds[i]);
    s.slot = add_slot(plan, snapshot->upper_fd);
    if (snapshot->overlay)
        add_slot(plan, snapshot->work_fd);
    return s;
}

static struct source add_descriptor(struct sandbox_plan *plan,
                                    int fd,
                                    const char *path,
                                    bool readonly)
{
    struct source s = {.path = below(path), .readonly = readonly};

    s.first = s.slot = add_slot(plan, fd);
    return s;
}

static uint32_t source_slots(const struct source *s)
{
    return s->snapshot ? s->slot - s->first + 2 : 1;
}

/* OP_OVERLAY, OP_CLASSIC_OVERLAY: `count` slots from `slot` are lower directories, bottom
 * first; then the upper, which the mount replaces, and the work directory. */
static void plan_overlay(struct sandbox_plan *plan,
                         const struct source *s,
                         enum sandbox_opcode code,
                         bool readonly)
{
    struct sandbox_op *const op = add_op(plan, code);

    op->slot = (int32_t)s->first;
    op->count = s->slot - s->first;
    op->flags = (s->snapshot->userxattr ? (uint32_t)OP_FLAG_USERXATTR : 0) |
                (readonly ? (uint32_t)OP_FLAG_READONLY : 0);
}

/* OP_TREE: `slot`, what lies at `text` beneath it. */
static void plan_tree(struct sandbox_plan *plan, uint32_t slot, const char *path, bool readonly)
{
    struct sandbox_op *const op = add_op(plan, OP_TREE);

    op->slot = (int32_t)slot;
    op->text = add_text(plan, path);
    op->flags = readonly ? OP_FLAG_READONLY : 0;
}

/* OP_CLASSIC_SELF, OP_STAGE, OP_ROOT: `slot`. */
static struct sandbox_op *plan_slot(struct sandbox_plan *plan,
                                    enum sandbox_opcode code,
                                    uint32_t slot)
{
    struct sandbox_op *const op = add_op(plan, code);

    op->slot = (int32_t)slot;
    return op;
}

/* Descriptors were opened in cooper's mount namespace, so the kernel copies their mounts only
 * for a process that is in it: before OP_UNSHARE. */
static void plan_prepare(struct sandbox_plan *plan, const struct source *s)
{
    if (s->snapshot)
        plan_overlay(plan, s, OP_OVERLAY, s->readonly && !s->path);
    else
        plan_tree(plan, s->slot, s->path, s->readonly);
}

/* A directory of a detached overlay cannot be copied before Linux 6.15. */
static void plan_stage(struct sandbox_plan *plan, const struct source *s)
{
    if (!s->snapshot || !s->path)
        return;
    plan_slot(plan, OP_STAGE, s->slot);
    plan_tree(plan, s->slot, s->path, s->readonly);
}

/* mount(2) knows paths only: what was opened is found again in the new namespace. */
static void plan_classic(struct sandbox_plan *plan, const struct source *s)
{
    struct sandbox_op *op = plan_slot(plan, OP_REOPEN, s->first);

    op->count = source_slots(s);
    if (s->snapshot)
        plan_overlay(plan, s, OP_CLASSIC_OVERLAY, s->readonly && !s->path);
    if (!s->path)
        return;
    op = plan_slot(plan, OP_SUBTREE, s->slot);
    op->text = add_text(plan, s->path);
}

/* --- the file systems of a step --- */

/* OP_MOUNT, OP_DEV: type `text`, options `data`, flags `a`, at `target`. */
static struct sandbox_op *plan_mount(struct sandbox_plan *plan,
                                     enum sandbox_opcode code,
                                     const char *type,
                                     const char *target,
                                     unsigned long flags,
                                     const char *options)
{
    struct sandbox_op *const op = add_op(plan, code);

    op->text = add_text(plan, type);
    op->target = add_text(plan, target);
    op->data = add_text(plan, options);
    op->a = flags;
    op->flags = OP_FLAG_KERNEL;
    return op;
}

static void plan_sys(struct sandbox_plan *plan,
                     const struct sandbox_spec *spec,
                     const struct sandbox_host *host)
{
    const bool readonly = !spec->insecure;

    if (!host->user_namespace || spec->network != SANDBOX_NETWORK_HOST) {
        plan_mount(plan, OP_MOUNT, "sysfs", "/sys",
                   MS_NOSUID | MS_NODEV | MS_NOEXEC | (readonly ? MS_RDONLY : 0), NULL);
        return;
    }
    /* Only the owner of a network namespace may mount its sysfs: the host's is shown. */
    struct sandbox_op *const op = add_op(plan, OP_BIND);
    op->text = add_text(plan, "/sys");
    op->target = add_text(plan, "/sys");
    op->flags = OP_FLAG_KERNEL | (readonly ? (uint32_t)OP_FLAG_READONLY : 0);
}

static void plan_kernel_mounts(struct sandbox_plan *plan,
                               const struct sandbox_spec *spec,
                               const struct sandbox_host *host)
{
    const unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    const uint64_t shm = spec->shm_size ? spec->shm_size : default_shm_size;
    char *const shm_options = base_format("mode=1777,size=%ju", (uintmax_t)shm);

    plan_mount(plan, OP_MOUNT, "proc", "/proc", plain, NULL);
    struct sandbox_op *const dev =
        plan_mount(plan, OP_DEV, "tmpfs", "/dev", MS_NOSUID | MS_STRICTATIME,
                   "mode=755,size=65536k");
    dev->flags |= host->mknod ? 0 : (uint32_t)OP_FLAG_BIND_NODES;
    plan_mount(plan, OP_MOUNT, "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC,
               host->tty_group ? "newinstance,ptmxmode=0666,mode=0620,gid=5"
                               : "newinstance,ptmxmode=0666,mode=0620");
    plan_mount(plan, OP_MOUNT, "tmpfs", "/dev/shm", plain, shm_options);
    plan_mount(plan, OP_MOUNT, "mqueue", "/dev/mqueue", plain, NULL);
    plan_sys(plan, spec, host);
    free(shm_options);
}

/* OP_FILE: `count` bytes at `data`, mode `number`, owner `a`, at `target`. */
static void plan_file(struct sandbox_plan *plan,
                      const char *target,
                      struct view content,
                      mode_t mode,
                      uint64_t owner,
                      bool readonly)
{
    struct sandbox_op *const op = add_op(plan, OP_FILE);

    op->target = add_text(plan, target);
    op->data = add_bytes(plan, content.data, content.size);
    op->count = (uint32_t)content.size; /* its sum is bounded by SANDBOX_PLAN_MAX */
    op->number = mode;
    op->a = owner;
    op->flags = readonly ? OP_FLAG_READONLY : 0;
}

/* OP_MASK, OP_READONLY: `target`. */
static void plan_masks(struct sandbox_plan *plan)
{
    for (size_t i = 0; i < ARRAY_COUNT(masked_paths); i++)
        add_op(plan, OP_MASK)->target = add_text(plan, masked_paths[i]);
    for (size_t i = 0; i < ARRAY_COUNT(readonly_paths); i++)
        add_op(plan, OP_READONLY)->target = add_text(plan, readonly_paths[i]);
}

static void plan_tmpfs(struct sandbox_plan *plan, const struct sandbox_mount *m)
{
    const mode_t mode = m->mode ? m->mode : 01777;
    char *const options =
        m->size ? base_format("mode=%o,size=%ju", (unsigned)mode, (uintmax_t)m->size)
                : base_format("mode=%o", (unsigned)mode);

    plan_mount(plan, OP_MOUNT, "tmpfs", m->target, MS_NOSUID, options)->flags = 0;
    free(options);
}

static void plan_user_mount(struct sandbox_plan *plan,
                            const struct sandbox_mount *m,
                            const struct source *s)
{
    if (m->type == SANDBOX_MOUNT_TMPFS) {
        plan_tmpfs(plan, m);
        return;
    }
    if (m->type == SANDBOX_MOUNT_FILE) {
        plan_file(plan, m->target, m->content, m->mode ? m->mode : 0400,
                  pack_ids(m->uid, m->gid), m->readonly);
        return;
    }
    /* OP_ATTACH: `slot` at `target`. */
    struct sandbox_op *const op = plan_slot(plan, OP_ATTACH, s->slot);
    op->target = add_text(plan, m->target);
    op->flags = m->readonly ? OP_FLAG_READONLY : 0;
}

static struct source *collect_sources(struct sandbox_plan *plan, const struct sandbox_spec *spec)
{
    struct source *const sources = base_alloc_array(spec->mount_count + 1, sizeof *sources);

    sources[0] = add_snapshot(plan, &spec->root, NULL, false);
    for (size_t i = 0; i < spec->mount_count; i++) {
        const struct sandbox_mount *m = &spec->mounts[i];
        if (m->type == SANDBOX_MOUNT_SNAPSHOT)
            sources[i + 1] = add_snapshot(plan, &m->snapshot, m->source, m->readonly);
        else if (m->type == SANDBOX_MOUNT_BIND)
            sources[i + 1] = add_descriptor(plan, m->source_fd, m->source, m->readonly);
    }
    return sources;
}

static bool has_source(const struct sandbox_spec *spec, size_t index)
{
    return index == 0 || spec->mounts[index - 1].type <= SANDBOX_MOUNT_SNAPSHOT;
}

/* Up to the new root being the root, but for its content. */
static void plan_root(struct sandbox_plan *plan,
                      const struct sandbox_spec *spec,
                      const struct source *sources,
                      bool classic)
{
    for (size_t i = 0; !classic && i <= spec->mount_count; i++)
        if (has_source(spec, i))
            plan_prepare(plan, &sources[i]);
    if (spec->network == SANDBOX_NETWORK_JOIN)
        plan_slot(plan, OP_NETNS, add_slot(plan, spec->netns_fd));
    add_op(plan, OP_UNSHARE);
    for (size_t i = 0; i <= spec->mount_count; i++)
        if (has_source(spec, i) && classic)
            plan_classic(plan, &sources[i]);
        else if (has_source(spec, i))
            plan_stage(plan, &sources[i]);
    if (classic && !sources[0].snapshot)
        plan_slot(plan, OP_CLASSIC_SELF, sources[0].slot);
    plan_slot(plan, OP_ROOT, sources[0].slot);
}

static void plan_file_systems(struct sandbox_plan *plan,
                              const struct sandbox_spec *spec,
                              const struct sandbox_host *host)
{
    const bool classic = spec->mount_api == SANDBOX_MOUNT_API_AUTO
                             ? !host->new_mounts
                             : spec->mount_api == SANDBOX_MOUNT_API_CLASSIC;
    struct source *const sources = collect_sources(plan, spec);

    plan_root(plan, spec, sources, classic);
    plan_kernel_mounts(plan, spec, host);
    if (spec->resolv_conf)
        plan_file(plan, "/etc/resolv.conf", view_of(spec->resolv_conf), 0644, 0, true);
    if (spec->hosts)
        plan_file(plan, "/etc/hosts", view_of(spec->hosts), 0644, 0, true);
    for (size_t i = 0; i < spec->mount_count; i++)
        plan_user_mount(plan, &spec->mounts[i], &sources[i + 1]);
    if (!spec->insecure)
        plan_masks(plan);
    free(sources);
    for (size_t i = 0; classic && i < plan->op_count; i++)
        plan->ops[i].flags |= OP_FLAG_CLASSIC;
    add_op(plan, OP_PIVOT);
}

/* --- the process --- */

static void plan_stdio(struct sandbox_plan *plan, const struct sandbox_spec *spec)
{
    if (spec->tty) {
        add_op(plan, OP_TTY)->a = spec->uid;
        return;
    }
    /* OP_STDIO: `slot`, or /dev/null without one, becomes descriptor `number` of user `a`. */
    for (uint32_t i = 0; i < 3; i++) {
        const int fd = spec->stdio ? spec->stdio[i] : -1;
        const int32_t slot = fd >= 0 ? (int32_t)add_slot(plan, fd) : -1;
        struct sandbox_op *const op = add_op(plan, OP_STDIO);
        op->slot = slot;
        op->number = i;
        op->a = spec->uid;
    }
}

static void plan_surroundings(struct sandbox_plan *plan, const struct sandbox_spec *spec)
{
    if (spec->network == SANDBOX_NETWORK_NONE)
        add_op(plan, OP_LOOPBACK);
    add_op(plan, OP_HOSTNAME)->text =
        add_text(plan, spec->hostname ? spec->hostname : default_hostname);
    add_op(plan, OP_KEYRING);
    /* OP_CWD: `text`, created for `a`. */
    struct sandbox_op *const cwd = add_op(plan, OP_CWD);
    cwd->text = add_text(plan, spec->cwd ? spec->cwd : "/");
    cwd->a = pack_ids(spec->uid, spec->gid);
    if (spec->readonly_root)
        add_op(plan, OP_ROOT_READONLY);
    plan_stdio(plan, spec);
    for (size_t i = 0; i < spec->rlimit_count; i++) {
        struct sandbox_op *const op = add_op(plan, OP_RLIMIT);
        op->number = (uint32_t)spec->rlimits[i].resource;
        op->a = spec->rlimits[i].soft;
        op->b = spec->rlimits[i].hard;
    }
}

static uint64_t capability_mask(const struct sandbox_spec *spec)
{
    if (spec->no_capabilities)
        return 0;
    if (spec->capabilities)
        return spec->capabilities;
    return spec->insecure ? SANDBOX_CAPABILITIES_ALL : SANDBOX_CAPABILITIES_DEFAULT;
}

static int plan_privileges(struct sandbox_plan *plan,
                           const struct sandbox_spec *spec,
                           const struct sandbox_host *host,
                           struct error *err)
{
    const uint64_t mask = capability_mask(spec);

    if (spec->no_new_privileges)
        add_op(plan, OP_NO_NEW_PRIVILEGES);
    if (!spec->insecure) {
        /* OP_SECCOMP: `count` instructions at `data`. */
        struct sandbox_op *const op = add_op(plan, OP_SECCOMP);
        align(plan);
        op->data = (uint32_t)plan->bytes.size;
        if (sandbox_seccomp_filter(mask, &plan->bytes, &op->count, err) < 0)
            return -1;
    }
    add_op(plan, OP_BOUNDING)->a = mask;
    /* OP_USER: `a`, and `count` groups at `data` if `number` is set. Where a user namespace
     * forbids setgroups the step has no supplementary groups: none could be mapped. */
    struct sandbox_op *const user = add_op(plan, OP_USER);
    user->a = pack_ids(spec->uid, spec->gid);
    user->number = host->setgroups;
    align(plan);
    user->data = add_bytes(plan, spec->groups, spec->group_count * sizeof(gid_t));
    user->count = (uint32_t)spec->group_count;
    add_op(plan, OP_CAPABILITIES)->a = mask;
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
static void plan_exec(struct sandbox_plan *plan, const struct sandbox_spec *spec)
{
    struct sandbox_op *const op = add_op(plan, OP_EXEC);

    op->text = add_list(plan, spec->argv, &op->count);
    op->data = add_list(plan, spec->env, &op->number);
    op->target = add_text(plan, search_path(spec->env));
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
    if (m->type == SANDBOX_MOUNT_BIND && m->source_fd < 0)
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
        return error_set(err, ERROR_INVALID, "working directory '%s' is not absolute", spec->cwd);
    if (spec->hostname && strlen(spec->hostname) > 64)
        return error_set(err, ERROR_INVALID, "host name '%s' is longer than 64", spec->hostname);
    for (size_t i = 0; i < spec->mount_count; i++)
        if (check_mount(&spec->mounts[i], err) < 0)
            return -1;
    return 0;
}

static uint64_t clone_flags(const struct sandbox_spec *spec)
{
    uint64_t flags = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

    return spec->network == SANDBOX_NETWORK_NONE ? flags | CLONE_NEWNET : flags;
}

int sandbox_plan_make(struct sandbox_plan *plan,
                      const struct sandbox_spec *spec,
                      const struct sandbox_host *host,
                      struct error *err)
{
    *plan = (struct sandbox_plan){.bytes = BUF_INIT(SANDBOX_PLAN_MAX)};
    if (check_spec(spec, err) < 0)
        return -1;
    plan->op_room = OPS_FIXED + OPS_PER_MOUNT * (spec->mount_count + 1) + spec->rlimit_count;
    plan->ops = base_alloc_array(plan->op_room, sizeof *plan->ops);
    plan->clone_flags = clone_flags(spec);
    buf_append(&plan->bytes, plan->ops, plan->op_room * sizeof *plan->ops);
    plan_file_systems(plan, spec, host);
    plan_surroundings(plan, spec);
    if (plan_privileges(plan, spec, host, err) < 0)
        return -1;
    plan_exec(plan, spec);
    if (buf_ok(&plan->bytes, "the command with its environment and mounts", err) < 0)
        return -1;
    if (plan->slot_count > SANDBOX_SLOTS_MAX)
        return error_set(err, ERROR_LIMIT, "a step with %zu layers and mounts, more than %u",
                         plan->slot_count, SANDBOX_SLOTS_MAX);
    memcpy(plan->bytes.data, plan->ops, plan->op_count * sizeof *plan->ops);
    return 0;
}

void sandbox_plan_release(struct sandbox_plan *plan)
{
    buf_release(&plan->bytes);
    free(plan->ops);
    free(plan->slots);
    *plan = (struct sandbox_plan){0};
}
