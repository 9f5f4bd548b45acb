/*
 * docker, through the API on its socket:
 *
 *     GET  /info                  which image store the daemon has
 *     GET  /images/json           its images ...
 *     GET  /images/ID/json        ... and their layers
 *     POST /images/load           a docker archive
 *
 * The classic image store knows a layer by its chainID, that is by everything below it as
 * well, and opens the file of a layer only if it lacks it: so the layers that our image
 * shares with one of the daemon's, from the bottom up, are left out of the archive. The
 * containerd image store wants to see all blobs.
 *
 * Spec: Docker Engine API 1.24 and later; unversioned paths are the daemon's own version.
 */
#include "builder/export/load.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/doc.h"
#include "base/limits.h"
#include "builder/export/program.h"
#include "builder/export/stream.h"
#include "cas/blob.h"
#include "registry/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Any host will do: the socket is what counts. It must be one that plain http is spoken to.
 */
#define ORIGIN "http://localhost"
/* Asking about an image is a millisecond: this many cost less than most layers. */
#define IMAGES_MAX 200
/* While it unpacks a large layer the daemon may have nothing to say. */
#define STALL_TIMEOUT_MS (30u * 60 * 1000)

struct docker {
    const struct build_load *load;
    struct registry_http *http;
    struct doc *config; /* of our image */
    size_t shared;      /* layers from the bottom that the daemon has */
};

static void docker_release(struct docker *d)
{
    registry_http_free(d->http);
    doc_unref(d->config);
}

/* --- Asking --- */

/* What the daemon says of its own failure. */
static int failed(const struct registry_http_response *r, struct error *err)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* perhaps it is no JSON */
    CLEANUP(doc_unrefp) struct doc *d = doc_parse(buf_view(&r->text), &ignored);
    const char *message = doc_text(doc_get(d, "message"));

    return error_set(err,
                     r->status == 403 || r->status == 401 ? ERROR_DENIED : ERROR_FAILED,
                     "%s answers with status %d%s%s", r->url, r->status,
                     message ? ": " : "", message ? message : "");
}

/* NULL with ERROR_NOT_FOUND for what is not there. */
static struct doc *get(const struct docker *d, const char *path, struct error *err)
{
    CLEANUP(registry_http_response_release)
    struct registry_http_response response = REGISTRY_HTTP_RESPONSE_INIT(LIMIT_CONFIG_SIZE);
    CLEANUP(base_freep) char *url = base_format(ORIGIN "%s", path);
    const struct registry_http_request request = {.method = REGISTRY_HTTP_GET, .url = url};

    if (registry_http_perform(d->http, &request, &response, err) < 0)
        return NULL;
    if (response.status == 404)
        (void)error_set(err, ERROR_NOT_FOUND, "the daemon has no %s", path);
    else if (response.status != 200)
        (void)failed(&response, err);
    else
        return doc_parse(buf_view(&response.text), err);
    return NULL;
}

/* Is it the one that shares layers by chainID? */
static int is_classic(const struct docker *d, bool *classic, struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *info = get(d, "/info", err);
    const struct doc *status = doc_get(info, "DriverStatus");

    if (!info)
        return -1;
    *classic = true;
    for (size_t i = 0; i < doc_count(status); i++) {
        const struct view value = doc_view(doc_at(doc_at(status, i), 1));

        if (view_starts(value, "io.containerd.snapshotter."))
            *classic = false;
    }
    return 0;
}

/* --- What it has --- */

static const struct doc *diff_ids(const struct docker *d)
{
    return doc_get(doc_get(d->config, "rootfs"), "diff_ids");
}

/* How many layers from the bottom up are ours. */
static size_t count_shared(const struct docker *d, const struct doc *image)
{
    const struct doc *ours = diff_ids(d);
    const struct doc *theirs = doc_get(doc_get(image, "RootFS"), "Layers");
    size_t count = 0;

    while (count < doc_count(ours) && count < doc_count(theirs) &&
           doc_equal(doc_at(ours, count), doc_at(theirs, count)))
        count++;
    return count;
}

static int look_at(struct docker *d, const char *name, struct error *err)
{
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    CLEANUP(base_freep) char *path = base_format("/images/%s/json", name);
    CLEANUP(doc_unrefp) struct doc *image = get(d, path, &failure);
    size_t shared;

    if (!image)
        return error_is(&failure, ERROR_NOT_FOUND) ? 0 : error_move(err, &failure);
    shared = count_shared(d, image);
    d->shared = shared > d->shared ? shared : d->shared;
    return 0;
}

/* The image that had the name before us is the likeliest; then the newest ones. */
static int find_shared(struct docker *d, struct error *err)
{
    const size_t all = doc_count(diff_ids(d));
    CLEANUP(doc_unrefp) struct doc *images = NULL;

    for (size_t i = 0; i < d->load->names->count && d->shared < all; i++)
        if (look_at(d, d->load->names->items[i], err) < 0)
            return -1;
    if (d->shared == all)
        return 0;
    images = get(d, "/images/json", err);
    if (!images)
        return -1;
    for (size_t i = 0; i < doc_count(images) && i < IMAGES_MAX && d->shared < all; i++) {
        const char *id = doc_text(doc_get(doc_at(images, i), "Id"));

        if (id && look_at(d, id, err) < 0)
            return -1;
    }
    return 0;
}

/* --- Sending --- */

struct sending {
    const struct build_load *load;
    int fd;
    struct buf line;   /* of its answer, until it ends */
    struct error said; /* what it complained of */
    bool is_cut;       /* we ended it ourselves */
};

