/*
 * What a COPY takes from contexts, remembered under a fingerprint of where it takes it
 * from: if stat says of no file there anything else than last time, no file need be looked
 * at.
 */
#include "builder/solve_priv.h"

#include "base/alloc.h"
#include "cas/record.h"

#include <stdlib.h>

/* The path without what says "this must be a directory". */
static struct view directory_of(const char *path)
{
    struct view v = view_of(path);

    if (v.size > 0 && v.data[v.size - 1] == '.' &&
        (v.size == 1 || v.data[v.size - 2] == '/'))
        v.size--;
    while (v.size > 0 && v.data[v.size - 1] == '/')
        v.size--;
    while (v.size > 0 && v.data[0] == '/')
        v = (struct view){v.data + 1, v.size - 1};
    return v;
}

static int print_source(const struct build_copy_source *s,
                        struct digest *out,
                        bool *is_known,
                        struct error *err)
{
    *is_known = true;
    /* Text is part of the operation. */
    if (s->from == BUILD_FROM_TEXT)
        return 0;
    *is_known = false;
    if (s->from != BUILD_FROM_CONTEXT || s->wildcard)
        return 0;
    CLEANUP(base_freep) char *path = view_dup(directory_of(s->path));
    return build_context_fingerprint(s->context, view_of(path), out, is_known, err);
}

/* *key stays unset where one of the sources has no fingerprint. */
static int make_key(const struct solve_node *n, struct digest *key, struct error *err)
{
    const struct build_copy_op *op = &n->node->copy;
    CLEANUP(base_freep)
    struct digest *prints = base_alloc_array(op->source_count + 1, sizeof *prints);
    bool is_known = op->source_count > 0;

    for (size_t i = 0; is_known && i < op->source_count; i++)
        if (print_source(&op->sources[i], &prints[i], &is_known, err) < 0)
            return -1;
    if (is_known)
        *key = build_key_fingerprint(&n->operation, prints, op->source_count);
    return 0;
}

static int find(const struct solve_node *n,
                const struct digest *key,
                struct digest *out,
                struct error *err)
{
    CLEANUP(error_clear) struct error damage = ERROR_INIT;
    struct doc *record = NULL;
    bool found = false;

    if (cas_cache_find(n->solver->env->store, key, &found, &record, err) < 0)
        return -1;
    /* A damaged one is as good as none. */
    if (found && digest_parse(doc_view(doc_get(record, "selection")), out, &damage) < 0)
        *out = (struct digest){0};
    doc_unref(record);
    return 0;
}

static int keep(const struct solve_node *n,
                const struct digest *key,
                const struct digest *selection,
                struct error *err)
{
    struct doc *record = doc_new_object();
    int status;

    doc_set_text(record, "selection", digest_format(selection).text);
    status = cas_cache_put(n->solver->env->store, key, &n->operation, record, err);
    doc_unref(record);
    return status;
}

int step_copy_selection(struct solve_node *n, struct digest *out, struct error *err)
{
    struct digest key = {0};

    *out = (struct digest){0};
    if (make_key(n, &key, err) < 0)
        return -1;
    if (digest_is_set(&key) && find(n, &key, out, err) < 0)
        return -1;
    if (digest_is_set(out))
        return 0;
    if (step_copy_select(n, out, err) < 0)
        return -1;
    return digest_is_set(&key) ? keep(n, &key, out, err) : 0;
}
