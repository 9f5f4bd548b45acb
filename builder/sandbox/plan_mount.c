#include "builder/sandbox/plan_parts.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

static const uint64_t default_shm_size = UINT64_C(64) << 20;

/* As containerd and BuildKit have them, and what newer ones of theirs add. */
static const char *const masked_paths[] = {
    "/proc/acpi",        "/proc/asound",        "/proc/kcore",
    "/proc/keys",        "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug",   "/proc/scsi",
    "/proc/interrupts",  "/sys/firmware",       "/sys/devices/virtual/powercap",
};
static const char *const readonly_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

/* --- sources: what gets mounted, before and after the mount namespace is left --- */

/* A source that is or becomes one slot. */
struct source {
    const struct cas_snapshot_mount *snapshot; /* NULL: a descriptor */
    const char *path;                          /* beneath it; NULL: itself */
    uint32_t first;                            /* its first slot */
    uint32_t slot;                             /* where the result is */
    bool readonly;
    bool device;
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
    struct source s = {.snapshot = snapshot->overlay ? snapshot : NULL,
                       .path = below(path)};

    s.first = (uint32_t)plan->slot_count;
    s.readonly = readonly;
    for (size_t i = 0; snapshot->overlay && i < snapshot->lower_count; i++)
        plan_add_slot(plan, snapshot->lower_fds[i]);
    s.slot = plan_add_slot(plan, snapshot->upper_fd);
    if (snapshot->overlay)
        plan_add_slot(plan, snapshot->work_fd);
    return s;
}

static struct source add_descriptor(struct sandbox_plan *plan,
                                    int fd,
                                    const char *path,
                                    bool readonly)
{
    struct source s = {.path = below(path), .readonly = readonly};

    s.first = s.slot = plan_add_slot(plan, fd);
    return s;
}

/* Read-only, so that chmod and chown do not reach the host's node; a device can be written
 * to all the same. */
static struct source add_device(struct sandbox_plan *plan, int fd)
{
    struct source s = add_descriptor(plan, fd, NULL, true);

    s.device = true;
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
    struct sandbox_op *const op = plan_add(plan, code);

    op->slot = (int32_t)s->first;
    op->count = s->slot - s->first;
    op->flags = (s->snapshot->userxattr ? (uint32_t)OP_FLAG_USERXATTR : 0) |
                (readonly ? (uint32_t)OP_FLAG_READONLY : 0);
}

/* OP_TREE: `slot`, what lies at `text` beneath it. */
static void plan_tree(struct sandbox_plan *plan, const struct source *s)
{
    struct sandbox_op *const op = plan_add(plan, OP_TREE);

    op->slot = (int32_t)s->slot;
    op->text = plan_add_text(plan, s->path);
    op->flags = (s->readonly ? (uint32_t)OP_FLAG_READONLY : 0) |
                (s->device ? (uint32_t)OP_FLAG_DEVICE : 0);
}

/* OP_CLASSIC_SELF, OP_STAGE, OP_ROOT: `slot`. */
static struct sandbox_op *plan_slot(struct sandbox_plan *plan,
                                    enum sandbox_opcode code,
                                    uint32_t slot)
{
    struct sandbox_op *const op = plan_add(plan, code);

    op->slot = (int32_t)slot;
    return op;
}

/* Descriptors were opened in cooper's mount namespace, so the kernel copies their mounts
 * only for a process that is in it: before OP_UNSHARE. */
static void plan_prepare(struct sandbox_plan *plan, const struct source *s)
{
    if (s->snapshot)
        plan_overlay(plan, s, OP_OVERLAY, s->readonly && !s->path);
    else
        plan_tree(plan, s);
}

