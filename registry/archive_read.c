#include "registry/archive.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "registry/archive_priv.h"

#include <stdlib.h>
#include <string.h>

void registry_archive_list_release(struct registry_archive_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        descriptor_release(&l->items[i].root);
        for (size_t j = 0; j < l->items[i].name_count; j++)
            free(l->items[i].names[j]);
        free(l->items[i].names);
    }
    free(l->items);
    *l = (struct registry_archive_list){0};
}

static struct registry_archive_entry *entry_of(struct registry_archive_list *l,
                                               const struct descriptor *root)
{
    for (size_t i = 0; i < l->count; i++) {
        if (digest_eq(&l->items[i].root.digest, &root->digest))
            return &l->items[i];
    }
    l->items = base_realloc_array(l->items, l->count + 1, sizeof *l->items);
    struct registry_archive_entry *e = &l->items[l->count++];
    *e = (struct registry_archive_entry){0};
    descriptor_copy(&e->root, root);
    return e;
}

void registry_archive_list_add(struct registry_archive_list *l,
                               const struct descriptor *root,
                               const char *name)
{
    struct registry_archive_entry *e = entry_of(l, root);

    for (size_t i = 0; name && i < e->name_count; i++) {
        if (strcmp(e->names[i], name) == 0)
            return;
    }
    if (!name)
        return;
    e->names = base_realloc_array(e->names, e->name_count + 1, sizeof *e->names);
    e->names[e->name_count++] = base_strdup(name);
}

static int list_images(const struct registry_archive_scan *s,
                       struct registry_archive_list *out,
                       struct error *err)
{
    if (s->index)
        return registry_archive_oci_images(s, out, err);
    if (s->manifest)
        return registry_archive_docker_images(s, out, err);
    return error_set(err, ERROR_INVALID,
                     "there is neither index.json nor manifest.json in it: this is no "
                     "archive of images");
}

int registry_archive_read(struct cas_store *store,
                          int fd,
                          const struct registry_progress *progress,
                          struct registry_archive_list *out,
                          struct error *err)
{
    CLEANUP(registry_archive_scan_release)
    struct registry_archive_scan s = {.store = store};
    struct registry_archive_list list = {0};

    if (registry_archive_scan_fd(&s, fd, progress, err) < 0 ||
        list_images(&s, &list, err) < 0) {
        registry_archive_list_release(&list);
        return error_wrap(err, "archive");
    }
    *out = list;
    return 0;
}
