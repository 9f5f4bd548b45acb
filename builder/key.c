#include "builder/key.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define KEY_VERSION BUILD_KEY_VERSION

static void add_u64(struct hasher *h, uint64_t v)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    hasher_update(h, bytes, sizeof bytes);
}

/* With its length before it, so that no two lists of fields run into each other. */
static void add_view(struct hasher *h, struct view v)
{
    add_u64(h, v.size);
    if (v.size > 0)
        hasher_update(h, v.data, v.size);
}

static void add_text(struct hasher *h, const char *text)
{
    add_u64(h, text != NULL);
    add_view(h, view_of(text ? text : ""));
}

static void add_digest(struct hasher *h, const struct digest *d)
{
    add_u64(h, (uint64_t)d->alg);
    hasher_update(h, d->bytes, sizeof d->bytes);
}

static void add_copy(struct hasher *h, const struct build_copy_op *op)
{
    add_text(h, op->dest);
    add_text(h, op->chown);
    add_text(h, op->chmod);
    add_u64(h, op->link);
    add_u64(h, op->is_tree);
    add_u64(h, op->exclude_count);
    for (size_t i = 0; i < op->exclude_count; i++)
        add_view(h, op->excludes[i]);
    add_u64(h, op->source_count);
    for (size_t i = 0; i < op->source_count; i++) {
        const struct build_copy_source *s = &op->sources[i];

        add_u64(h, (uint64_t)s->from);
        add_text(h, s->path);
        add_text(h, s->pattern);
        add_text(h, s->required);
        add_u64(h, s->unpack);
        add_u64(h, s->wildcard);
        if (s->from == BUILD_FROM_TEXT)
            add_view(h, s->text);
    }
}

static int compare_texts(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y);
}

/* The order of variables means nothing to a program. */
static void add_env(struct hasher *h, char *const *env, size_t count)
{
    char **sorted = base_alloc_array(count + 1, sizeof(char *));

    if (count > 0)
        memcpy(sorted, env, count * sizeof(char *));
    qsort(sorted, count, sizeof(char *), compare_texts);
    add_u64(h, count);
    for (size_t i = 0; i < count; i++)
        add_text(h, sorted[i]);
    free(sorted);
}

static void add_mount(struct hasher *h, const struct build_mount *m)
{
    add_u64(h, (uint64_t)m->type);
    add_text(h, m->source);
    add_text(h, m->target);
    add_text(h, m->id);
    add_text(h, m->env);
    add_u64(h, m->as_file);
    add_u64(h, (uint64_t)m->sharing);
    add_u64(h, m->read_only);
    add_u64(h, m->required);
    add_u64(h, m->mode);
    add_u64(h, m->uid);
    add_u64(h, m->gid);
    add_u64(h, (uint64_t)m->size);
}

/* What else the step finds: devices, ulimits. Not what merely bounds it (cgroups). */
static void add_surroundings(struct hasher *h, const struct build_run_op *op)
{
    add_u64(h, op->device_count);
    for (size_t i = 0; i < op->device_count; i++) {
        add_text(h, op->devices[i].name);
        add_u64(h, op->devices[i].required);
    }
    add_text(h, op->hostname);
    add_u64(h, op->ulimit_count);
    for (size_t i = 0; i < op->ulimit_count; i++) {
        add_u64(h, (uint64_t)op->ulimits[i].resource);
        add_u64(h, op->ulimits[i].soft);
        add_u64(h, op->ulimits[i].hard);
    }
}

static void add_run(struct hasher *h,
                    const struct build_run_op *op,
                    const struct build_variant *v)
{
    add_u64(h, op->argc);
    for (size_t i = 0; i < op->argc; i++)
        add_text(h, op->argv[i]);
    add_env(h, op->env, op->env_count);
    add_text(h, op->workdir);
    add_text(h, op->user);
    add_text(h, op->script);
    add_text(h, op->script_name);
    add_u64(h, (uint64_t)op->network);
    add_u64(h, op->insecure);
    add_u64(h, op->mount_count);
    for (size_t i = 0; i < op->mount_count; i++)
        add_mount(h, &op->mounts[i]);
    add_surroundings(h, op);
    add_u64(h, v->host_count);
    for (size_t i = 0; i < v->host_count; i++) {
        add_text(h, v->hosts[i].name);
        add_text(h, v->hosts[i].value);
    }
}