/* A directory of a detached overlay cannot be copied before Linux 6.15. */
static void plan_stage(struct sandbox_plan *plan, const struct source *s)
{
    if (!s->snapshot || !s->path)
        return;
    plan_slot(plan, OP_STAGE, s->slot);
    plan_tree(plan, s);
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
    op->text = plan_add_text(plan, s->path);
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
    struct sandbox_op *const op = plan_add(plan, code);

    op->text = plan_add_text(plan, type);
    op->target = plan_add_text(plan, target);
    op->data = plan_add_text(plan, options);
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
                   MS_NOSUID | MS_NODEV | MS_NOEXEC | (readonly ? MS_RDONLY : 0), NULL)
            ->flags |= OP_FLAG_OR_BIND | (readonly ? (uint32_t)OP_FLAG_READONLY : 0);
        return;
    }
    /* Only the owner of a network namespace may mount its sysfs: the host's is shown. */
    struct sandbox_op *const op = plan_add(plan, OP_BIND);
    op->text = plan_add_text(plan, "/sys");
    op->target = plan_add_text(plan, "/sys");
    op->flags = OP_FLAG_KERNEL | (readonly ? (uint32_t)OP_FLAG_READONLY : 0);
}

/*
 * mknod is among Docker's capabilities. What Docker's devices cgroup does, allow nodes to
 * be made but not to be used, `nodev` does here on every mount that a step can write to;
 * /dev is no exception, so each of its six nodes gets a mount of its own.
 */
static void forbid_devices(struct sandbox_plan *plan)
{
    for (size_t i = 0; i < plan->op_count; i++) {
        struct sandbox_op *const op = &plan->ops[i];
        if (op->flags & OP_FLAG_DEVICE)
            continue;
        op->flags |= OP_FLAG_NODEV;
        if (op->code == OP_DEV || (op->code == OP_MOUNT && !(op->flags & OP_FLAG_KERNEL)))
            op->a |= MS_NODEV;
    }
}

static void plan_kernel_mounts(struct sandbox_plan *plan,
                               const struct sandbox_spec *spec,
                               const struct sandbox_host *host)
{
    const unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    const uint64_t shm = spec->shm_size ? spec->shm_size : default_shm_size;
    char *const shm_options = base_format("mode=1777,size=%ju", (uintmax_t)shm);

    plan_mount(plan, OP_MOUNT, "proc", "/proc", plain, NULL)->flags |= OP_FLAG_OR_BIND;
    struct sandbox_op *const dev = plan_mount(
        plan, OP_DEV, "tmpfs", "/dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
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
    struct sandbox_op *const op = plan_add(plan, OP_FILE);

    op->target = plan_add_text(plan, target);
    op->data = plan_add_bytes(plan, content.data, content.size);
    op->count = (uint32_t)content.size; /* its sum is bounded by SANDBOX_PLAN_MAX */
    op->number = mode;
    op->a = owner;
    op->flags = readonly ? OP_FLAG_READONLY : 0;
}

/* OP_SOCKET: mode `number`, owner `a`, at `target`; `count` tells cooper which it is. */
static void plan_socket(struct sandbox_plan *plan, const struct sandbox_mount *m)
{
    uint32_t before = 0;

    for (size_t i = 0; i < plan->op_count; i++)
        before += plan->ops[i].code == OP_SOCKET;
    struct sandbox_op *const op = plan_add(plan, OP_SOCKET);
    op->target = plan_add_text(plan, m->target);
    op->number = m->mode ? m->mode : 0600;
    op->a = plan_ids(m->uid, m->gid);
    op->count = before;
}

/* OP_MASK, OP_READONLY: `target`. */
static void plan_masks(struct sandbox_plan *plan)
{
    for (size_t i = 0; i < ARRAY_COUNT(masked_paths); i++)
        plan_add(plan, OP_MASK)->target = plan_add_text(plan, masked_paths[i]);
    for (size_t i = 0; i < ARRAY_COUNT(readonly_paths); i++)
        plan_add(plan, OP_READONLY)->target = plan_add_text(plan, readonly_paths[i]);
}

static void plan_tmpfs(struct sandbox_plan *plan, const struct sandbox_mount *m)
{
    const mode_t mode = m->mode ? m->mode : 01777;
    char *const options =
        m->size ? base_format("mode=%o,size=%ju", (unsigned)mode, (uintmax_t)m->size)
                : base_format("mode=%o", (unsigned)mode);

    plan_mount(plan, OP_MOUNT, "tmpfs", m->target, MS_NOSUID, options)->flags =
        (m->mode ? 0 : (uint32_t)OP_FLAG_TARGET_MODE) |
        (m->readonly ? (uint32_t)OP_FLAG_READONLY : 0);
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
                  plan_ids(m->uid, m->gid), m->readonly);
        return;
    }
    if (m->type == SANDBOX_MOUNT_SOCKET) {
        plan_socket(plan, m);
        return;
    }
    /* OP_ATTACH: `slot` at `target`. */
    struct sandbox_op *const op = plan_slot(plan, OP_ATTACH, s->slot);
    op->target = plan_add_text(plan, m->target);
    op->flags = (s->readonly ? (uint32_t)OP_FLAG_READONLY : 0) |
                (s->device ? (uint32_t)OP_FLAG_DEVICE : 0);
}

