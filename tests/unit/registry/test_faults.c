/* A registry that misbehaves on purpose. */
#include "fixture.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "registry/pull.h"
#include "registry/push.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BODY "0123456789"
/* sha256 of BODY and of nothing */
#define BODY_DIGEST                                                                        \
    "sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"
#define BLOB_PATH "/v2/a/blobs/" BODY_DIGEST
#define TOKEN_CHALLENGE                                                                    \
    "WWW-Authenticate: Bearer "                                                            \
    "realm=\"http://@/token\",service=\"s\",scope=\"repository:a:pull\""

#define START(routes) fake_start((routes), ARRAY_COUNT(routes))

static void body_descriptor(struct descriptor *out)
{
    const struct digest digest = digest_of(DIGEST_SHA256, VIEW_LIT(BODY));

    descriptor_init(out, MEDIA_OCI_LAYER, &digest, strlen(BODY));
}

/* Fetches BODY from a registry with these routes; the log is the caller's. */
static int fetch(struct fixture *f,
                 const struct fake_route *routes,
                 size_t count,
                 char **log)
{
    struct fake *fake = fake_start(routes, count);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a");
    CLEANUP(descriptor_release) struct descriptor desc = {0};

    body_descriptor(&desc);
    const int rc = registry_fetch_blob(f->client, f->store, &ref, &desc, NULL, &f->err);
    *log = fake_log(fake);
    /* Its connections are closed before the server is stopped. */
    registry_client_freep(&f->client);
    fake_stop(fake);
    return rc;
}

#define FETCH(f, routes, log) fetch((f), (routes), ARRAY_COUNT(routes), (log))

static void expect_nothing_stored(struct fixture *f)
{
    assert_int_equal(count_blobs(f->store), 0);
}

/* ---- Retries ---- */

