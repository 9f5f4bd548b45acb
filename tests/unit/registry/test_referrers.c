/* Referrers, tags and copies: against docker-registry, which knows no referrers API, and
 * against a script. */
#include "fixture.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "registry/copy.h"
#include "registry/push.h"
#include "registry/referrers.h"

#include <stdlib.h>
#include <string.h>

#define HEX_A     "1111111111111111111111111111111111111111111111111111111111111111"
#define HEX_B     "2222222222222222222222222222222222222222222222222222222222222222"
#define SUBJECT   "sha256:3333333333333333333333333333333333333333333333333333333333333333"
#define REFERRERS "/v2/a/referrers/" SUBJECT
#define ENTRY(hex, type)                                                                   \
    "{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":\"sha256:" hex                   \
    "\",\"size\":7,\"artifactType\":\"" type "\"}"
#define INDEX(entries)                                                                     \
    "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[" entries   \
    "]}"

static struct digest subject_digest(void)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest d;

    OK(digest_parse(VIEW_LIT(SUBJECT), &d, &err), &err);
    return d;
}

/* ---- A script ---- */

static int list(struct fixture *f,
                const struct fake_route *routes,
                size_t count,
                const char *type,
                struct registry_referrers *out,
                char **log)
{
    struct fake *fake = fake_start(routes, count);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a");
    const struct digest subject = subject_digest();
    const int rc = registry_referrers_list(f->client, &ref, &subject, type, out, &f->err);

    *log = fake_log(fake);
    registry_client_freep(&f->client);
    fake_stop(fake);
    return rc;
}

static void test_pages_of_the_api_are_followed_and_filtered(void **state)
{
    static const struct fake_route routes[] = {
        {"GET",
         REFERRERS,
         NULL,
         1,
         200,
         {"Content-Type: " MEDIA_OCI_INDEX,
          "Link: <https://elsewhere.example/>; rel=\"prev\", <" REFERRERS
          "?last=x>; rel=\"next\""},
         INDEX(ENTRY(HEX_A, "t/a") "," ENTRY(HEX_B, "t/b")),
         0,
         0,
         0},
        {"GET",
         REFERRERS,
         NULL,
         1,
         200,
         {"Content-Type: " MEDIA_OCI_INDEX},
         INDEX(ENTRY(HEX_A, "t/a")),
         0,
         0,
         0},
    };
    struct fixture *f = *state;
    CLEANUP(registry_referrers_release) struct registry_referrers got = {0};
    CLEANUP(base_freep) char *log = NULL;

    OK(list(f, routes, ARRAY_COUNT(routes), "t/a", &got, &log), &f->err);
    assert_int_equal(got.count, 1);
    assert_string_equal(digest_hex(&got.items[0].digest).text, HEX_A);
    assert_string_equal(got.items[0].artifact_type, "t/a");
    assert_non_null(strstr(log, "artifactType=t/a"));
    assert_non_null(strstr(log, "last=x"));
}

static void test_lists_that_go_on_elsewhere_or_in_a_circle_are_refused(void **state)
{
    static const char *const links[] = {
        "Link: <https://elsewhere.example/v2/>; rel=\"next\"",
        "Link: <" REFERRERS ">; rel=next",
        "Link: <gopher://x/>; rel=\"next\"",
    };

    for (size_t i = 0; i < ARRAY_COUNT(links); i++) {
        const struct fake_route routes[] = {
            {"GET", REFERRERS, NULL, 0, 200, {links[i]}, INDEX(""), 0, 0, 0},
        };
        CLEANUP(base_freep) char *log = NULL;
        struct registry_referrers got = {0};
        struct fixture *f;

        if (i > 0)
            assert_int_equal(fixture_setup(state), 0);
        f = *state;
        assert_int_equal(list(f, routes, 1, NULL, &got, &log), -1);
        assert_int_equal(f->err.code, ERROR_INVALID);
        assert_int_equal(count_text(log, "GET"), 1);
        if (i + 1 < ARRAY_COUNT(links))
            assert_int_equal(fixture_teardown(state), 0);
    }
}

