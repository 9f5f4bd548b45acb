/* Reading a kept state: nothing that the document says is believed without a look. */
#include "builder/kept.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "builder/builds.h"
#include "builder/journal.h"
#include "cas/note.h"
#include "registry/pull.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* --- Values --- */

static int damaged(struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "the kept state is damaged");
}

static char *text_of(const struct doc *d, const char *key)
{
    return base_strdup(doc_text(doc_get(d, key)));
}

/* An integer of 0..max; anything else is 0. */
static uint64_t number_of(const struct doc *d, const char *key, uint64_t max)
{
    int64_t n = 0;

    if (!doc_int(doc_get(d, key), &n) || n < 0 || (uint64_t)n > max)
        return 0;
    return (uint64_t)n;
}

static char **texts_of(const struct doc *list, size_t *count)
{
    char **items = base_alloc_array(doc_count(list) + 1, sizeof(char *));

    for (size_t i = 0; i < doc_count(list); i++)
        if (doc_text(doc_at(list, i)))
            items[(*count)++] = base_strdup(doc_text(doc_at(list, i)));
    return items;
}

/* --- Stacks --- */

/* Where layers are that the store lacked. */
struct build_kept_source {
    const struct build_environment *env;
    struct registry_reference ref;
};

static int fetch_layer(void *context,
                       const struct descriptor *blob,
                       struct cas_arrival *arrival,
                       struct error *err)
{
    const struct build_kept_source *from = context;
    const struct registry_progress progress = {.sink = &from->env->sink};

    return registry_fetch_followed(from->env->registry, from->env->store, &from->ref, blob,
                                   arrival, &progress, err);
}

/* A stack has one image at most. */
static int source_open(const struct build_environment *env,
                       const struct doc *layer,
                       struct build_kept_stack *out,
                       struct error *err)
{
    const struct doc *from = doc_get(layer, "from");

    if (!from || out->source)
        return 0;
    out->source = base_alloc(sizeof *out->source);
    out->source->env = env;
    return registry_reference_parse(doc_view(from), &out->source->ref, err) < 0
               ? damaged(err)
               : 0;
}

static void source_free(struct build_kept_source *from)
{
    if (from)
        registry_reference_release(&from->ref);
    free(from);
}

static int stack_open(const struct build_environment *env,
                      const struct doc *list,
                      struct build_kept_stack *out,
                      struct error *err)
{
    if (doc_count(list) > LIMIT_LAYERS + 1)
        return damaged(err);
    out->layers = base_alloc_array(doc_count(list) + 1, sizeof(struct cas_layer *));
    for (size_t i = 0; i < doc_count(list); i++) {
        CLEANUP(descriptor_release) struct descriptor blob = {0};
        struct digest diff_id;

        if (digest_parse(doc_view(doc_get(doc_at(list, i), "diff_id")), &diff_id, err) <
                0 ||
            descriptor_parse(doc_get(doc_at(list, i), "blob"), &blob, err) < 0)
            return damaged(err);
        if (source_open(env, doc_at(list, i), out, err) < 0)
            return -1;
        out->layers[out->count++] = cas_layer_new(
            env->store, &diff_id, &blob, out->source ? fetch_layer : NULL, out->source);
    }
    return 0;
}

static int stacks_open(const struct build_environment *env,
                       struct build_kept *k,
                       struct error *err)
{
    const struct doc *stacks = doc_get(k->doc, "stacks");
    const struct source_pos nowhere = {0};

    if (doc_count(stacks) == 0)
        return damaged(err);
    k->stacks = base_alloc_array(doc_count(stacks), sizeof *k->stacks);
    for (size_t i = 0; i < doc_count(stacks); i++) {
        struct build_node *n = build_graph_add(&k->graph, BUILD_OP_SOURCE, NULL, nowhere);

        n->title = base_strdup("");
        k->stack_count++;
        if (stack_open(env, doc_at(stacks, i), &k->stacks[i], err) < 0)
            return -1;
    }
    return 0;
}

/* --- The step --- */

static bool type_is_known(uint64_t type)
{
    return type <= DOCKERFILE_MOUNT_SSH;
}