static struct source *collect_sources(struct sandbox_plan *plan,
                                      const struct sandbox_spec *spec)
{
    struct source *const sources = base_alloc_array(spec->mount_count + 1, sizeof *sources);

    sources[0] = add_snapshot(plan, &spec->root, NULL, false);
    for (size_t i = 0; i < spec->mount_count; i++) {
        const struct sandbox_mount *m = &spec->mounts[i];
        if (m->type == SANDBOX_MOUNT_SNAPSHOT)
            sources[i + 1] = add_snapshot(plan, &m->snapshot, m->source, m->readonly);
        else if (m->type == SANDBOX_MOUNT_BIND)
            sources[i + 1] = add_descriptor(plan, m->source_fd, m->source, m->readonly);
        else if (m->type == SANDBOX_MOUNT_DEVICE)
            sources[i + 1] = add_device(plan, m->source_fd);
    }
    return sources;
}

static bool has_source(const struct sandbox_spec *spec, size_t index)
{
    return index == 0 || spec->mounts[index - 1].type <= SANDBOX_MOUNT_SNAPSHOT ||
           spec->mounts[index - 1].type == SANDBOX_MOUNT_DEVICE;
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
        plan_slot(plan, OP_NETNS, plan_add_slot(plan, spec->netns_fd));
    plan_add(plan, OP_UNSHARE);
    for (size_t i = 0; i <= spec->mount_count; i++)
        if (has_source(spec, i) && classic)
            plan_classic(plan, &sources[i]);
        else if (has_source(spec, i))
            plan_stage(plan, &sources[i]);
    if (classic && !sources[0].snapshot)
        plan_slot(plan, OP_CLASSIC_SELF, sources[0].slot);
    plan_slot(plan, OP_ROOT, sources[0].slot);
}

/* What the step mounts there stands for the file: nothing could be mounted over one that
 * has lost its name. */
static bool is_target(const struct sandbox_spec *spec, const char *path)
{
    for (size_t i = 0; i < spec->mount_count; i++)
        if (strcmp(spec->mounts[i].target, path) == 0)
            return true;
    return false;
}

void plan_file_systems(struct sandbox_plan *plan,
                       const struct sandbox_spec *spec,
                       const struct sandbox_host *host)
{
    const bool classic = spec->mount_api == SANDBOX_MOUNT_API_AUTO
                             ? !host->new_mounts
                             : spec->mount_api == SANDBOX_MOUNT_API_CLASSIC;
    struct source *const sources = collect_sources(plan, spec);

    plan_root(plan, spec, sources, classic);
    plan_kernel_mounts(plan, spec, host);
    if (spec->resolv_conf && !is_target(spec, "/etc/resolv.conf"))
        plan_file(plan, "/etc/resolv.conf", view_of(spec->resolv_conf), 0644, 0, true);
    if (spec->hosts && !is_target(spec, "/etc/hosts"))
        plan_file(plan, "/etc/hosts", view_of(spec->hosts), 0644, 0, true);
    for (size_t i = 0; i < spec->mount_count; i++)
        plan_user_mount(plan, &spec->mounts[i], &sources[i + 1]);
    if (!spec->insecure) {
        plan_masks(plan);
        forbid_devices(plan);
    }
    free(sources);
    for (size_t i = 0; classic && i < plan->op_count; i++)
        plan->ops[i].flags |= OP_FLAG_CLASSIC;
    plan_add(plan, OP_PIVOT);
}
