/* Against Debian's docker-registry. */
#include "fixture.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "registry/pull.h"
#include "registry/push.h"

#include <stdlib.h>
#include <string.h>

static int setup_registry(void **state)
{
    if (fixture_setup(state) < 0)
        return -1;
    fixture_start_registry(*state, "");
    return 0;
}

static void push_as(struct fixture *f, const struct descriptor *root, const char *name)
{
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, name);
    struct digest digest;

    OK(registry_push(f->client, f->store, root, &ref, NULL, &digest, &f->err), &f->err);
    assert_true(digest_eq(&digest, &root->digest));
}

static void test_pushed_image_comes_back_byte_for_byte(void **state)
{
    struct fixture *f = *state;
    struct cas_store *other = fixture_store(f, "other");
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "a/b:1");

    make_image(f->store, 1, 5, 300000, &root);
    push_as(f, &root, "a/b:1");
    OK(registry_pull(f->client, other, &ref, NULL, NULL, &image, &f->err), &f->err);
    assert_true(digest_eq(&image.root.digest, &root.digest));
    assert_true(digest_eq(&image.manifest.digest, &root.digest));
    assert_int_equal(image.layer_count, 5);
    assert_int_equal(count_blobs(other), 7);
    cas_store_close(other);
}

static void test_lazy_pull_takes_manifest_and_config_only(void **state)
{
    struct fixture *f = *state;
    struct cas_store *other = fixture_store(f, "other");
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "a/b:1");
    const struct registry_pull_options lazy = {.lazy = true};

    make_image(f->store, 1, 3, 1000, &root);
    push_as(f, &root, "a/b:1");
    OK(registry_pull(f->client, other, &ref, NULL, &lazy, &image, &f->err), &f->err);
    assert_int_equal(count_blobs(other), 2);
    OK(registry_fetch_blob(f->client, other, &ref, &image.layers[1], NULL, &f->err),
       &f->err);
    assert_int_equal(count_blobs(other), 3);
    OK(registry_fetch_layers(f->client, other, &ref, &image, NULL, &f->err), &f->err);
    assert_int_equal(count_blobs(other), 5);
    cas_store_close(other);
}

static void test_index_is_pushed_whole_and_pulled_by_platform(void **state)
{
    struct fixture *f = *state;
    struct cas_store *other = fixture_store(f, "other");
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};
    CLEANUP(registry_image_release) struct registry_image all = {0};
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "multi");
    const struct registry_pull_options everything = {.all_platforms = true};
    struct registry_platform arm;

    make_index(f->store, 7, &root);
    push_as(f, &root, "multi");
    OK(registry_platform_parse(VIEW_LIT("linux/arm64"), &arm, &f->err), &f->err);
    OK(registry_pull(f->client, other, &ref, &arm, NULL, &image, &f->err), &f->err);
    assert_true(digest_eq(&image.root.digest, &root.digest));
    assert_false(digest_eq(&image.manifest.digest, &root.digest));
    assert_int_equal(count_blobs(other), 5);
    OK(registry_pull(f->client, other, &ref, &arm, &everything, &all, &f->err), &f->err);
    assert_int_equal(count_blobs(other), 9);
    cas_store_close(other);
}

static void test_pull_of_an_unknown_platform_lists_those_there_are(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor root = {0};
    struct registry_image image = {0};
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "multi");
    struct registry_platform riscv;

    make_index(f->store, 7, &root);
    push_as(f, &root, "multi");
    OK(registry_platform_parse(VIEW_LIT("linux/riscv64"), &riscv, &f->err), &f->err);
    assert_int_equal(
        registry_pull(f->client, f->store, &ref, &riscv, NULL, &image, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_NOT_FOUND);
    assert_non_null(strstr(error_text(&f->err), "linux/amd64, linux/arm64"));
}

