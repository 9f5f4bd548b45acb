/* Unpacked layers against their indexes. */
#include "cas/fsck_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/index.h"
#include "cas/ingest.h"
#include "cas/layer_dir.h"
#include "cas/reach.h"
#include "cas/ref.h"
#include "cas/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory that is named by a chainID says not itself which layer it holds. */
struct chain {
    struct digest chain_id;
    struct digest diff_id;
};

struct layers {
    struct fsck *fsck;
    struct fsck_names names;
    struct chain *chains; /* of all images; sorted by chainID */
    size_t chain_count;
    size_t chain_capacity;
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

/* --- Chains --- */

static int compare_chains(const void *a, const void *b)
{
    return digest_compare(&((const struct chain *)a)->chain_id,
                          &((const struct chain *)b)->chain_id);
}

static void add_chain(void *context,
                      const struct digest *diff_id,
                      const struct digest *chain_id)
{
    struct layers *all = context;

    all->chains =
        base_grow(all->chains, all->chain_count, &all->chain_capacity, sizeof *all->chains);
    all->chains[all->chain_count++] = (struct chain){*chain_id, *diff_id};
}

static int add_reached(void *context,
                       const struct descriptor *d,
                       bool *descend,
                       struct error *err)
{
    struct layers *all = context;

    (void)descend;
    (void)err;
    cas_reach_layers(all->fsck->store, d, add_chain, all);
    return 0;
}

/* Of images that can be read; the others are told of elsewhere. */
static int read_chains(struct layers *all, struct error *err)
{
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};
    struct cas_store *s = all->fsck->store;

    if (cas_ref_list(s, &refs, err) < 0)
        return -1;
    for (size_t i = 0; i < refs.count; i++) {
        CLEANUP(error_clear) struct error damage = ERROR_INIT;
        if (cas_reach_walk(s, &refs.items[i].target, CAS_REACH_PEEK, add_reached, all,
                           &damage) < 0)
            continue;
    }
    if (all->chain_count > 1)
        qsort(all->chains, all->chain_count, sizeof *all->chains, compare_chains);
    return 0;
}

/* NULL without an error: it is not known which layer this is, or what is in it. */
static struct cas_index *open_index(const struct layers *all,
                                    const char *name,
                                    const struct digest *id,
                                    struct error *err)
{
    const struct chain want = {.chain_id = *id};
    const struct chain *known =
        name[0] == 'c' && all->chain_count > 0
            ? bsearch(&want, all->chains, all->chain_count, sizeof want, compare_chains)
            : NULL;
    bool found;

    if (name[0] == 'c' && !known)
        return NULL;
    return cas_index_open(all->fsck->store, known ? &known->diff_id : id, &found, err);
}

/* --- Directories --- */

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
    struct cas_index *index = open_index(all, name, &id, err);
    if (!index)
        return err->code == ERROR_NONE ? 0 : -1;
    const int result = compare(f, all, path, form, index, fs_fd, err);
    cas_index_close(index);
    return result;
}

int fsck_layers(struct fsck *f, struct error *err)
{
    struct layers all = {.fsck = f};
    int result = cas_layer_form(&all.form, err);

    if (result == 0)
        result = read_chains(&all, err);

    if (result == 0)
        result = fsck_names_read(f, "layers", &all.names, err);
    if (result == 0)
        result = fsck_each(f, all.names.count, check_layer, &all, err);
    fsck_names_release(&all.names);
    free(all.chains);
    return result;
}
