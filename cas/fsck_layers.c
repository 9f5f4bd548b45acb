/* Unpacked layers against their indexes. */
#include "cas/fsck_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/index.h"
#include "cas/ingest.h"
#include "cas/layer_dir.h"
#include "cas/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct layers {
    struct fsck_names names;
    struct cas_layer_form form; /* of this process */
};

/* "d-sha256-HEX-FORM": HEX begins here, FORM after it. */
#define HEAD_SIZE (sizeof "d-sha256-" - 1)
#define HEX_SIZE  ((size_t)64)

static bool parse_name(const char *name, struct digest *id, const char **form)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(base_freep) char *text = NULL;

    if (strlen(name) < HEAD_SIZE + HEX_SIZE + 2 || name[HEAD_SIZE + HEX_SIZE] != '-' ||
        (strncmp(name, "d-sha256-", HEAD_SIZE) != 0 &&
         strncmp(name, "c-sha256-", HEAD_SIZE) != 0))
        return false;
    text = base_format("sha256:%.*s", (int)HEX_SIZE, name + HEAD_SIZE);
    *form = name + HEAD_SIZE + HEX_SIZE + 1;
    return digest_parse(view_of(text), id, &ignored) == 0;
}

/* Whether to take it away is asked of nobody: who uses it has it open, and another is made
 * from the blob. */
static int remove_layer(struct fsck *f, const char *path, bool *removed, struct error *err)
{
    CLEANUP(base_freep) char *away = cas_ingest_name(f->store);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    *removed = f->options->repair;
    if (!*removed)
        return 0;
    if (renameat(f->store->fd, path, f->store->fd, away) < 0)
        return errno == ENOENT ? 0 : error_sys(err, "remove %s", path);
    if (fs_remove_tree_at(f->store->fd, away, &ignored) < 0)
        return 0; /* it stays in ingest/ for a process that can */
    return 0;
}

static int damaged(struct fsck *f, const char *path, char *why, struct error *err)
{
    bool removed;

    if (remove_layer(f, path, &removed, err) < 0) {
        free(why);
        return -1;
    }
    fsck_report(f, CAS_FSCK_UNPACKED, path, why,
                removed ? "it was removed, and is unpacked again when needed"
                        : "--repair removes it: it is unpacked again when needed",
                removed);
    return 0;
}

/* A chain's directory is named by the chainID: which layer it holds, an image's config
 * would say. What is in the index of that layer is found by diffID only. */
static struct cas_index *open_index(struct fsck *f,
                                    const char *name,
                                    const struct digest *id,
                                    struct error *err)
{
    bool found;

    return name[0] == 'd' ? cas_index_open(f->store, id, &found, err) : NULL;
}

static int compare(struct fsck *f,
                   const struct layers *all,
                   const char *path,
                   const char *form,
                   const struct cas_index *index,
                   int fs_fd,
                   struct error *err)
{
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    const struct fsck_compare c = {
        .index = index,
        .fs_fd = fs_fd,
        .owners = form[0] != 'r' && strcmp(form, all->form.text) == 0,
        .devices = form[0] == 't',
        .content = f->options->full,
        .opaque_xattr = form[0] == 't' ? "trusted.overlay.opaque" : "user.overlay.opaque",
    };
    char *why = NULL;

    if (fsck_compare_tree(&c, &why, &failure) == 0)
        return why ? damaged(f, path, why, err) : 0;
    /* Pruned meanwhile; or it belongs to ids that this user cannot take on. */
    if (faccessat(f->store->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        fsck_note(f, CAS_FSCK_UNPACKED, path,
                  base_format("could not be read: %s", error_text(&failure)));
    return 0;
}

/* One of an earlier boot is not believed by anybody, and made again when it is needed. */
static int check_layer(struct fsck *f, const void *context, size_t i, struct error *err)
{
    const struct layers *all = context;
    const char *name = all->names.items[i];
    CLEANUP(base_freep) char *path = base_format("layers/%s", name);
    CLEANUP(base_freep) char *fs_path = base_format("%s/fs", path);
    struct digest id;
    const char *form;

    if (!parse_name(name, &id, &form))
        return 0; /* named among the unknown files */
    fsck_count(f, CAS_FSCK_UNPACKED, 0);
    CLEANUP(fd_closep)
    int fd = openat(f->store->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 && (errno == EACCES || errno == EPERM)) {
        fsck_note(f, CAS_FSCK_UNPACKED, path, base_strdup("may not be read"));
        return 0;
    }
    if (fd < 0)
        return damaged(f, path, base_format("cannot be opened: %s", strerror(errno)), err);
    if (!cas_layer_dir_is_current(fd))
        return 0;
    CLEANUP(fd_closep)
    int fs_fd = openat(fd, "fs", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fs_fd < 0 && errno == ENOENT)
        return damaged(f, path, base_strdup("has no files"), err);
    struct cas_index *index = open_index(f, name, &id, err);
    if (!index)
        return err->code == ERROR_NONE ? 0 : -1;
    const int result = compare(f, all, path, form, index, fs_fd, err);
    cas_index_close(index);
    return result;
}

int fsck_layers(struct fsck *f, struct error *err)
{
    struct layers all = {0};
    int result = cas_layer_form(&all.form, err);

    if (result == 0)
        result = fsck_names_read(f, "layers", &all.names, err);
    if (result == 0)
        result = fsck_each(f, all.names.count, check_layer, &all, err);
    fsck_names_release(&all.names);
    return result;
}