static void test_absent_image_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct registry_image image = {0};
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "no/such:1");

    assert_int_equal(registry_pull(f->client, f->store, &ref, NULL, NULL, &image, &f->err),
                     -1);
    assert_int_equal(f->err.code, ERROR_NOT_FOUND);
}

static void test_push_in_chunks_arrives_whole(void **state)
{
    struct fixture *f = *state;
    struct cas_store *other = fixture_store(f, "other");
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "chunks:1");
    const struct registry_push_options chunks = {.chunk_size = 70000};
    struct digest digest;

    make_image(f->store, 3, 2, 300001, &root);
    OK(registry_push(f->client, f->store, &root, &ref, &chunks, &digest, &f->err), &f->err);
    OK(registry_pull(f->client, other, &ref, NULL, NULL, &image, &f->err), &f->err);
    assert_int_equal(count_blobs(other), 4);
    cas_store_close(other);
}

/* A blob that is sent while it is written; the digest is known when it is done. */
struct growing {
    struct fixture *f;
    struct registry_push_stream *stream;
    struct cas_layer *layer;
};

static void grow(struct growing *g, size_t pieces, size_t size, struct digest *digest)
{
    CLEANUP(base_freep) char *piece = base_alloc(size);
    CLEANUP(descriptor_release) struct descriptor blob = {0};
    struct cas_blob_writer *w = cas_blob_writer_new(g->f->store, DIGEST_SHA256, &g->f->err);
    uint64_t total;

    for (size_t i = 0; i < pieces; i++) {
        memset(piece, (int)('a' + i), size);
        OK(cas_blob_writer_write(w, piece, size, &g->f->err), &g->f->err);
        registry_push_stream_grown(g->stream, w);
    }
    OK(cas_blob_writer_commit(w, NULL, UINT64_MAX, digest, &total, &g->f->err), &g->f->err);
    descriptor_init(&blob, MEDIA_OCI_LAYER, digest, total);
    g->layer = cas_layer_new(g->f->store, digest, &blob, NULL, NULL);
}

static void test_layers_are_sent_while_they_are_written(void **state)
{
    struct fixture *f = *state;
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "stream:1");
    CLEANUP(descriptor_release) struct descriptor root = {0};
    struct registry_pusher *pusher = registry_pusher_new(f->client, f->store, &ref, NULL);
    struct digest digests[3], confirmed;
    /* One that is too small to begin early, two that are not. */
    static const size_t pieces[] = {2, 9, 30};

    make_image(f->store, 1, 1, 1000, &root);
    for (size_t i = 0; i < 3; i++) {
        struct growing g = {.f = f, .stream = registry_pusher_stream(pusher)};

        grow(&g, pieces[i], 1 << 20, &digests[i]);
        registry_pusher_layer(pusher, g.layer, true, g.stream);
        cas_layer_unref(g.layer);
    }
    OK(registry_pusher_finish(pusher, &root, &ref, &confirmed, &f->err), &f->err);
    registry_pusher_free(pusher);
    for (size_t i = 0; i < 3; i++) {
        bool found;
        uint64_t size;

        OK(registry_blob_head(f->client, &ref, &digests[i], &found, &size, &f->err),
           &f->err);
        assert_true(found);
        assert_int_equal(size, (uint64_t)pieces[i] << 20);
    }
}

/* What was streamed is not what the layer became: that is sent all the same. */
static void test_a_stream_of_something_else_does_no_harm(void **state)
{
    struct fixture *f = *state;
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "other:1");
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};
    struct registry_pusher *pusher = registry_pusher_new(f->client, f->store, &ref, NULL);
    struct growing g = {.f = f, .stream = registry_pusher_stream(pusher)};
    struct digest streamed, confirmed;
    uint64_t size;
    bool found;

    make_image(f->store, 2, 1, 5000, &root);
    OK(registry_image_load(f->store, &root, NULL, &image, &f->err), &f->err);
    grow(&g, 6, 1 << 20, &streamed);
    cas_layer_unref(g.layer);
    g.layer =
        cas_layer_new(f->store, &image.layers[0].digest, &image.layers[0], NULL, NULL);
    registry_pusher_layer(pusher, g.layer, true, g.stream);
    cas_layer_unref(g.layer);
    OK(registry_pusher_finish(pusher, &root, &ref, &confirmed, &f->err), &f->err);
    registry_pusher_free(pusher);
    OK(registry_blob_head(f->client, &ref, &streamed, &found, &size, &f->err), &f->err);
    assert_false(found);
}

