/* The document of a kept state, and how many there may be. */
#include "builder/kept.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "builder/builds.h"
#include "builder/journal.h"
#include "cas/descriptor.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static struct doc *text_or_null(const char *text)
{
    return text ? doc_new_text(view_of(text)) : doc_new_null();
}

static struct doc *texts_doc(char *const *items, size_t count)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < count; i++)
        doc_append(list, doc_new_text(view_of(items[i])));
    return list;
}

/* NAME of "NAME=VALUE". */
static struct doc *names_doc(char *const *items, size_t count)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < count; i++) {
        struct view name, value;

        view_cut(view_of(items[i]), '=', &name, &value);
        doc_append(list, doc_new_text(name));
    }
    return list;
}

static struct doc *mount_doc(const struct build_mount *m)
{
    struct doc *d = doc_new_object();

    doc_set_int(d, "type", (int64_t)m->type);
    doc_set(d, "source", text_or_null(m->source));
    doc_set(d, "target", text_or_null(m->target));
    doc_set(d, "id", text_or_null(m->id));
    doc_set(d, "env", text_or_null(m->env));
    doc_set_bool(d, "as_file", m->as_file);
    doc_set_int(d, "sharing", (int64_t)m->sharing);
    doc_set_bool(d, "read_only", m->read_only);
    doc_set_bool(d, "has_owner", m->has_owner);
    doc_set_int(d, "mode", m->mode);
    doc_set_int(d, "uid", m->uid);
    doc_set_int(d, "gid", m->gid);
    doc_set_int(d, "size", m->size);
    return d;
}

static struct doc *devices_doc(const struct build_run_op *op)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < op->device_count; i++)
        doc_append(list, doc_new_text(view_of(op->devices[i].name)));
    return list;
}

/* RLIM_INFINITY is -1 then. */
static struct doc *ulimits_doc(const struct build_run_op *op)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < op->ulimit_count; i++) {
        struct doc *limit = doc_new_array();

        doc_append(limit, doc_new_int(op->ulimits[i].resource));
        doc_append(limit, doc_new_int((int64_t)op->ulimits[i].soft));
        doc_append(limit, doc_new_int((int64_t)op->ulimits[i].hard));
        doc_append(list, limit);
    }
    return list;
}

static struct doc *run_doc(const struct build_run_op *op,
                           size_t (*from_stack)(void *context, const struct build_node *n),
                           void *context)
{
    struct doc *d = doc_new_object();
    struct doc *mounts = doc_new_array();

    doc_set(d, "argv", texts_doc(op->argv, op->argc));
    doc_set(d, "env", texts_doc(op->env, op->env_count));
    doc_set(d, "proxies", names_doc(op->proxy_env, op->proxy_env_count));
    doc_set(d, "workdir", text_or_null(op->workdir));
    doc_set(d, "user", text_or_null(op->user));
    doc_set(d, "script", text_or_null(op->script));
    doc_set(d, "script_name", text_or_null(op->script_name));
    doc_set_int(d, "network", (int64_t)op->network);
    doc_set_bool(d, "insecure", op->insecure);
    for (size_t i = 0; i < op->mount_count; i++) {
        struct doc *m = mount_doc(&op->mounts[i]);

        if (op->mounts[i].from)
            doc_set_int(m, "from", (int64_t)from_stack(context, op->mounts[i].from));
        doc_append(mounts, m);
    }
    doc_set(d, "mounts", mounts);
    doc_set(d, "hostname", text_or_null(op->hostname));
    doc_set(d, "devices", devices_doc(op));
    doc_set(d, "ulimits", ulimits_doc(op));
    return d;
}

static struct doc *hosts_doc(const struct build_request *request)
{
    struct doc *hosts = doc_new_array();

    for (size_t i = 0; i < request->add_host_count; i++) {
        struct doc *pair = doc_new_array();

        doc_append_text(pair, request->add_hosts[i].name);
        doc_append_text(pair, request->add_hosts[i].value);
        doc_append(hosts, pair);
    }
    return hosts;
}

struct doc *build_kept_describe(const struct build_node *n,
                                const struct build_request *request,
                                size_t (*from_stack)(void *context,
                                                     const struct build_node *n),
                                void *context)
{
    struct doc *d = doc_new_object();

    doc_set_int(d, "version", BUILD_KEPT_VERSION);
    doc_set(d, "name", doc_new_text(view_of(n->title)));
    doc_set_int(d, "line", n->pos.line);
    doc_set(d, "run", run_doc(build_node_command(n), from_stack, context));
    doc_set(d, "hosts", hosts_doc(request));
    if (request->ca.size > 0)
        doc_set_view(d, "ca", request->ca);
    doc_set_int(d, "shm_size", (int64_t)request->shm_size);
    return d;
}

static struct doc *layer_doc(struct cas_layer *layer, const char *from, struct error *err)
{
    bool is_here = false;
    struct doc *d;

    if (cas_layer_wait(layer, err) < 0 || cas_layer_is_here(layer, &is_here, err) < 0 ||
        (!is_here && !from && cas_layer_require_blob(layer, err) < 0))
        return NULL;
    d = doc_new_object();
    doc_set_text(d, "diff_id", digest_format(cas_layer_diff_id(layer)).text);
    doc_set(d, "blob", descriptor_doc(cas_layer_blob(layer)));
    if (!is_here && from)
        doc_set_text(d, "from", from);
    return d;
}

struct doc *build_kept_stack_doc(struct cas_layer *const *layers,
                                 size_t count,
                                 const struct build_image *image,
                                 struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *stack = doc_new_array();
    CLEANUP(base_freep) char *from = image ? registry_reference_text(&image->ref) : NULL;

    for (size_t i = 0; i < count; i++) {
        const bool is_image = image && i < image->image.layer_count;
        struct doc *d = layer_doc(layers[i], is_image ? from : NULL, err);

        if (!d)
            return NULL;
        doc_append(stack, d);
    }
    return doc_ref(stack);
}

/* The document first: files without one are left over, and go with the next collection if
 * they cannot go now. */
static int remove_state(int dir_fd, struct error *err)
{
    if (unlinkat(dir_fd, BUILD_KEPT_FILE, 0) < 0)
        return error_sys(err, "remove a kept state");
    return fs_remove_tree_at(dir_fd, BUILD_KEPT_FILES, err);
}

int build_kept_prune(struct cas_store *s, struct error *err)
{
    CLEANUP(build_ids_release) struct build_ids ids = {0};
    size_t kept = 0;

    if (build_builds_list(s, &ids, err) < 0)
        return -1;
    for (size_t i = 0; i < ids.count; i++) {
        CLEANUP(base_freep)
        char *path = base_format(BUILD_JOURNAL_DIR "/%s", ids.items[i]);
        CLEANUP(fd_closep)
        int fd =
            openat(cas_store_fd(s), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0 || faccessat(fd, BUILD_KEPT_FILE, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ||
            kept++ < BUILD_KEPT_COUNT)
            continue;
        /* Somebody is looking at it: the next failure tries again. */
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && remove_state(fd, err) < 0)
            return -1;
    }
    return 0;
}