static void test_none_are_listed_where_there_is_neither_api_nor_tag(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", "/nothing", NULL, 0, 200, {0}, "", 0, 0, 0}};
    struct fixture *f = *state;
    CLEANUP(registry_referrers_release) struct registry_referrers got = {0};
    CLEANUP(base_freep) char *log = NULL;

    OK(list(f, routes, 1, NULL, &got, &log), &f->err);
    assert_int_equal(got.count, 0);
    assert_non_null(strstr(log, "GET /v2/a/manifests/sha256-3333"));
}

static void test_registry_that_fails_is_no_registry_without_referrers(void **state)
{
    static const struct fake_route routes[] = {
        {"GET", REFERRERS, NULL, 0, 500, {NULL}, "", 0, 0, 0},
    };
    struct fixture *f = *state;
    CLEANUP(base_freep) char *log = NULL;
    struct registry_referrers got = {0};

    assert_int_equal(list(f, routes, 1, NULL, &got, &log), -1);
    assert_int_equal(f->err.code, ERROR_NETWORK);
    assert_null(strstr(log, "manifests"));
}

static int refuse_tag(void *context, const char *tag, struct error *err)
{
    (void)context;
    (void)tag;
    (void)err;
    fail();
    return -1;
}

static void test_tags_that_are_none_are_not_passed_on(void **state)
{
    static const struct fake_route routes[] = {
        {"GET",
         "/v2/a/tags/list",
         NULL,
         0,
         200,
         {0},
         "{\"tags\":[\"\\u001b[2J\"]}",
         0,
         0,
         0},
    };
    struct fixture *f = *state;
    struct fake *fake = fake_start(routes, 1);
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a");

    assert_int_equal(registry_tags_list(f->client, &ref, refuse_tag, NULL, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_INVALID);
    registry_client_freep(&f->client);
    fake_stop(fake);
}

static int note_tag(void *context, const char *tag, struct error *err)
{
    (void)err;
    buf_printf(context, "%s ", tag);
    return 0;
}

static void test_tags_come_page_by_page(void **state)
{
    static const struct fake_route routes[] = {
        {"GET",
         "/v2/a/tags/list",
         NULL,
         1,
         200,
         {"Link: </v2/a/tags/list?n=2&last=b>; rel=\"next\""},
         "{\"name\":\"a\",\"tags\":[\"a\",\"b\"]}",
         0,
         0,
         0},
        {"GET", "/v2/a/tags/list", NULL, 1, 200, {0}, "{\"tags\":[\"c\"]}", 0, 0, 0},
    };
    struct fixture *f = *state;
    struct fake *fake = fake_start(routes, ARRAY_COUNT(routes));
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fake_reference(fake, "a");
    CLEANUP(buf_release) struct buf tags = BUF_INIT(100);

    OK(registry_tags_list(f->client, &ref, note_tag, &tags, &f->err), &f->err);
    assert_string_equal(buf_text(&tags), "a b c ");
    CLEANUP(base_freep) char *log = fake_log(fake);
    assert_non_null(strstr(log, "n=2&last=b&"));
    registry_client_freep(&f->client);
    fake_stop(fake);
}

/* ---- docker-registry ---- */

static int setup_registry(void **state)
{
    if (fixture_setup(state) < 0)
        return -1;
    fixture_start_registry(*state, "");
    return 0;
}

static void push_image(struct fixture *f, const char *name, struct descriptor *root)
{
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, name);
    struct digest digest;

    make_image(f->store, 5, 2, 1000, root);
    OK(registry_push(f->client, f->store, root, &ref, NULL, &digest, &f->err), &f->err);
}

static void attach(struct fixture *f,
                   const struct registry_reference *ref,
                   const struct descriptor *subject,
                   const char *text,
                   struct descriptor *out)
{
    const struct registry_artifact_layer layer = {"text/plain", view_of(text), NULL};
    const struct registry_artifact artifact = {
        .artifact_type = text,
        .subject = subject,
        .layers = &layer,
        .layer_count = 1,
    };

    OK(registry_artifact_push(f->client, ref, &artifact, out, &f->err), &f->err);
}