/* Given up in the middle of a layer: it ends, and nothing is there. */
static void test_a_push_that_is_given_up_ends(void **state)
{
    struct fixture *f = *state;
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "given/up:1");
    struct registry_pusher *pusher = registry_pusher_new(f->client, f->store, &ref, NULL);
    struct growing g = {.f = f, .stream = registry_pusher_stream(pusher)};
    struct digest digest;
    uint64_t size;
    bool found;

    grow(&g, 6, 1 << 20, &digest);
    cas_layer_unref(g.layer);
    registry_pusher_free(pusher);
    OK(registry_blob_head(f->client, &ref, &digest, &found, &size, &f->err), &f->err);
    assert_false(found);
}

static void test_layers_of_a_base_are_mounted_without_being_in_the_store(void **state)
{
    struct fixture *f = *state;
    struct cas_store *lazy = fixture_store(f, "lazy");
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};
    CLEANUP(registry_reference_release)
    struct registry_reference base = fixture_reference(f, "base:1");
    CLEANUP(registry_reference_release)
    struct registry_reference app = fixture_reference(f, "app:1");
    const struct registry_pull_options options = {.lazy = true};
    struct registry_origin origins[3];
    struct digest digest;

    make_image(f->store, 4, 3, 5000, &root);
    push_as(f, &root, "base:1");
    OK(registry_pull(f->client, lazy, &base, NULL, &options, &image, &f->err), &f->err);
    for (size_t i = 0; i < 3; i++)
        origins[i] = (struct registry_origin){image.layers[i].digest, &base};
    const struct registry_push_options push = {.origins = origins, .origin_count = 3};
    OK(registry_push(f->client, lazy, &root, &app, &push, &digest, &f->err), &f->err);
    assert_int_equal(count_blobs(lazy), 2);
    cas_store_close(lazy);
}

static void test_push_of_a_blob_that_is_nowhere_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct cas_store *lazy = fixture_store(f, "lazy");
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};
    CLEANUP(registry_reference_release)
    struct registry_reference base = fixture_reference(f, "base:1");
    CLEANUP(registry_reference_release)
    struct registry_reference app = fixture_reference(f, "app:1");
    const struct registry_pull_options options = {.lazy = true};
    struct digest digest;

    make_image(f->store, 4, 3, 5000, &root);
    push_as(f, &root, "base:1");
    OK(registry_pull(f->client, lazy, &base, NULL, &options, &image, &f->err), &f->err);
    assert_int_equal(registry_push(f->client, lazy, &root, &app, NULL, &digest, &f->err),
                     -1);
    assert_int_equal(f->err.code, ERROR_NOT_FOUND);
    cas_store_close(lazy);
}

static void test_tag_moves_without_uploading_blobs_again(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor first = {0};
    CLEANUP(descriptor_release) struct descriptor second = {0};
    CLEANUP(descriptor_release) struct descriptor got = {0};
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "t:x");

    make_image(f->store, 1, 2, 100, &first);
    make_image(f->store, 2, 2, 100, &second);
    push_as(f, &first, "t:x");
    push_as(f, &second, "t:x");
    push_as(f, &first, "t:x");
    OK(registry_resolve(f->client, &ref, &got, &f->err), &f->err);
    assert_true(digest_eq(&got.digest, &first.digest));
    assert_int_equal(got.size, first.size);
}

