/*
 * RUN --device: the edits that CDI specifications ask for, made to a step.
 */
#include "builder/step_run_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/fs.h"
#include "builder/cdi.h"
#include "builder/step_shared.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- Rights --- */

static bool is_granted(const struct build_request *request,
                       const struct build_device *wanted,
                       const struct build_cdi_device *d)
{
    if (request->allow_devices || build_cdi_is_allowed(d))
        return true;
    /* Whoever gives a device on the command line has allowed it. */
    for (size_t i = 0; i < request->device_count; i++)
        if (strcmp(request->devices[i], wanted->name) == 0)
            return true;
    for (size_t i = 0; i < request->allowed_device_count; i++) {
        const char *name = request->allowed_devices[i].name;

        if (strcmp(name, d->name) == 0 || strcmp(name, d->kind) == 0)
            return true;
    }
    return false;
}

/* --allow device=NAME,alias=ALIAS: what the Dockerfile calls ALIAS is this machine's NAME.
 */
static const char *real_name(const struct build_request *request, const char *name)
{
    for (size_t i = 0; i < request->allowed_device_count; i++) {
        const struct build_pair *p = &request->allowed_devices[i];

        if (p->value && strcmp(p->value, name) == 0)
            return p->name;
    }
    return name;
}

/* --- Edits --- */

static int add_variables(struct step_run *r, const struct doc *list, struct error *err)
{
    for (size_t i = 0; i < doc_count(list); i++) {
        struct view name, value;

        if (!doc_text(doc_at(list, i)) ||
            !view_cut(view_of(doc_text(doc_at(list, i))), '=', &name, &value))
            return error_set(err, ERROR_INVALID, "env: not NAME=VALUE");
        CLEANUP(base_freep) char *text = view_dup(name);
        step_env_set(r, text, value.data);
    }
    return 0;
}

static int add_node(struct step_run *r, const struct doc *node, struct error *err)
{
    const char *path = doc_text(doc_get(node, "path"));
    const char *host = doc_text(doc_get(node, "hostPath"));
    struct stat st;
    int fd;

    if (!path || *path != '/')
        return error_set(err, ERROR_INVALID, "deviceNodes: path is missing or relative");
    fd = fs_open_at(AT_FDCWD, host ? host : path, O_PATH, 0, err);
    if (fd < 0)
        return -1;
    step_run_keep(r, fd);
    if (fstat(fd, &st) < 0)
        return error_sys(err, "%s", path);
    if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
        return error_set(err, ERROR_INVALID, "%s is no device node", host ? host : path);
    step_run_mount(r, (struct sandbox_mount){
                          .type = SANDBOX_MOUNT_DEVICE, .target = path, .source_fd = fd});
    return 0;
}