struct digest build_key_operation(const struct build_node *n, const struct build_variant *v)
{
    struct hasher *h = hasher_new(DIGEST_SHA256);
    struct digest out;

    add_text(h, KEY_VERSION " operation");
    add_u64(h, (uint64_t)n->op);
    switch (n->op) {
    case BUILD_OP_SOURCE:
        break;
    case BUILD_OP_COPY:
        add_copy(h, &n->copy);
        break;
    case BUILD_OP_MKDIR:
        add_text(h, n->mkdir.path);
        add_text(h, n->mkdir.user);
        break;
    case BUILD_OP_RUN:
        add_run(h, &n->run, v);
        break;
    }
    hasher_final(h, &out);
    hasher_free(h);
    return out;
}

static struct digest combine(const char *kind,
                             const struct digest *operation,
                             const struct digest *inputs,
                             size_t count,
                             const struct digest *selection)
{
    static const struct digest none;
    struct hasher *h = hasher_new(DIGEST_SHA256);
    struct digest out;

    add_text(h, kind);
    add_digest(h, operation);
    add_u64(h, count);
    for (size_t i = 0; i < count; i++)
        add_digest(h, &inputs[i]);
    add_digest(h, selection ? selection : &none);
    hasher_final(h, &out);
    hasher_free(h);
    return out;
}

struct digest build_key_definition(const struct digest *operation,
                                   const struct digest *inputs,
                                   size_t count,
                                   const struct digest *selection)
{
    return combine(KEY_VERSION " definition", operation, inputs, count, selection);
}

struct digest build_key_content(const struct digest *operation,
                                const struct digest *inputs,
                                size_t count,
                                const struct digest *selection)
{
    return combine(KEY_VERSION " content", operation, inputs, count, selection);
}

struct digest build_key_result(const struct digest *operation, const struct digest *outcome)
{
    return combine(KEY_VERSION " result", operation, outcome, 1, NULL);
}

struct digest build_key_fingerprint(const struct digest *operation,
                                    const struct digest *prints,
                                    size_t count)
{
    return combine(KEY_VERSION " fingerprint", operation, prints, count, NULL);
}

struct digest build_key_inputs(const struct digest *chains, size_t count)
{
    static const struct digest none;

    return combine(KEY_VERSION " inputs", &none, chains, count, NULL);
}

struct digest build_key_image(const struct build_image *image)
{
    const struct doc *diff_ids = doc_get(doc_get(image->config, "rootfs"), "diff_ids");
    struct hasher *h = hasher_new(DIGEST_SHA256);
    struct digest out;

    add_text(h, KEY_VERSION " image");
    for (size_t i = 0; i < doc_count(diff_ids); i++)
        add_view(h, doc_view(doc_at(diff_ids, i)));
    hasher_final(h, &out);
    hasher_free(h);
    return out;
}

struct digest build_key_entries(const struct cas_entry *entries, size_t count)
{
    struct hasher *h = hasher_new(DIGEST_SHA256);
    struct digest out;

    add_text(h, KEY_VERSION " entries");
    for (size_t i = 0; i < count; i++) {
        const struct cas_entry *e = &entries[i];

        add_view(h, e->path);
        add_u64(h, (uint64_t)e->type);
        add_u64(h, e->mode);
        add_u64(h, (uint64_t)e->uid << 32 | e->gid);
        add_u64(h, (uint64_t)e->rdev_major << 32 | e->rdev_minor);
        add_u64(h, e->opaque);
        add_u64(h, e->size);
        add_view(h, e->target);
        add_u64(h, e->xattr_count);
        for (size_t k = 0; k < e->xattr_count; k++) {
            add_view(h, e->xattrs[k].name);
            add_view(h, e->xattrs[k].value);
        }
        add_digest(h, &e->content);
    }
    hasher_final(h, &out);
    hasher_free(h);
    return out;
}