static void test_basic_credentials_from_config_json_open_the_registry(void **state)
{
    struct fixture *f;
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(base_freep) char *extra = NULL;
    CLEANUP(base_freep) char *config = NULL;
    struct digest digest;

    assert_int_equal(fixture_setup(state), 0);
    f = *state;
    /* htpasswd -nbB user secret */
    fixture_write(f, "htpasswd",
                  "user:$2y$05$qNviWv2MkBiTgKTq6IW7iefryAuaKCHS3sRVrwXvZUjVKTG7YRT0m\n");
    extra = base_format("auth: {htpasswd: {realm: test, path: %s/htpasswd}}\n", f->dir);
    fixture_start_registry(f, extra);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "a:1");
    make_image(f->store, 1, 2, 100, &root);

    assert_int_equal(
        registry_push(f->client, f->store, &root, &ref, NULL, &digest, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_DENIED);
    assert_non_null(strstr(error_text(&f->err), "cooper login"));

    config = base_format("{\"auths\":{\"127.0.0.1:%d\":{\"auth\":\"dXNlcjp3cm9uZw==\"}}}",
                         f->port);
    fixture_write(f, "config.json", config);
    struct registry_client *wrong = registry_client_new(NULL);
    assert_int_equal(registry_push(wrong, f->store, &root, &ref, NULL, &digest, &f->err),
                     -1);
    assert_int_equal(f->err.code, ERROR_DENIED);
    assert_null(strstr(error_text(&f->err), "wrong"));
    assert_null(strstr(error_text(&f->err), "dXNlcjp3cm9uZw=="));
    registry_client_free(wrong);

    free(config);
    config = base_format("{\"auths\":{\"127.0.0.1:%d\":{\"auth\":\"dXNlcjpzZWNyZXQ=\"}}}",
                         f->port);
    fixture_write(f, "config.json", config);
    struct registry_client *right = registry_client_new(NULL);
    OK(registry_push(right, f->store, &root, &ref, NULL, &digest, &f->err), &f->err);
    registry_client_free(right);
}

static void test_ping_tells_good_credentials_from_bad_ones(void **state)
{
    struct fixture *f;
    CLEANUP(base_freep) char *extra = NULL;
    CLEANUP(base_freep) char *host = NULL;
    char user[] = "user", secret[] = "secret", wrong[] = "wrong";
    const struct registry_credential good = {.username = user, .password = secret};
    const struct registry_credential bad = {.username = user, .password = wrong};

    assert_int_equal(fixture_setup(state), 0);
    f = *state;
    fixture_write(f, "htpasswd",
                  "user:$2y$05$qNviWv2MkBiTgKTq6IW7iefryAuaKCHS3sRVrwXvZUjVKTG7YRT0m\n");
    extra = base_format("auth: {htpasswd: {realm: test, path: %s/htpasswd}}\n", f->dir);
    fixture_start_registry(f, extra);
    host = base_format("127.0.0.1:%d", f->port);
    OK(registry_client_ping(f->client, host, &good, &f->err), &f->err);
    assert_int_equal(registry_client_ping(f->client, host, &bad, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_DENIED);
}

static void test_listed_host_is_tried_with_https_and_then_with_http(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep) char *name = base_format("0.0.0.0:%d/a:1", f->port);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = parse_reference(name);
    CLEANUP(descriptor_release) struct descriptor root = {0};
    const char *const hosts[] = {"0.0.0.0"};
    struct digest digest;

    make_image(f->store, 1, 2, 100, &root);
    assert_int_equal(
        registry_push(f->client, f->store, &root, &ref, NULL, &digest, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_NETWORK);
    struct registry_client *client = registry_client_new(&(struct registry_client_options){
        .http = {.insecure_hosts = hosts, .insecure_host_count = 1}});
    error_clear(&f->err);
    OK(registry_push(client, f->store, &root, &ref, NULL, &digest, &f->err), &f->err);
    registry_client_free(client);
}

/* docker-registry behind TLS with a certificate of its own making. */
static struct fixture *start_tls_registry(void **state)
{
    struct fixture *f;
    CLEANUP(base_freep) char *command = NULL;
    CLEANUP(base_freep) char *extra = NULL;

    assert_int_equal(fixture_setup(state), 0);
    f = *state;
    command = base_format(
        "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
        "-nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=test "
        "-addext subjectAltName=IP:127.0.0.1 2>/dev/null",
        f->dir);
    assert_int_equal(system(command),
                     0); /* NOLINT(cert-env33-c): a fixed text of this test */
    extra =
        base_format("  tls: {certificate: %s/cert.pem, key: %s/key.pem}\n", f->dir, f->dir);
    fixture_start_registry(f, extra);
    return f;
}

static int push_with(struct fixture *f, const struct registry_client_options *options)
{
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "a:1");
    CLEANUP(descriptor_release) struct descriptor root = {0};
    struct registry_client *client = registry_client_new(options);
    struct digest digest;

    make_image(f->store, 1, 2, 100, &root);
    const int rc = registry_push(client, f->store, &root, &ref, NULL, &digest, &f->err);
    registry_client_free(client);
    return rc;
}