static void test_fallback_tag_is_kept_where_the_api_is_missing(void **state)
{
    struct fixture *f = *state;
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "a");
    CLEANUP(descriptor_release) struct descriptor image = {0};
    CLEANUP(descriptor_release) struct descriptor one = {0};
    CLEANUP(descriptor_release) struct descriptor two = {0};
    CLEANUP(descriptor_release) struct descriptor again = {0};
    CLEANUP(registry_referrers_release) struct registry_referrers all = {0};
    CLEANUP(registry_referrers_release) struct registry_referrers some = {0};
    CLEANUP(registry_referrers_release) struct registry_referrers left = {0};

    push_image(f, "a:1", &image);
    attach(f, &ref, &image, "t/one", &one);
    attach(f, &ref, &image, "t/two", &two);
    attach(f, &ref, &image, "t/two", &again);
    assert_true(digest_eq(&two.digest, &again.digest));
    OK(registry_referrers_list(f->client, &ref, &image.digest, NULL, &all, &f->err),
       &f->err);
    assert_int_equal(all.count, 2);
    OK(registry_referrers_list(f->client, &ref, &image.digest, "t/two", &some, &f->err),
       &f->err);
    assert_int_equal(some.count, 1);
    assert_true(digest_eq(&some.items[0].digest, &two.digest));
    assert_true(some.items[0].size == two.size);
    ref.digest = one.digest;
    OK(registry_referrer_delete(f->client, &ref, &f->err), &f->err);
    OK(registry_referrers_list(f->client, &ref, &image.digest, NULL, &left, &f->err),
       &f->err);
    assert_int_equal(left.count, 1);
    assert_true(digest_eq(&left.items[0].digest, &two.digest));
}

static void test_manifest_without_subject_is_no_referrer(void **state)
{
    struct fixture *f = *state;
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "a");
    CLEANUP(descriptor_release) struct descriptor alone = {0};
    CLEANUP(buf_release) struct buf manifest = BUF_INIT(LIMIT_MANIFEST_SIZE);
    const struct registry_artifact artifact = {.artifact_type = "t/alone"};
    struct descriptor out;

    OK(registry_artifact_push(f->client, &ref, &artifact, &alone, &f->err), &f->err);
    registry_artifact_manifest(&artifact, &manifest);
    assert_int_equal(
        registry_referrer_put(f->client, &ref, buf_view(&manifest), &out, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_INVALID);
}

static void test_pushed_referrer_is_listed(void **state)
{
    struct fixture *f = *state;
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "a");
    CLEANUP(registry_reference_release)
    struct registry_reference tag = fixture_reference(f, "a:sbom");
    CLEANUP(descriptor_release) struct descriptor image = {0};
    CLEANUP(descriptor_release) struct descriptor sbom = {0};
    CLEANUP(buf_release) struct buf manifest = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(registry_referrers_release) struct registry_referrers got = {0};
    struct descriptor empty = {0};
    struct digest digest;

    push_image(f, "a:1", &image);
    const struct registry_artifact artifact = {.artifact_type = "t/one", .subject = &image};
    registry_artifact_manifest(&artifact, &manifest);
    put_blob(f->store, "application/vnd.oci.empty.v1+json", VIEW_LIT("{}"), &empty);
    put_blob(f->store, MEDIA_OCI_MANIFEST, buf_view(&manifest), &sbom);
    OK(registry_push(f->client, f->store, &sbom, &tag, NULL, &digest, &f->err), &f->err);
    assert_true(digest_eq(&digest, &sbom.digest));
    OK(registry_referrers_list(f->client, &ref, &image.digest, NULL, &got, &f->err),
       &f->err);
    assert_int_equal(got.count, 1);
    assert_true(digest_eq(&got.items[0].digest, &sbom.digest));
    assert_string_equal(got.items[0].artifact_type, "t/one");
    descriptor_release(&empty);
}

/* ---- Copies ---- */

static struct registry_location location(const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct registry_location l;

    OK(registry_location_parse(view_of(text), &l, &err), &err);
    return l;
}