static bool is_cancelled(struct sending *s)
{
    const bool *cancel = s->load->x->cancel;

    s->is_cut = s->is_cut || (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED));
    return s->is_cut;
}

static ptrdiff_t read_archive(void *context, uint64_t offset, void *out, size_t size)
{
    struct sending *s = context;
    ssize_t n;

    (void)offset; /* it is a pipe, and never begins again */
    if (is_cancelled(s))
        return -1;
    do
        n = read(s->fd, out, size);
    while (n < 0 && errno == EINTR);
    return n;
}

/* One document a line; a failure comes as one of them, with status 200. */
static void take_line(struct sending *s)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* progress of any form */
    CLEANUP(doc_unrefp) struct doc *d = doc_parse(buf_view(&s->line), &ignored);
    const char *text = doc_text(doc_get(d, "error"));

    if (text && s->said.code == ERROR_NONE)
        (void)error_set(&s->said, ERROR_FAILED, "%s", text);
    buf_clear(&s->line);
}

static int on_answer(void *context, const void *data, size_t size)
{
    struct sending *s = context;
    const char *bytes = data;

    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n')
            take_line(s);
        else
            buf_append_char(&s->line, bytes[i]);
    }
    return is_cancelled(s) ? -1 : 0;
}

static int post(const struct docker *d, struct sending *s, struct error *err)
{
    static const char *const headers[] = {"Content-Type: application/x-tar"};
    CLEANUP(registry_http_response_release)
    struct registry_http_response response = REGISTRY_HTTP_RESPONSE_INIT(LIMIT_CONFIG_SIZE);
    const struct registry_http_body body = {
        .read_at = read_archive, .context = s, .size = UINT64_MAX};
    const struct registry_http_request request = {
        .method = REGISTRY_HTTP_POST,
        .url = ORIGIN "/images/load?quiet=0",
        .headers = headers,
        .header_count = 1,
        .body = &body,
        .sink = {on_answer, s},
    };

    if (registry_http_perform(d->http, &request, &response, err) < 0)
        return s->is_cut ? error_set(err, ERROR_CANCELLED, "interrupted") : -1;
    if (s->line.size > 0)
        take_line(s);
    if (s->said.code != ERROR_NONE)
        return error_move(err, &s->said);
    return response.status == 200 ? 0 : failed(&response, err);
}

/* All but the lowest `without` layers. */
static int send(const struct docker *d, size_t without, struct error *err)
{
    const struct build_load *l = d->load;
    CLEANUP(base_freep)
    struct digest *absent = base_alloc_array(without + 1, sizeof *absent);
    size_t count = 0;

    for (size_t i = 0; i < without; i++) {
        bool is_above = false; /* the same blob again, on top of what it lacks */

        for (size_t k = without; k < l->image->layer_count; k++)
            is_above = is_above ||
                       digest_eq(&l->image->layers[k].digest, &l->image->layers[i].digest);
        if (!is_above)
            absent[count++] = l->image->layers[i].digest;
    }
    const struct registry_archive_image image = {
        .root = l->x->root,
        .names = (const char *const *)l->names->items,
        .name_count = l->names->count,
        .absent = absent,
        .absent_count = count,
    };
    struct build_stream *stream =
        build_stream_open(l->x->env->store, &image, REGISTRY_ARCHIVE_DOCKER, err);
    if (!stream)
        return -1;
    struct sending s = {
        .load = l, .fd = build_stream_fd(stream), .line = BUF_INIT(LIMIT_TEXT_SIZE)};
    const int status = post(d, &s, err);
    buf_release(&s.line);
    error_clear(&s.said);
    return build_stream_close(stream, status < 0, err);
}

static int load_through(struct docker *d, struct error *err)
{
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    bool classic;

    d->config = cas_blob_read_doc(d->load->x->env->store, &d->load->image->config,
                                  LIMIT_CONFIG_SIZE, err);
    if (!d->config || is_classic(d, &classic, err) < 0 ||
        (classic && find_shared(d, err) < 0))
        return -1;
    build_load_note(d->load, "docker", d->shared);
    if (send(d, d->shared, &failure) == 0)
        return 0;
    /* An image may have been removed since it was asked for. */
    if (d->shared == 0 || !error_is(&failure, ERROR_FAILED))
        return error_move(err, &failure);
    return send(d, 0, err);
}

/* A daemon elsewhere ($DOCKER_HOST with ssh:// or tcp://) is docker's own program's to
 * reach. */
static int load_by_program(const struct build_load *l, struct error *err)
{
    static const char *const argv[] = {"docker", "load", "--quiet", NULL};
    const struct registry_archive_image image = {
        .root = l->x->root,
        .names = (const char *const *)l->names->items,
        .name_count = l->names->count,
    };
    struct build_stream *s =
        build_stream_open(l->x->env->store, &image, REGISTRY_ARCHIVE_DOCKER, err);

    if (!s)
        return -1;
    const int status = build_program_run(argv, build_stream_fd(s), l->x->cancel, NULL, err);
    return build_stream_close(s, status < 0, err);
}

int build_load_docker(const struct build_load *l, struct error *err)
{
    CLEANUP(base_freep) char *path = build_load_docker_socket();
    const struct registry_http_options options = {.unix_socket = path,
                                                  .stall_timeout_ms = STALL_TIMEOUT_MS};

    if (!path)
        return load_by_program(l, err);
    CLEANUP(docker_release)
    struct docker d = {.load = l, .http = registry_http_new(&options)};
    return load_through(&d, err) < 0 ? error_wrap(err, "%s", path) : 0;
}