/* Has it what mounts of its type have? */
static bool mount_is_whole(const struct build_mount *m)
{
    switch (m->type) {
    case DOCKERFILE_MOUNT_BIND:
        return m->target && m->source;
    case DOCKERFILE_MOUNT_CACHE:
        return m->target && m->source && m->id;
    case DOCKERFILE_MOUNT_TMPFS:
        return m->target != NULL;
    case DOCKERFILE_MOUNT_SECRET:
        return m->id && (m->target || !m->as_file);
    case DOCKERFILE_MOUNT_SSH:
        return m->id && m->target;
    }
    return false;
}

static int mount_read(const struct build_kept *k,
                      const struct doc *d,
                      struct build_mount *m,
                      struct error *err)
{
    const uint64_t type = number_of(d, "type", UINT32_MAX);
    int64_t from = -1;

    if (!type_is_known(type))
        return damaged(err);
    *m = (struct build_mount){
        .type = (enum dockerfile_mount_type)type,
        .source = text_of(d, "source"),
        .target = text_of(d, "target"),
        .id = text_of(d, "id"),
        .env = text_of(d, "env"),
        .as_file = doc_bool(doc_get(d, "as_file")),
        .sharing =
            (enum dockerfile_sharing)number_of(d, "sharing", DOCKERFILE_SHARING_LOCKED),
        .read_only = doc_bool(doc_get(d, "read_only")),
        .has_owner = doc_bool(doc_get(d, "has_owner")),
        .mode = (uint32_t)number_of(d, "mode", 07777),
        .uid = (uint32_t)number_of(d, "uid", UINT32_MAX),
        .gid = (uint32_t)number_of(d, "gid", UINT32_MAX),
        .size = (int64_t)number_of(d, "size", INT64_MAX),
    };
    if (!mount_is_whole(m))
        return damaged(err);
    if (!doc_int(doc_get(d, "from"), &from))
        return 0;
    if (from < 0 || (uint64_t)from >= k->stack_count)
        return damaged(err);
    m->from = k->graph.nodes[from];
    return 0;
}

static int mounts_read(const struct build_kept *k,
                       const struct doc *list,
                       struct build_run_op *op,
                       struct error *err)
{
    op->mounts = base_alloc_array(doc_count(list) + 1, sizeof *op->mounts);
    for (size_t i = 0; i < doc_count(list); i++)
        if (mount_read(k, doc_at(list, i), &op->mounts[op->mount_count++], err) < 0)
            return -1;
    return 0;
}

/* The values are those that the proxies have where the state is looked at. */
static void proxies_read(const struct doc *names, struct build_run_op *op)
{
    op->proxy_env = base_alloc_array(doc_count(names) + 1, sizeof(char *));
    for (size_t i = 0; i < doc_count(names); i++) {
        const char *name = doc_text(doc_at(names, i));
        const char *value = name ? getenv(name) : NULL;

        if (value)
            op->proxy_env[op->proxy_env_count++] = base_format("%s=%s", name, value);
    }
}

static void devices_read(const struct doc *names, struct build_run_op *op)
{
    op->devices = base_alloc_array(doc_count(names) + 1, sizeof *op->devices);
    for (size_t i = 0; i < doc_count(names); i++)
        if (doc_text(doc_at(names, i)))
            op->devices[op->device_count++] = (struct build_device){
                .name = base_strdup(doc_text(doc_at(names, i))), .required = true};
}

static struct build_ulimit *ulimits_read(const struct doc *list, size_t *count)
{
    struct build_ulimit *out = base_alloc_array(doc_count(list) + 1, sizeof *out);

    for (size_t i = 0; i < doc_count(list); i++) {
        const struct doc *limit = doc_at(list, i);
        int64_t resource, soft, hard;

        if (doc_int(doc_at(limit, 0), &resource) && doc_int(doc_at(limit, 1), &soft) &&
            doc_int(doc_at(limit, 2), &hard) && resource >= 0 && resource < RLIM_NLIMITS)
            out[(*count)++] =
                (struct build_ulimit){(int)resource, (uint64_t)soft, (uint64_t)hard};
    }
    return out;
}

