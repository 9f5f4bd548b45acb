/* The layer of a snapshot's changes, written beside whatever comes next. */
#include "cas/snapshot_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/layer_priv.h"

#include <fcntl.h>
#include <stdlib.h>

/* Owned by the thread that runs it. */
struct write_job {
    struct cas_layer *layer; /* pending; not a reference: its last unref waits for us */
    struct cas_store *store;
    struct cas_entry_list entries;
    struct cas_scratch scratch;
    int dir_fd; /* fs/ of the scratch directory */
    bool keep;  /* it becomes the unpacked layer */
    struct cas_layer_form form;
    struct cas_layer_options options;
};

static int open_content(void *context, size_t i, struct cas_content *out, struct error *err)
{
    const struct write_job *job = context;

    out->memory = (struct view){NULL, 0};
    out->fd = fs_open_nofollow(job->dir_fd, job->entries.items[i].path.data,
                               O_RDONLY | O_NOFOLLOW, 0, err);
    return out->fd < 0 ? -1 : 0;
}

/* The directory gets the layer's name, without overlayfs' work directory, which is no part
 * of it (and whose removal the next step need not wait for). If the name is taken, others
 * unpacked the same layer; ours may be in use, and goes with the handle. */
static int publish_dir(struct write_job *job,
                       const struct digest *diff_id,
                       struct error *err)
{
    const struct cas_layer_root none = {0};
    char *path = cas_layer_dir_path(&job->form, diff_id, false);
    bool published = false;

    if (fs_remove_tree_at(job->scratch.fd, "work", err) < 0 ||
        cas_layer_dir_mark(job->scratch.fd, &none, err) < 0 ||
        cas_scratch_publish(&job->scratch, path, &published, err) < 0) {
        free(path);
        return -1;
    }
    if (!published) {
        free(path);
        return 0;
    }
    cas_layer_lock_dir(job->layer)->name = path;
    cas_layer_unlock_dir(job->layer);
    return 0;
}

static void free_job(struct write_job *job)
{
    /* Published: nothing. Kept, but without a name of its own: until the handle goes. */
    if (job->keep && job->scratch.path) {
        cas_layer_keep_scratch(job->layer, job->scratch.path);
        job->scratch.path = NULL;
    }
    cas_scratch_removep(&job->scratch);
    fd_closep(&job->dir_fd);
    cas_entry_list_release(&job->entries);
    free(job);
}

static void *run_job(void *arg)
{
    struct write_job *job = arg;
    struct cas_layer *layer = job->layer;
    struct error failure = ERROR_INIT;
    CLEANUP(cas_layer_unrefp)
    struct cas_layer *written =
        cas_layer_write(job->store, job->entries.items, job->entries.count, open_content,
                        job, &job->options, &failure);

    if (written && job->keep && publish_dir(job, cas_layer_diff_id(written), &failure) < 0)
        cas_layer_unrefp(&written);
    free_job(job);
    if (written)
        cas_layer_finish(layer, cas_layer_diff_id(written), cas_layer_blob(written));
    else
        cas_layer_fail(layer, &failure);
    return NULL;
}

/* The handle serves as a lower layer from now on. */
static int lend_dir(struct write_job *job, struct error *err)
{
    const int fd = fcntl(job->dir_fd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return error_sys(err, "duplicate a descriptor");
    cas_layer_lock_dir(job->layer)->fd = fd;
    cas_layer_unlock_dir(job->layer);
    return 0;
}

struct cas_layer *snapshot_write(struct cas_snapshot *snap,
                                 struct cas_entry_list *changes,
                                 const struct cas_layer_options *options,
                                 struct error *err)
{
    struct cas_layer *layer = cas_layer_new_pending(snap->store);
    struct write_job *job = base_alloc(sizeof *job);

    *job = (struct write_job){
        .layer = layer,
        .store = snap->store,
        .entries = *changes,
        .scratch = cas_scratch_take(&snap->scratch),
        .dir_fd = fd_take(&snap->upper_fd),
        .keep = snap->overlay,
        .form = snap->form,
        .options = *options,
    };
    *changes = (struct cas_entry_list){0};
    /* Before the directory is lent: the next step reads them. */
    const bool kept = !snap->kept || cas_owners_save(snap->kept, job->scratch.fd, err) == 0;
    job->options.unpack = false;
    job->options.cancel = cas_layer_cancel_flag(layer);
    if (!kept || (job->keep && lend_dir(job, err) < 0) ||
        cas_layer_start(layer, run_job, job, err) < 0) {
        job->keep = false;
        free_job(job);
        cas_layer_unref(layer);
        return NULL;
    }
    return layer;
}