static void test_tls_is_verified_even_on_loopback(void **state)
{
    struct fixture *f = start_tls_registry(state);

    assert_int_equal(push_with(f, NULL), -1);
    assert_int_equal(f->err.code, ERROR_DENIED);
    assert_non_null(strstr(error_text(&f->err), "certificate"));
}

static void test_tls_with_a_known_authority_or_a_listed_host_works(void **state)
{
    struct fixture *f = start_tls_registry(state);
    CLEANUP(base_freep) char *ca = fixture_path(f, "cert.pem");
    CLEANUP(base_freep) char *host = base_format("127.0.0.1:%d", f->port);
    const char *const hosts[] = {host};

    OK(push_with(f, &(struct registry_client_options){.http = {.ca_file = ca}}), &f->err);
    OK(push_with(f, &(struct registry_client_options){.http = {.insecure_hosts = hosts,
                                                               .insecure_host_count = 1}}),
       &f->err);
}

#define WITH_REGISTRY(test)                                                                \
    cmocka_unit_test_setup_teardown(test, setup_registry, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_REGISTRY(test_pushed_image_comes_back_byte_for_byte),
        WITH_REGISTRY(test_lazy_pull_takes_manifest_and_config_only),
        WITH_REGISTRY(test_index_is_pushed_whole_and_pulled_by_platform),
        WITH_REGISTRY(test_pull_of_an_unknown_platform_lists_those_there_are),
        WITH_REGISTRY(test_absent_image_is_not_found),
        WITH_REGISTRY(test_push_in_chunks_arrives_whole),
        WITH_REGISTRY(test_layers_are_sent_while_they_are_written),
        WITH_REGISTRY(test_a_stream_of_something_else_does_no_harm),
        WITH_REGISTRY(test_a_push_that_is_given_up_ends),
        WITH_REGISTRY(test_layers_of_a_base_are_mounted_without_being_in_the_store),
        WITH_REGISTRY(test_push_of_a_blob_that_is_nowhere_is_not_found),
        WITH_REGISTRY(test_listed_host_is_tried_with_https_and_then_with_http),
        WITH_REGISTRY(test_tag_moves_without_uploading_blobs_again),
        cmocka_unit_test_teardown(test_basic_credentials_from_config_json_open_the_registry,
                                  fixture_teardown),
        cmocka_unit_test_teardown(test_tls_is_verified_even_on_loopback, fixture_teardown),
        cmocka_unit_test_teardown(test_tls_with_a_known_authority_or_a_listed_host_works,
                                  fixture_teardown),
        cmocka_unit_test_teardown(test_ping_tells_good_credentials_from_bad_ones,
                                  fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