static bool has_option(const struct doc *options, const char *name)
{
    for (size_t i = 0; i < doc_count(options); i++) {
        const char *text = doc_text(doc_at(options, i));

        if (text && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

static int add_tree(struct step_run *r, const struct doc *mount, struct error *err)
{
    const char *host = doc_text(doc_get(mount, "hostPath"));
    const char *path = doc_text(doc_get(mount, "containerPath"));
    const char *type = doc_text(doc_get(mount, "type"));
    int fd;

    if (!host || !path || *path != '/')
        return error_set(err, ERROR_INVALID,
                         "mounts: hostPath or containerPath is missing or relative");
    if (type && *type && strcmp(type, "bind") != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "mounts: only type bind can be mounted, not '%s'", type);
    fd = fs_open_at(AT_FDCWD, host, O_PATH, 0, err);
    if (fd < 0)
        return -1;
    step_run_keep(r, fd);
    step_run_mount(
        r, (struct sandbox_mount){.type = SANDBOX_MOUNT_BIND,
                                  .target = path,
                                  .readonly = has_option(doc_get(mount, "options"), "ro"),
                                  .source_fd = fd});
    return 0;
}

static int add_groups(struct step_run *r, const struct doc *list, struct error *err)
{
    struct build_process_user *u = &r->user;

    for (size_t i = 0; i < doc_count(list); i++) {
        int64_t gid;

        if (!doc_int(doc_at(list, i), &gid) || gid < 0 || gid > UINT32_MAX)
            return error_set(err, ERROR_INVALID, "additionalGids: no group id");
        u->groups = base_realloc_array(u->groups, u->group_count + 1, sizeof *u->groups);
        u->groups[u->group_count++] = (uint32_t)gid;
    }
    return 0;
}

/* A hook is a program of the host's that a runtime runs on the container from outside. That
 * no Dockerfile may ask for here: the step is told what it can do instead. */
static void tell_hooks(struct step_run *r,
                       const struct build_cdi_device *d,
                       const struct doc *hooks)
{
    for (size_t i = 0; i < doc_count(hooks); i++) {
        const struct doc *hook = doc_at(hooks, i);
        const struct doc *args = doc_get(hook, "args");
        CLEANUP(buf_release) struct buf text = BUF_INIT(64 << 10);

        buf_printf(&text, "device %s: its %s hook is not run:", d->name,
                   doc_text(doc_get(hook, "hookName")) ?: "unnamed");
        for (size_t k = 0; k < doc_count(args); k++)
            buf_printf(&text, " %s", doc_text(doc_at(args, k)) ?: "");
        if (doc_count(args) == 0)
            buf_printf(&text, " %s", doc_text(doc_get(hook, "path")) ?: "");
        if (strstr(buf_text(&text), "update-ldcache"))
            buf_append_text(&text, " (run ldconfig in the step itself)");
        step_shared_note(r->n->solver->shared, buf_text(&text));
    }
}

static int add_each(struct step_run *r,
                    const struct doc *list,
                    int (*add)(struct step_run *, const struct doc *, struct error *),
                    struct error *err)
{
    for (size_t i = 0; i < doc_count(list); i++)
        if (add(r, doc_at(list, i), err) < 0)
            return -1;
    return 0;
}

static int edit(struct step_run *r,
                const struct build_cdi_device *d,
                const struct doc *edits,
                struct error *err)
{
    if (doc_count(doc_get(edits, "netDevices")) > 0 || doc_get(edits, "intelRdt"))
        return error_set(err, ERROR_UNSUPPORTED,
                         "netDevices and intelRdt cannot be given to build steps");
    tell_hooks(r, d, doc_get(edits, "hooks"));
    if (add_variables(r, doc_get(edits, "env"), err) < 0 ||
        add_each(r, doc_get(edits, "deviceNodes"), add_node, err) < 0 ||
        add_each(r, doc_get(edits, "mounts"), add_tree, err) < 0)
        return -1;
    return add_groups(r, doc_get(edits, "additionalGids"), err);
}

/* --- All devices of a step --- */

/* What was given already; a specification's own edits are made once. */
struct given {
    const struct build_cdi_device **devices;
    size_t count;
    size_t room;
};

static int give(struct step_run *r,
                struct given *given,
                const struct build_cdi_device *d,
                struct error *err)
{
    bool same_spec = false;

    for (size_t i = 0; i < given->count; i++) {
        if (given->devices[i] == d)
            return 0;
        same_spec |= given->devices[i]->spec == d->spec;
    }
    given->devices =
        base_grow(given->devices, given->count, &given->room, sizeof *given->devices);
    given->devices[given->count++] = d;
    if ((!same_spec && edit(r, d, doc_get(d->spec, "containerEdits"), err) < 0) ||
        edit(r, d, doc_get(d->device, "containerEdits"), err) < 0)
        return error_wrap(err, "device %s (%s)", d->name, d->file);
    return 0;
}

static int missing(struct step_run *r, const struct build_device *wanted, struct error *err)
{
    CLEANUP(base_freep) char *text = NULL;

    if (wanted->required)
        return error_set(err, ERROR_NOT_FOUND,
                         "device %s: no CDI specification in %s has it", wanted->name,
                         build_cdi_directories());
    text = base_format("device %s: no CDI specification has it; the step runs without",
                       wanted->name);
    step_shared_note(r->n->solver->shared, text);
    return 0;
}

static int add_device(struct step_run *r,
                      struct given *given,
                      const struct build_device *wanted,
                      struct error *err)
{
    const struct build_request *request = r->n->solver->request;
    const struct build_cdi_device **found = NULL;
    size_t count = 0;
    int status = build_cdi_find(step_shared_cdi(r->n->solver->shared),
                                real_name(request, wanted->name), &found, &count, err);

    if (status == 0 && count == 0)
        status = missing(r, wanted, err);
    for (size_t i = 0; status == 0 && i < count; i++)
        status = is_granted(request, wanted, found[i])
                     ? give(r, given, found[i], err)
                     : error_set(err, ERROR_DENIED,
                                 "device %s is not allowed: give --allow device=%s if you "
                                 "trust this Dockerfile",
                                 found[i]->name, found[i]->name);
    free(found);
    return status;
}

int step_devices_open(struct step_run *r, struct error *err)
{
    struct given given = {0};
    int status = 0;

    for (size_t i = 0; status == 0 && i < r->op->device_count; i++)
        status = add_device(r, &given, &r->op->devices[i], err);
    free(given.devices);
    return status;
}