static void test_locations_are_read_and_written(void **state)
{
    static const char *const same[] = {
        "a.example/b:1",        "oci-layout:///x:1", "oci-archive:/x:a.example/b:1",
        "docker-archive:x:b:1", "store:b:1",         "store:" SUBJECT};
    static const char *const bad[] = {"oci-archive:",  "oci-archive:x:", "oci:",
                                      "store:",        "docker://",      "UPPER",
                                      "oci:x@sha256:1"};
    struct registry_location l;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(same); i++) {
        CLEANUP(registry_location_release)
        struct registry_location read = location(same[i]);
        CLEANUP(base_freep) char *text = registry_location_text(&read);

        assert_string_equal(text, same[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;

        assert_int_equal(registry_location_parse(view_of(bad[i]), &l, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID);
    }
}

#define LAYER     "sha256:" HEX_A
#define CONFIG    "{}"
#define CONFIG_ID "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define MANIFEST                                                                           \
    "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST                             \
    "\",\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"" CONFIG_ID        \
    "\",\"size\":2},\"layers\":[{\"mediaType\":\"" MEDIA_OCI_LAYER                         \
    "\",\"digest\":\"" LAYER "\",\"size\":9}]}"

/* A source whose layer is not what its digest says. */
static const struct fake_route lying[] = {
    {"HEAD", "/v2/a/manifests/1", NULL, 0, 405, {0}, "", 0, 0, 0},
    {"GET",
     "/v2/a/manifests/*",
     NULL,
     0,
     200,
     {"Content-Type: " MEDIA_OCI_MANIFEST},
     MANIFEST,
     0,
     0,
     0},
    {"GET", "/v2/a/blobs/" CONFIG_ID, NULL, 0, 200, {0}, CONFIG, 0, 0, 0},
    {"GET", "/v2/a/blobs/" LAYER, NULL, 0, 200, {0}, "not that!", 0, 0, 0},
};

static int copy_lie(struct fixture *f, const struct registry_location *to)
{
    struct fake *fake = fake_start(lying, ARRAY_COUNT(lying));
    CLEANUP(base_freep) char *name = base_format("127.0.0.1:%d/a:1", fake_port(fake));
    CLEANUP(registry_location_release) struct registry_location from = location(name);
    CLEANUP(registry_copy_result_release) struct registry_copy_result result = {0};
    const struct registry_copy_options options = {.store = f->store};
    const int rc = registry_copy(f->client, &from, to, &options, &result, &f->err);

    fake_stop(fake);
    return rc;
}

static void test_source_that_lies_leaves_nothing_in_the_target(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep) char *layout = fixture_path(f, "layout");
    char *names[] = {base_format("127.0.0.1:%d/b:1", f->port),
                     base_format("oci-layout://%s:1", layout), base_strdup("store:b:1"),
                     base_format("oci-archive:%s.tar", layout)};
    CLEANUP(registry_reference_release)
    struct registry_reference ref = fixture_reference(f, "b:1");
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor ignored;
    struct digest layer;
    uint64_t size;
    bool found;

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        CLEANUP(registry_location_release) struct registry_location to = location(names[i]);

        assert_int_equal(copy_lie(f, &to), -1);
        assert_int_equal(f->err.code, ERROR_CORRUPT);
        error_clear(&f->err);
    }
    OK(registry_manifest_head(f->client, &ref, &found, &ignored, &err), &err);
    assert_false(found);
    OK(digest_parse(VIEW_LIT(LAYER), &layer, &err), &err);
    OK(registry_blob_head(f->client, &ref, &layer, &found, &size, &err), &err);
    assert_false(found);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        free(names[i]);
}

#define WITH_STORE(test)                                                                   \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
#define WITH_REGISTRY(test)                                                                \
    cmocka_unit_test_setup_teardown(test, setup_registry, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_pages_of_the_api_are_followed_and_filtered),
        WITH_STORE(test_lists_that_go_on_elsewhere_or_in_a_circle_are_refused),
        WITH_STORE(test_none_are_listed_where_there_is_neither_api_nor_tag),
        WITH_STORE(test_registry_that_fails_is_no_registry_without_referrers),
        WITH_STORE(test_tags_come_page_by_page),
        WITH_STORE(test_tags_that_are_none_are_not_passed_on),
        WITH_REGISTRY(test_fallback_tag_is_kept_where_the_api_is_missing),
        WITH_REGISTRY(test_manifest_without_subject_is_no_referrer),
        WITH_REGISTRY(test_pushed_referrer_is_listed),
        cmocka_unit_test(test_locations_are_read_and_written),
        WITH_REGISTRY(test_source_that_lies_leaves_nothing_in_the_target),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
