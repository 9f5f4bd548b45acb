#include "build_rig.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/source_tree.h"
#include "cas/blob.h"
#include "registry/image.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t events_lock = PTHREAD_MUTEX_INITIALIZER;

int rig_setup(void **state)
{
    struct rig *r = base_alloc(sizeof *r);
    const char *tmp = getenv("TMPDIR");
    CLEANUP(base_freep) char *store = NULL;

    r->dir = base_format("%s/cooper-rig-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(r->dir))
        return -1;
    r->context = base_format("%s/context", r->dir);
    store = base_format("%s/store", r->dir);
    if (mkdir(r->context, 0755) < 0)
        return -1;
    r->store = cas_store_open(store, CAS_STORE_OPEN_DEFAULT, &r->err);
    r->request.epoch = -1;
    *state = r;
    return r->store ? 0 : -1;
}

int rig_teardown(void **state)
{
    struct rig *r = *state;
    struct error err = ERROR_INIT;
    int status;

    cas_store_close(r->store);
    build_result_release(&r->result);
    status = fs_remove_tree_at(AT_FDCWD, r->dir, &err);
    error_clear(&err);
    error_clear(&r->err);
    free(r->events);
    free(r->context);
    free(r->dir);
    free(r);
    return status;
}

char *rig_path(struct rig *r, const char *path)
{
    return base_format("%s/%s", r->context, path);
}

void rig_write(struct rig *r, const char *path, const char *text)
{
    CLEANUP(base_freep) char *full = rig_path(r, path);
    CLEANUP(base_freep) char *dir = view_dup(path_dir(view_of(full)));
    CLEANUP(fd_closep) int fd = -1;

    assert_int_equal(fs_mkdir_all_at(AT_FDCWD, dir, 0755, &r->err), 0);
    fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fs_write_all(fd, text, strlen(text), &r->err), 0);
}

void rig_dockerfile(struct rig *r, const char *text)
{
    rig_write(r, "Dockerfile", text);
}

static void note_event(void *context, const struct event *e)
{
    struct rig *r = context;
    const char *letter = e->type == EVENT_STEP_CACHED   ? "C"
                         : e->type == EVENT_STEP_DONE   ? "D"
                         : e->type == EVENT_STEP_FAILED ? "F"
                                                        : "";

    pthread_mutex_lock(&events_lock);
    if (*letter && !strstr(e->name, "FROM")) {
        char *more = base_format("%s%s", r->events, letter);

        free(r->events);
        r->events = more;
        if (r->cancel_after_first)
            __atomic_store_n(r->cancel_after_first, true, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&events_lock);
}

int rig_build(struct rig *r)
{
    const struct build_environment env = {.store = r->store, .sink = {note_event, r}};

    free(r->events);
    r->events = base_strdup("");
    build_result_release(&r->result);
    r->request.context = r->context;
    return build_run(&env, &r->request, &r->result, &r->err);
}

void rig_expect_failure(struct rig *r, enum error_code code, const char *text)
{
    if (r->err.code != code || !strstr(error_text(&r->err), text))
        fail_msg("%s: %s", error_code_name(r->err.code), error_text(&r->err));
    error_clear(&r->err);
}

/* --- What came out --- */

struct result {
    struct registry_image image;
    struct cas_layer **layers;
};

static void result_open(struct rig *r, struct result *out)
{
    const struct doc *diff_ids;
    struct doc *config;

    *out = (struct result){0};
    assert_int_equal(
        registry_image_load(r->store, &r->result.manifest, NULL, &out->image, &r->err), 0);
    config = cas_blob_read_doc(r->store, &out->image.config, LIMIT_CONFIG_SIZE, &r->err);
    assert_non_null(config);
    diff_ids = doc_get(doc_get(config, "rootfs"), "diff_ids");
    out->layers = base_alloc_array(out->image.layer_count + 1, sizeof(struct cas_layer *));
    for (size_t i = 0; i < out->image.layer_count; i++) {
        struct digest id;

        assert_int_equal(digest_parse(doc_view(doc_at(diff_ids, i)), &id, &r->err), 0);
        out->layers[i] = cas_layer_new(r->store, &id, &out->image.layers[i], NULL, NULL);
    }
    doc_unref(config);
}

static void result_close(struct result *x)
{
    for (size_t i = 0; i < x->image.layer_count; i++)
        cas_layer_unref(x->layers[i]);
    free(x->layers);
    registry_image_release(&x->image);
}

char *rig_read(struct rig *r, const char *path)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct cas_tree *tree;
    struct result x;
    bool found = false;

    result_open(r, &x);
    tree = cas_tree_new(x.layers, x.image.layer_count);
    if (cas_tree_read(tree, view_of(path), &text, &found, &r->err) < 0)
        fail_msg("%s", error_text(&r->err));
    cas_tree_free(tree);
    result_close(&x);
    return found ? base_strdup(buf_text(&text)) : NULL;
}

struct digest rig_layer(struct rig *r, int i)
{
    struct digest id;
    struct result x;

    result_open(r, &x);
    if (i < 0)
        i += (int)x.image.layer_count;
    assert_true(i >= 0 && (size_t)i < x.image.layer_count);
    id = *cas_layer_diff_id(x.layers[i]);
    result_close(&x);
    return id;
}

size_t rig_layer_count(struct rig *r)
{
    struct result x;

    result_open(r, &x);
    result_close(&x);
    return x.image.layer_count;
}
