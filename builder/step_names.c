#include "builder/step_names.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "builder/slot.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct build_step_name {
    struct digest key;
    char *text;
};

void build_step_names_release(struct build_step_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i].text);
    free(n->items);
    *n = (struct build_step_names){0};
}

static void add_step(struct build_step_names *n, size_t *capacity, const struct doc *step)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    const char *text = doc_text(doc_get(step, "text"));
    const struct doc *value;
    struct digest key;

    if (!text)
        return;
    for (const char *name = NULL; doc_next(step, &name, &value);) {
        if (digest_parse(doc_view(value), &key, &ignored) < 0)
            continue;
        n->items = base_grow(n->items, n->count, capacity, sizeof *n->items);
        n->items[n->count++] = (struct build_step_name){key, base_strdup(text)};
    }
}

static void add_note(struct build_step_names *n,
                     size_t *capacity,
                     struct cas_store *store,
                     const char *name)
{
    struct build_slot_path path;
    CLEANUP(doc_unrefp) struct doc *doc = NULL;

    if (strlen(name) + sizeof "steps/" > sizeof path.text)
        return;
    snprintf(path.text, sizeof path.text, "steps/%.*s",
             (int)(sizeof path.text - sizeof "steps/"), name);
    doc = build_slot_read(store, &path);
    const struct doc *steps = doc_get(doc, "steps");
    for (size_t i = 0; i < doc_count(steps); i++)
        add_step(n, capacity, doc_at(steps, i));
}

static int compare_keys(const void *a, const void *b)
{
    const struct build_step_name *x = a;
    const struct build_step_name *y = b;

    return digest_compare(&x->key, &y->key);
}

void build_step_names_read(struct cas_store *store, struct build_step_names *out)
{
    const int fd = openat(cas_store_fd(store), "steps", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    size_t capacity = 0;

    *out = (struct build_step_names){0};
    while (dir && (e = readdir(dir))) {
        if (e->d_name[0] != '.')
            add_note(out, &capacity, store, e->d_name);
    }
    if (dir)
        closedir(dir);
    if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, compare_keys);
}

const char *build_step_names_find(const struct build_step_names *n,
                                  const struct digest *keys,
                                  size_t count)
{
    for (size_t i = 0; i < count && n->count > 0; i++) {
        const struct build_step_name want = {.key = keys[i]};
        const struct build_step_name *found =
            bsearch(&want, n->items, n->count, sizeof want, compare_keys);
        if (found)
            return found->text;
    }
    return NULL;
}