static int run_read(struct build_kept *k, struct error *err)
{
    const struct source_pos pos = {.line = (unsigned)number_of(k->doc, "line", UINT32_MAX)};
    const struct doc *d = doc_get(k->doc, "run");
    struct build_node *n = build_graph_add(&k->graph, BUILD_OP_RUN, k->graph.nodes[0], pos);
    struct build_run_op *op = &n->run;

    n->title = text_of(k->doc, "name");
    if (!n->title)
        n->title = base_strdup("");
    op->argv = texts_of(doc_get(d, "argv"), &op->argc);
    op->env = texts_of(doc_get(d, "env"), &op->env_count);
    op->workdir = text_of(d, "workdir");
    op->user = text_of(d, "user");
    op->script = text_of(d, "script");
    op->script_name = text_of(d, "script_name");
    op->network = (enum dockerfile_network)number_of(d, "network", DOCKERFILE_NETWORK_HOST);
    op->insecure = doc_bool(doc_get(d, "insecure"));
    op->hostname = doc_text(doc_get(d, "hostname"));
    devices_read(doc_get(d, "devices"), op);
    op->ulimits = k->ulimits = ulimits_read(doc_get(d, "ulimits"), &op->ulimit_count);
    proxies_read(doc_get(d, "proxies"), op);
    return mounts_read(k, doc_get(d, "mounts"), op, err);
}

static void hosts_read(struct build_kept *k)
{
    const struct doc *list = doc_get(k->doc, "hosts");

    k->hosts = base_alloc_array(doc_count(list) + 1, sizeof *k->hosts);
    for (size_t i = 0; i < doc_count(list); i++) {
        const char *name = doc_text(doc_at(doc_at(list, i), 0));
        const char *address = doc_text(doc_at(doc_at(list, i), 1));

        if (name && address)
            k->hosts[k->host_count++] = (struct build_pair){name, address};
    }
}

/* --- All --- */

static int doc_read(struct cas_store *s,
                    const char *id,
                    struct build_kept *k,
                    struct error *err)
{
    CLEANUP(base_freep)
    char *path = base_format(BUILD_JOURNAL_DIR "/%s/" BUILD_KEPT_FILE, id);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    bool found = false;

    if (cas_note_read(s, path, &text, &found, err) < 0)
        return -1;
    if (!found)
        return error_set(err, ERROR_NOT_FOUND,
                         "build %s keeps no state: only a step that failed leaves one, "
                         "and only the newest %u stay",
                         id, BUILD_KEPT_COUNT);
    k->doc = doc_parse(buf_view(&text), err);
    return k->doc && number_of(k->doc, "version", 1000) == BUILD_KEPT_VERSION
               ? 0
               : damaged(err);
}

char *build_kept_latest(struct cas_store *s, struct error *err)
{
    CLEANUP(build_ids_release) struct build_ids ids = {0};

    if (build_builds_list(s, &ids, err) < 0)
        return NULL;
    for (size_t i = 0; i < ids.count; i++) {
        CLEANUP(base_freep)
        char *path = base_format(BUILD_JOURNAL_DIR "/%s/" BUILD_KEPT_FILE, ids.items[i]);

        if (faccessat(cas_store_fd(s), path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return base_strdup(ids.items[i]);
    }
    error_set(err, ERROR_NOT_FOUND, "no build keeps the state of a failed step");
    return NULL;
}

int build_kept_open(const struct build_environment *env,
                    const char *id,
                    struct build_kept *out,
                    struct error *err)
{
    *out = (struct build_kept){0};
    if (doc_read(env->store, id, out, err) < 0 || stacks_open(env, out, err) < 0 ||
        run_read(out, err) < 0) {
        build_kept_release(out);
        return -1;
    }
    hosts_read(out);
    out->form = doc_text(doc_get(out->doc, "form"));
    out->shm_size = number_of(out->doc, "shm_size", INT64_MAX);
    if (doc_bool(doc_get(out->doc, "files")) && out->form)
        out->files = base_format(BUILD_JOURNAL_DIR "/%s/" BUILD_KEPT_FILES, id);
    return 0;
}

void build_kept_release(struct build_kept *k)
{
    for (size_t i = 0; i < k->stack_count; i++) {
        for (size_t n = 0; n < k->stacks[i].count; n++)
            cas_layer_unref(k->stacks[i].layers[n]);
        free(k->stacks[i].layers);
        source_free(k->stacks[i].source);
    }
    /* Sources without an image. */
    build_graph_release(&k->graph);
    free(k->stacks);
    free(k->hosts);
    free(k->ulimits);
    free(k->files);
    doc_unref(k->doc);
    *k = (struct build_kept){0};
}
