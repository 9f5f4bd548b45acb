#include "cas/snapshot.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/layer_priv.h"
#include "cas/snapshot_priv.h"
#include "cas/store_priv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

static struct cas_snapshot *new_snapshot(struct cas_store *s,
                                         struct cas_layer *const *layers,
                                         size_t count)
{
    struct cas_snapshot *snap = base_alloc(sizeof *snap);

    snap->store = s;
    snap->scratch = (struct cas_scratch)CAS_SCRATCH_INIT;
    snap->upper_fd = -1;
    snap->work_fd = -1;
    snap->over_fd = -1;
    snap->layers = base_alloc_array(count + 1, sizeof(struct cas_layer *));
    for (size_t i = 0; i < count; i++)
        snap->layers[i] = cas_layer_ref(layers[i]);
    snap->count = count;
    return snap;
}

static int make_dir(struct cas_snapshot *snap,
                    const char *name,
                    mode_t mode,
                    struct error *err)
{
    if (mkdirat(snap->scratch.fd, name, mode) < 0)
        return error_sys(err, "make %s/%s", snap->scratch.path, name);
    return fs_open_at(snap->scratch.fd, name, O_RDONLY | O_DIRECTORY, 0, err);
}

/* A stack that overlayfs cannot mount is copied, unless overlay was asked for by name. */
static int choose_driver(struct cas_snapshot *snap,
                         enum cas_snapshot_driver driver,
                         struct error *err)
{
    const bool fits = snap->count + (snap->over_fd >= 0) <= LIMIT_LAYERS;

    snap->overlay = driver == CAS_SNAPSHOT_OVERLAY ||
                    (driver == CAS_SNAPSHOT_AUTO && fits && snapshot_overlay_usable(snap));
    if (snap->overlay && !fits)
        return error_set(err, ERROR_LIMIT, "%zu layers, and overlayfs mounts at most %d",
                         snap->count, LIMIT_LAYERS);
    return 0;
}

static int prepare(struct cas_snapshot *snap,
                   enum cas_snapshot_driver driver,
                   struct error *err)
{
    if (cas_layer_form(&snap->form, err) < 0 ||
        cas_scratch_open(&snap->scratch, snap->store, err) < 0)
        return -1;
    if (snap->form.recorded) {
        snap->owners = cas_owners_new();
        snap->kept = cas_owners_new();
    }
    snap->upper_fd = make_dir(snap, "fs", 0755, err);
    if (snap->upper_fd < 0 || choose_driver(snap, driver, err) < 0)
        return -1;
    if (!snap->overlay)
        return snapshot_copy_prepare(snap, err);
    snap->work_fd = make_dir(snap, "work", 0700, err);
    return snap->work_fd < 0 ? -1 : snapshot_overlay_prepare(snap, err);
}

struct cas_snapshot *cas_snapshot_new(struct cas_store *s,
                                      struct cas_layer *const *layers,
                                      size_t count,
                                      enum cas_snapshot_driver driver,
                                      struct error *err)
{
    struct cas_snapshot *snap = new_snapshot(s, layers, count);

    if (prepare(snap, driver, err) < 0) {
        cas_snapshot_discard(snap);
        return NULL;
    }
    return snap;
}

/* --- Keeping --- */

#define FORM_COPY "copy"

int cas_snapshot_keep(struct cas_snapshot *snap,
                      const char *path,
                      char **form,
                      struct error *err)
{
    int status = 0;

    if (renameat(snap->scratch.fd, "fs", snap->store->fd, path) < 0)
        status = error_sys(err, "keep the files in %s", path);
    else
        *form = base_strdup(snap->overlay ? snap->form.text : FORM_COPY);
    cas_snapshot_discard(snap);
    return status;
}

static int open_copy(struct cas_snapshot *snap, const char *path, struct error *err)
{
    snap->upper_fd = fs_open_at(snap->store->fd, path, O_RDONLY | O_DIRECTORY, 0, err);
    return snap->upper_fd < 0 ? -1 : 0;
}

static int open_over(struct cas_snapshot *snap,
                     const char *path,
                     const char *form,
                     struct error *err)
{
    if (cas_layer_form(&snap->form, err) < 0)
        return -1;
    if (strcmp(snap->form.text, form) != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the files were kept by another user, or with other ids");
    snap->over_fd = fs_open_at(snap->store->fd, path, O_RDONLY | O_DIRECTORY, 0, err);
    return snap->over_fd < 0 ? -1 : prepare(snap, CAS_SNAPSHOT_OVERLAY, err);
}

struct cas_snapshot *cas_snapshot_reopen(struct cas_store *s,
                                         struct cas_layer *const *layers,
                                         size_t count,
                                         const char *path,
                                         const char *form,
                                         struct error *err)
{
    struct cas_snapshot *snap = new_snapshot(s, layers, count);
    const bool is_copy = strcmp(form, FORM_COPY) == 0;

    if ((is_copy ? open_copy(snap, path, err) : open_over(snap, path, form, err)) < 0) {
        cas_snapshot_discard(snap);
        return NULL;
    }
    return snap;
}

/* --- Using --- */

struct cas_snapshot_mount cas_snapshot_mount(const struct cas_snapshot *snap)
{
    return (struct cas_snapshot_mount){
        .overlay = snap->lower_count > 0,
        .userxattr = snap->form.userxattr,
        .lower_fds = snap->lower_fds,
        .lower_count = snap->lower_count,
        .upper_fd = snap->upper_fd,
        .work_fd = snap->work_fd,
        .owners = snap->owners,
    };
}

void cas_snapshot_add_stub(struct cas_snapshot *snap, const char *path)
{
    cas_path_map_put(&snap->stubs, cas_arena_view(&snap->arena, view_of(path)), snap);
}

static struct cas_layer *commit(struct cas_snapshot *snap,
                                const struct cas_layer_options *options,
                                bool *changed,
                                struct error *err)
{
    struct cas_entry_list changes = {0};
    const int result = snap->overlay
                           ? snapshot_overlay_changes(snap, options->epoch, &changes, err)
                           : snapshot_copy_changes(snap, &changes, err);

    *changed = changes.count > 0;
    if (result < 0 || changes.count == 0) {
        cas_entry_list_release(&changes);
        return NULL;
    }
    return snapshot_write(snap, &changes, options, err);
}

struct cas_layer *cas_snapshot_commit(struct cas_snapshot *snap,
                                      const struct cas_layer_options *options,
                                      bool *changed,
                                      struct error *err)
{
    struct cas_layer *layer = commit(snap, options, changed, err);

    cas_snapshot_discard(snap);
    return layer;
}

void cas_snapshot_discard(struct cas_snapshot *snap)
{
    if (!snap)
        return;
    for (size_t i = 0; i < snap->lower_count; i++)
        fd_closep(&snap->lower_fds[i]);
    free(snap->lower_fds);
    free(snap->lower_inodes);
    fd_closep(&snap->upper_fd);
    fd_closep(&snap->work_fd);
    fd_closep(&snap->over_fd);
    cas_scratch_removep(&snap->scratch);
    for (size_t i = 0; i < snap->count; i++)
        cas_layer_unref(snap->layers[i]);
    free(snap->layers);
    cas_path_map_release(&snap->stubs);
    cas_owners_free(snap->owners);
    cas_owners_free(snap->kept);
    cas_arena_release(&snap->arena);
    free(snap);
}

void cas_snapshot_discardp(struct cas_snapshot **snap)
{
    cas_snapshot_discard(*snap);
    *snap = NULL;
}