static void test_503_429_and_500_are_tried_again(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", BLOB_PATH, NULL, 1, 503, {NULL}, "", 0, 0, 0},
        {"GET", BLOB_PATH, NULL, 1, 429, {"Retry-After: 0"}, "", 0, 0, 0},
        {"GET", BLOB_PATH, NULL, 1, 500, {NULL}, "", 0, 0, 0},
        {"GET", BLOB_PATH, NULL, 0, 200, {NULL}, BODY, 0, 0, 0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;

    OK(FETCH(f, routes, &log), &f->err);
    assert_int_equal(count_text(log, "GET"), 4);
    assert_int_equal(count_blobs(f->store), 1);
}

static void test_tries_end_after_the_fifth(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", BLOB_PATH, NULL, 0, 503, {NULL}, "", 0, 0, 0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;

    assert_int_equal(FETCH(f, routes, &log), -1);
    assert_int_equal(f->err.code, ERROR_NETWORK);
    assert_int_equal(count_text(log, "GET"), 5);
    expect_nothing_stored(f);
}

static void test_404_and_403_are_not_tried_again(void **state)
{
    static const struct fake_route routes[] = {
        {"GET",
         BLOB_PATH,
         NULL,
         0,
         403,
         {NULL},
         "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no \\u001b[31mway\"}]}",
         0,
         0,
         0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;

    assert_int_equal(FETCH(f, routes, &log), -1);
    assert_int_equal(f->err.code, ERROR_DENIED);
    assert_int_equal(count_text(log, "GET"), 1);
    assert_non_null(strstr(error_text(&f->err), "DENIED: no  [31mway"));
}

static void test_retry_after_is_waited_for(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", BLOB_PATH, NULL, 1, 429, {"Retry-After: 1"}, "", 0, 0, 0},
        {"GET", BLOB_PATH, NULL, 0, 200, {NULL}, BODY, 0, 0, 0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;
    struct timespec before, after;

    (void)clock_gettime(CLOCK_MONOTONIC, &before);
    OK(FETCH(f, routes, &log), &f->err);
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true((after.tv_sec - before.tv_sec) * 1000 +
                    (after.tv_nsec - before.tv_nsec) / 1000000 >=
                990);
}

static void test_unreachable_registry_is_a_network_error(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor desc = {0};

    f->port = fixture_free_port();
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "a");
    body_descriptor(&desc);
    assert_int_equal(registry_fetch_blob(f->client, f->store, &ref, &desc, NULL, &f->err),
                     -1);
    assert_int_equal(f->err.code, ERROR_NETWORK);
    expect_nothing_stored(f);
}

/* ---- Bodies ---- */

static void test_broken_transfer_goes_on_by_range(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", BLOB_PATH, NULL, 1, 200, {NULL}, BODY, 0, 4, 0},
        {"GET",
         BLOB_PATH,
         NULL,
         0,
         206,
         {"Content-Range: bytes 4-9/10"},
         "456789",
         0,
         0,
         0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;

    OK(FETCH(f, routes, &log), &f->err);
    assert_int_equal(count_text(log, "range=bytes=4-"), 1);
    assert_int_equal(count_blobs(f->store), 1);
}

static void test_transfer_starts_over_where_ranges_are_ignored(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", BLOB_PATH, NULL, 1, 200, {NULL}, BODY, 0, 4, 0},
        {"GET", BLOB_PATH, NULL, 0, 200, {NULL}, BODY, 0, 0, 0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;

    OK(FETCH(f, routes, &log), &f->err);
    assert_int_equal(count_blobs(f->store), 1);
}

static void test_wrong_part_is_refused(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", BLOB_PATH, NULL, 1, 200, {NULL}, BODY, 0, 4, 0},
        {"GET",
         BLOB_PATH,
         NULL,
         0,
         206,
         {"Content-Range: bytes 3-8/10"},
         "345678",
         0,
         0,
         0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;

    assert_int_equal(FETCH(f, routes, &log), -1);
    assert_int_equal(f->err.code, ERROR_INVALID);
    expect_nothing_stored(f);
}

static void test_corrupt_short_and_long_blobs_are_never_stored(void **state)
{
    static const char *const bodies[] = {"0123456780", "012345678", "01234567890", ""};
    const struct registry_client_options options = {.backoff_ms = 1};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_COUNT(bodies); i++) {
        const struct fake_route routes[] = {
            {"GET", BLOB_PATH, NULL, 0, 200, {NULL}, bodies[i], 0, 0, 0},
        };
        CLEANUP(base_freep) char *log = NULL;

        assert_int_equal(FETCH(f, routes, &log), -1);
        assert_int_equal(f->err.code, ERROR_CORRUPT);
        assert_int_equal(count_text(log, "GET"), 1);
        expect_nothing_stored(f);
        f->client = registry_client_new(&options);
    }
}

static void test_stalled_transfer_ends(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", BLOB_PATH, NULL, 0, 200, {NULL}, BODY, 0, 0, 4000},
    };
    const struct registry_client_options options = {
        .backoff_ms = 1,
        .attempts = 1,
        .http = {.stall_timeout_ms = 1000},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;

    registry_client_free(f->client);
    f->client = registry_client_new(&options);
    assert_int_equal(FETCH(f, routes, &log), -1);
    assert_int_equal(f->err.code, ERROR_NETWORK);
    expect_nothing_stored(f);
}

static void test_cancellation_ends_a_transfer(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", BLOB_PATH, NULL, 0, 200, {NULL}, BODY, 0, 0, 0},
    };
    static atomic_bool cancelled = true;
    const struct registry_client_options options = {.http = {.cancelled = &cancelled}};
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;

    registry_client_free(f->client);
    f->client = registry_client_new(&options);
    assert_int_equal(FETCH(f, routes, &log), -1);
    assert_int_equal(f->err.code, ERROR_CANCELLED);
    assert_int_equal(count_text(log, "GET"), 0);
}

/* ---- Redirects ---- */

static void test_redirect_is_followed_without_credentials_to_another_origin(void **state)
{
    static const struct fake_route elsewhere_routes[] = {
        {"GET", "/blob", NULL, 0, 200, {NULL}, BODY, 0, 0, 0},
    };
    struct fake *elsewhere = START(elsewhere_routes);
    CLEANUP(base_freep)
    char *location =
        base_format("Location: http://127.0.0.1:%d/blob", fake_port(elsewhere));
    const struct fake_route routes[] = {
        {"GET", BLOB_PATH, "Basic dTpw", 0, 307, {location}, "", 0, 0, 0},
        {"GET",
         BLOB_PATH,
         NULL,
         0,
         401,
         {"WWW-Authenticate: Basic realm=\"x\""},
         "",
         0,
         0,
         0},
    };
    struct fixture *f = *state;
    struct fake *fake = START(routes);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a");
    CLEANUP(descriptor_release) struct descriptor desc = {0};
    CLEANUP(base_freep)
    char *config =
        base_format("{\"auths\":{\"127.0.0.1:%d\":{\"auth\":\"dTpw\"}}}", fake_port(fake));

    fixture_write(f, "config.json", config);
    body_descriptor(&desc);
    OK(registry_fetch_blob(f->client, f->store, &ref, &desc, NULL, &f->err), &f->err);
    CLEANUP(base_freep) char *log = fake_log(elsewhere);
    assert_int_equal(count_text(log, "GET"), 1);
    assert_int_equal(count_text(log, "authorization"), 0);
    registry_client_freep(&f->client);
    fake_stop(fake);
    fake_stop(elsewhere);
}

static void test_redirect_loop_ends(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", BLOB_PATH, NULL, 0, 307, {"Location: " BLOB_PATH}, "", 0, 0, 0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;

    assert_int_equal(FETCH(f, routes, &log), -1);
    assert_int_equal(f->err.code, ERROR_INVALID);
    assert_int_equal(count_text(log, "GET"), 11);
}

static void test_redirects_to_foreign_schemes_and_plain_hosts_are_refused(void **state)
{
    static const char *const locations[] = {
        "Location: file:///etc/passwd",
        "Location: http://registry.example/x",
        "Location: http://user:pw@127.0.0.1/x",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_COUNT(locations); i++) {
        const struct fake_route routes[] = {
            {"GET", BLOB_PATH, NULL, 0, 302, {locations[i]}, "", 0, 0, 0},
        };
        CLEANUP(base_freep) char *log = NULL;

        assert_int_equal(FETCH(f, routes, &log), -1);
        assert_true(f->err.code == ERROR_DENIED || f->err.code == ERROR_INVALID);
        assert_int_equal(count_text(log, "GET"), 1);
        f->client = registry_client_new(NULL);
    }
}

/* ---- Tokens ---- */

static void test_token_is_fetched_once_and_used_for_the_rest(void **state)
{
    static const struct fake_route routes[] = {
        {"GET",
         "/token",
         NULL,
         0,
         200,
         {NULL},
         "{\"token\":\"T1\",\"expires_in\":300}",
         0,
         0,
         0},
        {"HEAD", "/v2/a/manifests/*", "Bearer T1", 0, 404, {NULL}, "", 0, 0, 0},
        {"HEAD", "/v2/a/manifests/*", NULL, 0, 401, {TOKEN_CHALLENGE}, "", 0, 0, 0},
    };
    struct fixture *f = *state;
    struct fake *fake = START(routes);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a:1");
    struct descriptor desc = {0};
    bool found;

    for (int i = 0; i < 3; i++) {
        OK(registry_manifest_head(f->client, &ref, &found, &desc, &f->err), &f->err);
        assert_false(found);
    }
    CLEANUP(base_freep) char *log = fake_log(fake);
    assert_int_equal(count_text(log, "GET /token"), 1);
    assert_int_equal(count_text(log, "service=s&"), 1);
    assert_int_equal(count_text(log, "scope=repository:a:pull&"), 1);
    assert_int_equal(count_text(log, "HEAD"), 4);
    registry_client_freep(&f->client);
    fake_stop(fake);
}

struct asker {
    struct fixture *fixture;
    const struct registry_reference *ref;
    pthread_t thread;
    int rc;
};

static void *ask(void *context)
{
    struct asker *a = context;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor desc = {0};
    bool found = true;

    a->rc = registry_manifest_head(a->fixture->client, a->ref, &found, &desc, &err);
    if (found)
        a->rc = -1;
    return NULL;
}

static void test_parallel_requests_share_one_token(void **state)
{
    static const struct fake_route routes[] = {
        {"GET",
         "/token",
         NULL,
         0,
         200,
         {NULL},
         "{\"token\":\"T1\",\"expires_in\":300}",
         0,
         0,
         200},
        {"HEAD", "/v2/a/manifests/*", "Bearer T1", 0, 404, {NULL}, "", 0, 0, 0},
        {"HEAD", "/v2/a/manifests/*", NULL, 0, 401, {TOKEN_CHALLENGE}, "", 0, 0, 0},
    };
    struct fixture *f = *state;
    struct fake *fake = START(routes);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a:1");
    struct asker askers[8];

    for (size_t i = 0; i < ARRAY_COUNT(askers); i++) {
        askers[i] = (struct asker){.fixture = f, .ref = &ref};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(askers); i++) {
        assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
        assert_int_equal(askers[i].rc, 0);
    }
    CLEANUP(base_freep) char *log = fake_log(fake);
    assert_int_equal(count_text(log, "GET /token"), 1);
    registry_client_freep(&f->client);
    fake_stop(fake);
}

static void test_expired_token_is_renewed(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", "/token", NULL, 1, 200, {NULL}, "{\"access_token\":\"T1\"}", 0, 0, 0},
        {"GET", "/token", NULL, 1, 200, {NULL}, "{\"access_token\":\"T2\"}", 0, 0, 0},
        {"HEAD", "/v2/a/manifests/*", "Bearer T1", 2, 404, {NULL}, "", 0, 0, 0},
        {"HEAD", "/v2/a/manifests/*", "Bearer T2", 0, 404, {NULL}, "", 0, 0, 0},
        {"HEAD", "/v2/a/manifests/*", NULL, 0, 401, {TOKEN_CHALLENGE}, "", 0, 0, 0},
    };
    struct fixture *f = *state;
    struct fake *fake = START(routes);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a:1");
    struct descriptor desc = {0};
    bool found;

    for (int i = 0; i < 5; i++)
        OK(registry_manifest_head(f->client, &ref, &found, &desc, &f->err), &f->err);
    CLEANUP(base_freep) char *log = fake_log(fake);
    assert_int_equal(count_text(log, "GET /token"), 2);
    registry_client_freep(&f->client);
    fake_stop(fake);
}

static void test_token_that_does_not_help_is_denied(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", "/token", NULL, 0, 200, {NULL}, "{\"token\":\"T1\"}", 0, 0, 0},
        {"GET", BLOB_PATH, NULL, 0, 401, {TOKEN_CHALLENGE}, "", 0, 0, 0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;

    assert_int_equal(FETCH(f, routes, &log), -1);
    assert_int_equal(f->err.code, ERROR_DENIED);
    assert_int_equal(count_text(log, BLOB_PATH), 2);
}

static void test_identity_token_is_posted_and_basic_is_sent_to_the_token_server(
    void **state)
{
    static const struct fake_route routes[] = {
        {"POST", "/token", NULL, 0, 200, {NULL}, "{\"access_token\":\"T1\"}", 0, 0, 0},
        {"GET", "/token", "Basic dTpw", 0, 200, {NULL}, "{\"token\":\"T1\"}", 0, 0, 0},
        {"GET", BLOB_PATH, "Bearer T1", 0, 200, {NULL}, BODY, 0, 0, 0},
        {"GET", BLOB_PATH, NULL, 0, 401, {TOKEN_CHALLENGE}, "", 0, 0, 0},
    };
    static const char *const entries[] = {"\"identitytoken\":\"R\"", "\"auth\":\"dTpw\""};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_COUNT(entries); i++) {
        struct fake *fake = START(routes);
        CLEANUP(registry_reference_release)
        struct registry_reference ref = fake_reference(fake, "a");
        CLEANUP(base_freep)
        char *config =
            base_format("{\"auths\":{\"127.0.0.1:%d\":{%s}}}", fake_port(fake), entries[i]);
        struct registry_client *client;
        CLEANUP(base_freep) char *name = base_format("store%zu", i);
        struct cas_store *store = fixture_store(f, name);
        CLEANUP(descriptor_release) struct descriptor desc = {0};

        fixture_write(f, "config.json", config);
        client = registry_client_new(NULL);
        body_descriptor(&desc);
        OK(registry_fetch_blob(client, store, &ref, &desc, NULL, &f->err), &f->err);
        CLEANUP(base_freep) char *log = fake_log(fake);
        assert_int_equal(count_text(log, i == 0 ? "POST /token" : "GET /token"), 1);
        registry_client_free(client);
        fake_stop(fake);
        cas_store_close(store);
    }
}

static void test_refusing_token_server_is_named_and_secrets_are_not(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", "/token", NULL, 0, 401, {NULL}, "bad password geheim", 0, 0, 0},
        {"GET", BLOB_PATH, NULL, 0, 401, {TOKEN_CHALLENGE}, "", 0, 0, 0},
    };
    struct fixture *f = *state;
    struct fake *fake = START(routes);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a");
    CLEANUP(descriptor_release) struct descriptor desc = {0};
    /* u:geheim */
    CLEANUP(base_freep)
    char *config = base_format("{\"auths\":{\"127.0.0.1:%d\":{\"auth\":\"dTpnZWhlaW0=\"}}}",
                               fake_port(fake));

    fixture_write(f, "config.json", config);
    body_descriptor(&desc);
    assert_int_equal(registry_fetch_blob(f->client, f->store, &ref, &desc, NULL, &f->err),
                     -1);
    assert_int_equal(f->err.code, ERROR_DENIED);
    assert_non_null(strstr(error_text(&f->err), "token server 127.0.0.1"));
    assert_null(strstr(error_text(&f->err), "geheim"));
    assert_null(strstr(error_text(&f->err), "dTpnZWhlaW0"));
    registry_client_freep(&f->client);
    fake_stop(fake);
}

/* ---- Manifests ---- */

static int pull(struct fixture *f, const struct fake_route *routes, size_t count)
{
    struct fake *fake = fake_start(routes, count);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a:1");
    struct registry_image image = {0};
    const int rc = registry_pull(f->client, f->store, &ref, NULL, NULL, &image, &f->err);

    if (rc == 0)
        registry_image_release(&image);
    registry_client_freep(&f->client);
    fake_stop(fake);
    return rc;
}

static void expect_pull_failure(struct fixture *f,
                                const char *body,
                                const char *type,
                                const char *digest,
                                enum error_code code,
                                const char *word)
{
    const struct fake_route routes[] = {
        {"HEAD", "/v2/a/manifests/*", NULL, 0, 200, {type, digest}, body, 0, 0, 0},
        {"GET", "/v2/a/manifests/*", NULL, 0, 200, {type, digest}, body, 0, 0, 0},
    };

    assert_int_equal(pull(f, routes, ARRAY_COUNT(routes)), -1);
    if (f->err.code != code || !strstr(error_text(&f->err), word))
        fail_msg("%s: %s", error_code_name(f->err.code), error_text(&f->err));
    expect_nothing_stored(f);
    f->client = registry_client_new(NULL);
}

static void test_hostile_manifests_are_refused(void **state)
{
    struct fixture *f = *state;
    const char *oci = "Content-Type: " MEDIA_OCI_MANIFEST;
    CLEANUP(base_freep) char *deep = base_alloc(200000);

    expect_pull_failure(
        f, "{\"schemaVersion\":1,\"name\":\"a\",\"fsLayers\":[]}",
        "Content-Type: application/vnd.docker.distribution.manifest.v1+prettyjws", NULL,
        ERROR_UNSUPPORTED, "schema 1");
    expect_pull_failure(f, "not json", oci, NULL, ERROR_INVALID, "");
    expect_pull_failure(f, "[]", oci, NULL, ERROR_INVALID, "");
    expect_pull_failure(f, "{\"schemaVersion\":2}", oci, NULL, ERROR_INVALID, "neither");
    expect_pull_failure(
        f, "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[],\"config\":{}}", oci, NULL,
        ERROR_INVALID, "both");
    expect_pull_failure(f, "{\"schemaVersion\":2,\"manifests\":[]}", oci,
                        "Docker-Content-Digest: " BODY_DIGEST, ERROR_CORRUPT, "");
    memset(deep, '[', 199999);
    expect_pull_failure(f, deep, oci, NULL, ERROR_LIMIT, "nested");
}

static void test_endless_manifest_is_cut_off(void **state)
{
    struct fixture *f = *state;
    const size_t size = LIMIT_MANIFEST_SIZE + 1;
    CLEANUP(base_freep) char *body = base_alloc(size + 1);

    memset(body, ' ', size);
    const struct fake_route routes[] = {
        {"HEAD", "/v2/a/manifests/*", NULL, 0, 405, {NULL}, "", 0, 0, 0},
        {"GET", "/v2/a/manifests/*", NULL, 0, 200, {NULL}, body, size, 0, 0},
    };
    assert_int_equal(pull(f, routes, ARRAY_COUNT(routes)), -1);
    assert_int_equal(f->err.code, ERROR_LIMIT);
}

static void test_registry_that_confirms_another_digest_is_not_believed(void **state)
{
    static const struct fake_route routes[] = {
        {"PUT",
         "/v2/a/manifests/1",
         NULL,
         0,
         201,
         {"Docker-Content-Digest: " BODY_DIGEST},
         "",
         0,
         0,
         0},
    };
    struct fixture *f = *state;
    struct fake *fake = START(routes);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a:1");
    struct digest digest;

    assert_int_equal(registry_manifest_put(f->client, &ref, MEDIA_OCI_MANIFEST,
                                           VIEW_LIT("{}"), &digest, &f->err),
                     -1);
    assert_int_equal(f->err.code, ERROR_CORRUPT);
    registry_client_freep(&f->client);
    fake_stop(fake);
}

/* ---- Uploads ---- */

static int upload(struct fixture *f,
                  const struct fake_route *routes,
                  size_t count,
                  enum registry_upload_result *result,
                  char **log)
{
    struct fake *fake = fake_start(routes, count);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a");
    CLEANUP(descriptor_release) struct descriptor desc = {0};
    const struct registry_http_body body = {.bytes = VIEW_LIT(BODY)};
    const struct registry_upload_options options = {.mount_from = "b/c"};

    body_descriptor(&desc);
    const int rc = registry_blob_upload(f->client, &ref, &desc, &body, &options, NULL,
                                        result, &f->err);
    *log = fake_log(fake);
    registry_client_freep(&f->client);
    fake_stop(fake);
    return rc;
}

#define UPLOAD(f, routes, result, log)                                                     \
    upload((f), (routes), ARRAY_COUNT(routes), (result), (log))

static void test_blob_that_is_there_is_not_sent(void **state)
{
    static const struct fake_route routes[] = {
        {"HEAD", BLOB_PATH, NULL, 0, 200, {NULL}, "", 0, 0, 0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;
    enum registry_upload_result result;

    OK(UPLOAD(f, routes, &result, &log), &f->err);
    assert_int_equal(result, REGISTRY_UPLOAD_PRESENT);
    assert_int_equal(count_text(log, "\n"), 1);
}

static void test_mounted_blob_is_not_sent(void **state)
{
    static const struct fake_route routes[] = {
        {"POST",
         "/v2/a/blobs/uploads/",
         NULL,
         0,
         201,
         {"Location: " BLOB_PATH},
         "",
         0,
         0,
         0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;
    enum registry_upload_result result;

    OK(UPLOAD(f, routes, &result, &log), &f->err);
    assert_int_equal(result, REGISTRY_UPLOAD_MOUNTED);
    assert_int_equal(count_text(log, "mount=" BODY_DIGEST "&from=b/c"), 1);
    assert_int_equal(count_text(log, "PUT"), 0);
}

static void test_413_makes_it_chunks(void **state)
{
    static const struct fake_route routes[] = {
        {"POST", "/v2/a/blobs/uploads/", NULL, 0, 202, {"Location: /u/1"}, "", 0, 0, 0},
        {"PUT", "/u/1", NULL, 1, 413, {NULL}, "", 0, 0, 0},
        {"PATCH", "/u/1", NULL, 0, 202, {"Location: /u/2", "Range: 0-9"}, "", 0, 0, 0},
        {"PUT", "/u/2", NULL, 0, 201, {NULL}, "", 0, 0, 0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;
    enum registry_upload_result result;

    OK(UPLOAD(f, routes, &result, &log), &f->err);
    assert_int_equal(result, REGISTRY_UPLOAD_SENT);
    assert_int_equal(count_text(log, "content-range=0-9 size=10"), 1);
    assert_int_equal(count_text(log, "PUT /u/2?digest=" BODY_DIGEST "& size=0"), 1);
}

static void test_failed_upload_begins_a_new_session(void **state)
{
    static const struct fake_route routes[] = {
        {"POST",
         "/v2/a/blobs/uploads/",
         NULL,
         1,
         202,
         {"Location: /u/1?_state=x"},
         "",
         0,
         0,
         0},
        {"POST", "/v2/a/blobs/uploads/", NULL, 0, 202, {"Location: /u/2"}, "", 0, 0, 0},
        {"PUT", "/u/1", NULL, 0, 502, {NULL}, "", 0, 0, 0},
        {"PUT", "/u/2", NULL, 0, 201, {NULL}, "", 0, 0, 0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;
    enum registry_upload_result result;

    OK(UPLOAD(f, routes, &result, &log), &f->err);
    assert_int_equal(count_text(log, "PUT /u/1?_state=x&digest="), 1);
    assert_int_equal(count_text(log, "PUT /u/2?digest="), 1);
}

static void test_broken_chunk_goes_on_where_the_registry_stopped(void **state)
{
    static const struct fake_route routes[] = {
        {"POST", "/v2/a/blobs/uploads/", NULL, 0, 202, {"Location: /u/1"}, "", 0, 0, 0},
        {"PUT", "/u/1", NULL, 1, 413, {NULL}, "", 0, 0, 0},
        {"PATCH", "/u/1", NULL, 1, 416, {NULL}, "", 0, 0, 0},
        {"GET", "/u/1", NULL, 0, 204, {"Location: /u/1", "Range: 0-5"}, "", 0, 0, 0},
        {"PATCH", "/u/1", NULL, 0, 202, {"Location: /u/1"}, "", 0, 0, 0},
        {"PUT", "/u/1", NULL, 0, 201, {NULL}, "", 0, 0, 0},
    };
    CLEANUP(base_freep) char *log = NULL;
    struct fixture *f = *state;
    enum registry_upload_result result;

    OK(UPLOAD(f, routes, &result, &log), &f->err);
    assert_int_equal(count_text(log, "content-range=6-9 size=4"), 1);
}

static void test_upload_elsewhere_gets_no_credentials(void **state)
{
    static const struct fake_route elsewhere_routes[] = {
        {"PUT", "/s", NULL, 0, 201, {NULL}, "", 0, 0, 0},
    };
    struct fake *elsewhere = START(elsewhere_routes);
    CLEANUP(base_freep)
    char *location = base_format("Location: http://127.0.0.1:%d/s", fake_port(elsewhere));
    const struct fake_route routes[] = {
        {"HEAD", BLOB_PATH, "Basic dTpw", 0, 404, {NULL}, "", 0, 0, 0},
        {"HEAD",
         BLOB_PATH,
         NULL,
         0,
         401,
         {"WWW-Authenticate: Basic realm=\"x\""},
         "",
         0,
         0,
         0},
        {"POST", "/v2/a/blobs/uploads/", "Basic dTpw", 0, 202, {location}, "", 0, 0, 0},
    };
    struct fixture *f = *state;
    struct fake *fake = START(routes);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a");
    CLEANUP(descriptor_release) struct descriptor desc = {0};
    CLEANUP(base_freep)
    char *config =
        base_format("{\"auths\":{\"127.0.0.1:%d\":{\"auth\":\"dTpw\"}}}", fake_port(fake));
    const struct registry_http_body body = {.bytes = VIEW_LIT(BODY)};
    enum registry_upload_result result;

    fixture_write(f, "config.json", config);
    body_descriptor(&desc);
    OK(registry_blob_upload(f->client, &ref, &desc, &body, NULL, NULL, &result, &f->err),
       &f->err);
    CLEANUP(base_freep) char *log = fake_log(elsewhere);
    assert_int_equal(count_text(log, "size=10"), 1);
    assert_int_equal(count_text(log, "authorization"), 0);
    registry_client_freep(&f->client);
    fake_stop(fake);
    fake_stop(elsewhere);
}

static void test_repeated_push_costs_one_request(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(buf_release) struct buf manifest = BUF_INIT(LIMIT_MANIFEST_SIZE);

    make_image(f->store, 1, 3, 100, &root);
    OK(cas_blob_read(f->store, &root.digest, &manifest, &f->err), &f->err);
    CLEANUP(base_freep)
    char *digest =
        base_format("Docker-Content-Digest: %s", digest_format(&root.digest).text);
    const struct fake_route routes[] = {
        {"HEAD",
         "/v2/a/manifests/1",
         NULL,
         0,
         200,
         {digest, "Content-Type: " MEDIA_OCI_MANIFEST},
         buf_text(&manifest),
         0,
         0,
         0},
    };
    struct fake *fake = START(routes);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a:1");
    struct digest got;

    OK(registry_push(f->client, f->store, &root, &ref, NULL, &got, &f->err), &f->err);
    assert_true(digest_eq(&got, &root.digest));
    CLEANUP(base_freep) char *log = fake_log(fake);
    assert_int_equal(count_text(log, "\n"), 1);
    registry_client_freep(&f->client);
    fake_stop(fake);
}

/* Pushes an image whose layers are said to be new, and are sent before it is known; the
 * requests that it took. */
static char *push_made(struct fixture *f, size_t layer_size)
{
    static const struct fake_route routes[] = {
        {"HEAD", "*", NULL, 0, 404, {NULL}, "", 0, 0, 0},
        {"POST", "/v2/a/blobs/uploads/", NULL, 0, 202, {"Location: /u/1"}, "", 0, 0, 0},
        {"PUT", "*", NULL, 0, 201, {NULL}, "", 0, 0, 0},
    };
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};
    struct fake *fake = START(routes);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a:1");
    struct registry_pusher *pusher;
    struct digest got;

    make_image(f->store, 1, 2, layer_size, &root);
    OK(registry_image_load(f->store, &root, NULL, &image, &f->err), &f->err);
    pusher = registry_pusher_new(f->client, f->store, &ref, NULL);
    for (size_t i = 0; i < image.layer_count; i++) {
        CLEANUP(cas_layer_unrefp)
        struct cas_layer *layer =
            cas_layer_new(f->store, &image.layers[i].digest, &image.layers[i], NULL, NULL);

        registry_pusher_layer(pusher, layer, true, NULL);
    }
    OK(registry_pusher_finish(pusher, &root, &ref, &got, &f->err), &f->err);
    registry_pusher_free(pusher);
    char *log = fake_log(fake);
    registry_client_freep(&f->client);
    fake_stop(fake);
    return log;
}

static void test_small_blobs_just_made_are_sent_unasked(void **state)
{
    CLEANUP(base_freep) char *log = push_made(*state, 100);

    assert_int_equal(count_text(log, "HEAD"), 0);
    assert_int_equal(count_text(log, "POST"), 3);
    assert_int_equal(count_text(log, "PUT"), 4);
}

static void test_large_blobs_just_made_are_asked_for(void **state)
{
    CLEANUP(base_freep) char *log = push_made(*state, 100000);

    assert_int_equal(count_text(log, "HEAD /v2/a/blobs/"), 2);
    assert_int_equal(count_text(log, "PUT"), 4);
}

static void test_small_body_is_sent_without_being_offered(void **state)
{
    CLEANUP(base_freep) char *log = push_made(*state, 100);

    assert_int_equal(count_text(log, "expect="), 0);
}

static void test_plain_http_to_others_is_refused_without_a_request(void **state)
{
    struct fixture *f = *state;
    const struct registry_http_options options = {0};
    struct registry_http *http = registry_http_new(&options);
    CLEANUP(registry_http_response_release)
    struct registry_http_response response = REGISTRY_HTTP_RESPONSE_INIT(100);
    const struct registry_http_request request = {.url = "http://registry.example/v2/"};

    assert_int_equal(registry_http_perform(http, &request, &response, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_DENIED);
    assert_true(registry_http_is_plain_allowed(http, VIEW_LIT("localhost:5000")));
    assert_true(registry_http_is_plain_allowed(http, VIEW_LIT("127.1.2.3")));
    assert_true(registry_http_is_plain_allowed(http, VIEW_LIT("[::1]:5000")));
    assert_false(registry_http_is_plain_allowed(http, VIEW_LIT("localhost.example")));
    assert_false(registry_http_is_plain_allowed(http, VIEW_LIT("128.0.0.1:80")));
    registry_http_free(http);
}

#define WITH_STORE(test)                                                                   \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_503_429_and_500_are_tried_again),
        WITH_STORE(test_tries_end_after_the_fifth),
        WITH_STORE(test_404_and_403_are_not_tried_again),
        WITH_STORE(test_retry_after_is_waited_for),
        WITH_STORE(test_unreachable_registry_is_a_network_error),
        WITH_STORE(test_broken_transfer_goes_on_by_range),
        WITH_STORE(test_transfer_starts_over_where_ranges_are_ignored),
        WITH_STORE(test_wrong_part_is_refused),
        WITH_STORE(test_corrupt_short_and_long_blobs_are_never_stored),
        WITH_STORE(test_stalled_transfer_ends),
        WITH_STORE(test_cancellation_ends_a_transfer),
        WITH_STORE(test_redirect_is_followed_without_credentials_to_another_origin),
        WITH_STORE(test_redirect_loop_ends),
        WITH_STORE(test_redirects_to_foreign_schemes_and_plain_hosts_are_refused),
        WITH_STORE(test_token_is_fetched_once_and_used_for_the_rest),
        WITH_STORE(test_parallel_requests_share_one_token),
        WITH_STORE(test_expired_token_is_renewed),
        WITH_STORE(test_token_that_does_not_help_is_denied),
        WITH_STORE(test_identity_token_is_posted_and_basic_is_sent_to_the_token_server),
        WITH_STORE(test_refusing_token_server_is_named_and_secrets_are_not),
        WITH_STORE(test_hostile_manifests_are_refused),
        WITH_STORE(test_endless_manifest_is_cut_off),
        WITH_STORE(test_registry_that_confirms_another_digest_is_not_believed),
        WITH_STORE(test_blob_that_is_there_is_not_sent),
        WITH_STORE(test_mounted_blob_is_not_sent),
        WITH_STORE(test_413_makes_it_chunks),
        WITH_STORE(test_failed_upload_begins_a_new_session),
        WITH_STORE(test_broken_chunk_goes_on_where_the_registry_stopped),
        WITH_STORE(test_upload_elsewhere_gets_no_credentials),
        WITH_STORE(test_repeated_push_costs_one_request),
        WITH_STORE(test_small_blobs_just_made_are_sent_unasked),
        WITH_STORE(test_large_blobs_just_made_are_asked_for),
        WITH_STORE(test_small_body_is_sent_without_being_offered),
        WITH_STORE(test_plain_http_to_others_is_refused_without_a_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
