/* A large blob in parts, from registries that can and those that cannot. */
#include "fixture.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cas/arrival.h"
#include "cas/blob.h"
#include "registry/pull.h"
#include "registry/range.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PART     ((size_t)64 << 10)
#define SIZE     (20 * PART + 12345)
#define PATIENCE 60 /* seconds that nobody waits, unless something is wrong */

enum way {
    WAY_RIGHT,
    WAY_NO_RANGES,   /* every answer is the whole */
    WAY_RANGES_END,  /* the first part is one, and then every answer is the whole */
    WAY_OTHER_PLACE, /* parts after the first begin a byte late */
    WAY_OTHER_TOTAL, /* parts are of something longer */
    WAY_SHORT,       /* parts after the first have half of their bytes */
    WAY_LONG,        /* parts after the first have a byte more than they say */
    WAY_OTHER_ETAG,  /* each part is of another version */
    WAY_BUSY,        /* 429 to every part after the first */
    WAY_FORBIDDEN,   /* 403 to every part, the first included */
    WAY_BREAKS,      /* every second answer breaks off in the middle */
    WAY_WRONG,       /* the bytes are others */
    WAY_206_UNASKED, /* 206 to a request without Range */
};

struct server {
    struct MHD_Daemon *daemon;
    enum way way;
    const char *body;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    unsigned requests;
    unsigned ranged;
    unsigned whole;    /* answers with the whole */
    unsigned together; /* parts that wait for others; 0: none needs to */
    unsigned waiting;  /* parts that arrived while `together` is not reached */
    bool gate;         /* the last part waits for this to be open */
    bool is_gate_open;
    bool timed_out;
};

/* Waits until *flag or the count is reached. The caller holds the lock. */
static void wait_until(struct server *s, bool (*is_so)(const struct server *s))
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE;
    while (!is_so(s) && !s->timed_out)
        s->timed_out = pthread_cond_timedwait(&s->moved, &s->lock, &until) != 0;
}

static bool all_are_there(const struct server *s)
{
    return s->waiting >= s->together;
}

static bool is_open(const struct server *s)
{
    return s->is_gate_open;
}

struct part {
    const char *at;
    uint64_t size;
    uint64_t stop; /* breaks off there */
};

static ssize_t read_part(void *context, uint64_t at, char *out, size_t max)
{
    const struct part *p = context;
    uint64_t n = p->stop - at;

    if (n == 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n > max)
        n = max;
    memcpy(out, p->at + at, (size_t)n);
    return (ssize_t)n;
}

static struct MHD_Response *make(const char *at, uint64_t size, uint64_t stop)
{
    struct part *p = malloc(sizeof *p);

    *p = (struct part){at, size, stop};
    return MHD_create_response_from_callback(size, 4096, read_part, p, free);
}

static void add(struct MHD_Response *response, const char *name, char *consumed)
{
    (void)MHD_add_response_header(response, name, consumed);
    free(consumed);
}

static struct MHD_Response *answer_part(struct server *s,
                                        uint64_t first,
                                        uint64_t end,
                                        unsigned number)
{
    const bool later = first > 0;
    const uint64_t shift = later && s->way == WAY_OTHER_PLACE;
    uint64_t size = end - first;
    uint64_t stop;

    if (later && s->way == WAY_SHORT)
        size /= 2;
    if (later && s->way == WAY_LONG && end < SIZE)
        size++;
    stop = s->way == WAY_BREAKS && number % 2 ? size / 2 : size;
    struct MHD_Response *response = make(s->body + first, size, stop);
    add(response, "Content-Range",
        base_format("bytes %ju-%ju/%ju", (uintmax_t)(first + shift), (uintmax_t)(end - 1),
                    (uintmax_t)(SIZE + (s->way == WAY_OTHER_TOTAL))));
    add(response, "ETag", base_format("\"%u\"", s->way == WAY_OTHER_ETAG ? number : 1));
    return response;
}

/* Counts, and holds back what is to wait; the request's number. */
static unsigned arrive(struct server *s, bool is_part, uint64_t end)
{
    pthread_mutex_lock(&s->lock);
    const unsigned number = s->requests++;
    s->ranged += is_part;
    if (is_part && end > PART && s->together > 0) {
        s->waiting++;
        pthread_cond_broadcast(&s->moved);
        wait_until(s, all_are_there);
    }
    if (s->gate && end == SIZE)
        wait_until(s, is_open);
    pthread_mutex_unlock(&s->lock);
    return number;
}

static enum MHD_Result queue(struct MHD_Connection *connection,
                             unsigned status,
                             struct MHD_Response *response)
{
    const enum MHD_Result rc = MHD_queue_response(connection, status, response);

    MHD_destroy_response(response);
    return rc;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    (void)MHD_add_response_header(response, "Retry-After", "0");
    return queue(connection, status, response);
}

static enum MHD_Result on_request(void *context,
                                  struct MHD_Connection *connection,
                                  const char *path,
                                  const char *method,
                                  const char *version,
                                  const char *upload,
                                  size_t *upload_size,
                                  void **state)
{
    struct server *s = context;
    const char *range = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Range");
    struct view bytes, from = {"0", 1}, to = {"", 0};
    uint64_t first = 0, end = SIZE;

    (void)path, (void)method, (void)version, (void)upload, (void)upload_size, (void)state;
    if (range) {
        assert_true(view_cut(view_of(range), '=', &bytes, &from));
        (void)view_cut(from, '-', &from, &to);
        assert_true(view_to_u64(from, &first));
        if (to.size > 0) {
            assert_true(view_to_u64(to, &end));
            end++;
        }
    }
    const unsigned number = arrive(s, range != NULL, end);
    if (s->way == WAY_FORBIDDEN && range)
        return refuse(connection, 403);
    if (s->way == WAY_BUSY && range && first > 0 && end < SIZE)
        return refuse(connection, 429);
    if (s->way == WAY_NO_RANGES || (s->way == WAY_RANGES_END && first > 0) ||
        (!range && s->way != WAY_206_UNASKED)) {
        pthread_mutex_lock(&s->lock);
        s->whole++;
        pthread_mutex_unlock(&s->lock);
        return queue(connection, 200, make(s->body, SIZE, SIZE));
    }
    return queue(connection, 206, answer_part(s, first, end, number));
}

/* ---- A blob, and who fetches it ---- */

static char *make_body(void)
{
    char *body = base_alloc(SIZE + 1);
    uint32_t x = 12345;

    for (size_t i = 0; i < SIZE; i++) {
        x = x * 1664525 + 1013904223;
        body[i] = (char)(x >> 24);
    }
    return body;
}

struct test {
    struct server server;
    char *body;
    struct descriptor desc;
    struct registry_client *client;
    struct registry_reference reference;
};

static void begin(struct test *t, enum way way)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct registry_client_options options = {.part_size = PART, .backoff_ms = 1};

    t->body = make_body();
    const struct digest digest = digest_of(DIGEST_SHA256, (struct view){t->body, SIZE});
    descriptor_init(&t->desc, MEDIA_OCI_LAYER, &digest, SIZE);
    if (way == WAY_WRONG)
        t->body[SIZE / 2] ^= 1;
    t->server.way = way;
    t->server.body = t->body;
    pthread_mutex_init(&t->server.lock, NULL);
    pthread_cond_init(&t->server.moved, NULL);
    t->server.daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL,
        on_request, &t->server, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    assert_non_null(t->server.daemon);
    t->client = registry_client_new(&options);
    CLEANUP(base_freep)
    char *name =
        base_format("127.0.0.1:%d/a",
                    MHD_get_daemon_info(t->server.daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    t->reference = parse_reference(name);
}

static int fetch(struct test *t, struct fixture *f, struct cas_arrival *arrival)
{
    return registry_fetch_followed(t->client, f->store, &t->reference, &t->desc, arrival,
                                   NULL, &f->err);
}

static void finish(struct test *t)
{
    registry_client_freep(&t->client);
    MHD_stop_daemon(t->server.daemon);
    assert_false(t->server.timed_out);
    pthread_mutex_destroy(&t->server.lock);
    pthread_cond_destroy(&t->server.moved);
    registry_reference_release(&t->reference);
    descriptor_release(&t->desc);
    free(t->body);
}

static void expect_stored(struct fixture *f, const struct test *t)
{
    CLEANUP(buf_release) struct buf got = BUF_INIT(2 * SIZE);

    OK(cas_blob_read(f->store, &t->desc.digest, &got, &f->err), &f->err);
    assert_int_equal(got.size, SIZE);
    assert_memory_equal(got.data, t->body, SIZE);
    assert_int_equal(count_blobs(f->store), 1);
}

/* ---- Content-Range ---- */

static void test_content_ranges(void **state)
{
    static const char *const wrong[] = {
        "",           "bytes",        "bytes 1-0/5", "bytes 0-5/5",
        "bytes */5",  "bytes 0-1",    "lines 0-1/5", "bytes 0-18446744073709551615/*",
        "bytes -1/5", "bytes 0--1/5", "bytes 0-1/x",
    };
    struct registry_range r;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_false(registry_range_parse(view_of(wrong[i]), &r));
    assert_true(registry_range_parse(view_of("Bytes 3-4/5"), &r));
    assert_int_equal(r.first, 3);
    assert_int_equal(r.end, 5);
    assert_true(r.has_total && r.total == 5);
    assert_true(registry_range_parse(view_of("bytes 0-0/*"), &r));
    assert_false(r.has_total);
}

/* ---- What works ---- */

static void test_parts_come_at_once(void **state)
{
    struct fixture *f = *state;
    struct test t = {.server.together = 4};

    begin(&t, WAY_RIGHT);
    OK(fetch(&t, f, NULL), &f->err);
    expect_stored(f, &t);
    /* The small first one, and the rest in parts. */
    assert_int_equal(t.server.requests, 1 + 21);
    assert_int_equal(t.server.whole, 0);
    finish(&t);
}

static void test_one_connection_means_one_stream(void **state)
{
    const struct registry_client_options options = {.part_size = PART, .parallel = 1};
    struct fixture *f = *state;
    struct test t = {0};

    begin(&t, WAY_RIGHT);
    registry_client_free(t.client);
    t.client = registry_client_new(&options);
    OK(fetch(&t, f, NULL), &f->err);
    expect_stored(f, &t);
    assert_int_equal(t.server.requests, 1);
    assert_int_equal(t.server.ranged, 0);
    finish(&t);
}

static void test_small_blobs_are_one_stream(void **state)
{
    const struct registry_client_options options = {.part_size = 4 * PART};
    struct fixture *f = *state;
    struct test t = {0};

    begin(&t, WAY_RIGHT);
    registry_client_free(t.client);
    t.client = registry_client_new(&options);
    OK(fetch(&t, f, NULL), &f->err);
    expect_stored(f, &t);
    assert_int_equal(t.server.requests, 1);
    finish(&t);
}

static void test_parts_that_break_off_are_resumed(void **state)
{
    struct fixture *f = *state;
    struct test t = {0};

    begin(&t, WAY_BREAKS);
    OK(fetch(&t, f, NULL), &f->err);
    expect_stored(f, &t);
    assert_int_equal(t.server.whole, 0);
    assert_true(t.server.requests > 1 + 21);
    finish(&t);
}

/* ---- Registries that cannot, or do it wrong: one stream ---- */

static void expect_one_stream(struct fixture *f, enum way way, unsigned whole)
{
    struct test t = {0};

    begin(&t, way);
    OK(fetch(&t, f, NULL), &f->err);
    expect_stored(f, &t);
    assert_int_equal(t.server.whole, whole);
    finish(&t);
}

static void test_no_ranges(void **state)
{
    struct fixture *f = *state;
    struct test t = {0};

    begin(&t, WAY_NO_RANGES);
    OK(fetch(&t, f, NULL), &f->err);
    expect_stored(f, &t);
    /* The answer to the first request is all that is needed. */
    assert_int_equal(t.server.requests, 1);
    finish(&t);
}

static void test_ranges_that_end(void **state)
{
    struct fixture *f = *state;
    struct test t = {0};

    begin(&t, WAY_RANGES_END);
    OK(fetch(&t, f, NULL), &f->err);
    expect_stored(f, &t);
    finish(&t);
}

static void test_parts_of_another_place(void **state)
{
    expect_one_stream(*state, WAY_OTHER_PLACE, 1);
}

static void test_parts_of_another_size(void **state)
{
    expect_one_stream(*state, WAY_OTHER_TOTAL, 1);
}

static void test_parts_that_are_too_short(void **state)
{
    expect_one_stream(*state, WAY_SHORT, 1);
}

static void test_parts_that_are_too_long(void **state)
{
    expect_one_stream(*state, WAY_LONG, 1);
}

static void test_parts_of_other_versions(void **state)
{
    expect_one_stream(*state, WAY_OTHER_ETAG, 1);
}

static void test_parts_that_are_forbidden(void **state)
{
    expect_one_stream(*state, WAY_FORBIDDEN, 1);
}

/* What has come already is kept. */
static void test_too_many_at_once(void **state)
{
    struct fixture *f = *state;
    struct test t = {0};

    begin(&t, WAY_BUSY);
    OK(fetch(&t, f, NULL), &f->err);
    expect_stored(f, &t);
    assert_int_equal(t.server.whole, 0);
    finish(&t);
}

static void test_206_that_nobody_asked_for(void **state)
{
    const struct registry_client_options options = {.parallel = 1};
    struct fixture *f = *state;
    struct test t = {0};

    begin(&t, WAY_206_UNASKED);
    registry_client_free(t.client);
    t.client = registry_client_new(&options);
    OK(fetch(&t, f, NULL), &f->err);
    expect_stored(f, &t);
    finish(&t);
}

static void test_wrong_bytes_are_not_stored(void **state)
{
    struct fixture *f = *state;
    struct test t = {0};

    begin(&t, WAY_WRONG);
    assert_int_equal(fetch(&t, f, NULL), -1);
    assert_true(error_is(&f->err, ERROR_CORRUPT));
    assert_int_equal(count_blobs(f->store), 0);
    finish(&t);
}

/* ---- Reading beside it ---- */

struct reader {
    struct cas_arrival *arrival;
    struct server *server;
    uint64_t size;
    struct hasher *hasher;
};

/* The last part is not sent before the first ones were read. */
static void *read_all(void *context)
{
    struct reader *r = context;
    struct error err = ERROR_INIT;
    char piece[4096];
    size_t got = 1;

    while (got > 0 && cas_arrival_read(r->arrival, piece, sizeof piece, &got, &err) == 0) {
        hasher_update(r->hasher, piece, got);
        r->size += got;
        if (r->size >= 2 * PART) {
            pthread_mutex_lock(&r->server->lock);
            r->server->is_gate_open = true;
            pthread_cond_broadcast(&r->server->moved);
            pthread_mutex_unlock(&r->server->lock);
        }
    }
    error_clear(&err);
    return NULL;
}

static void test_what_came_is_read_before_the_rest_is_there(void **state)
{
    struct fixture *f = *state;
    struct test t = {.server.gate = true};
    struct reader r = {.server = &t.server, .hasher = hasher_new(DIGEST_SHA256)};
    pthread_t thread;
    struct digest got;

    begin(&t, WAY_RIGHT);
    r.arrival = cas_arrival_new(f->store, &t.desc.digest);
    assert_int_equal(pthread_create(&thread, NULL, read_all, &r), 0);
    const int rc = fetch(&t, f, r.arrival);
    cas_arrival_end(r.arrival, rc == 0);
    OK(rc, &f->err);
    pthread_join(thread, NULL);
    hasher_final(r.hasher, &got);
    assert_int_equal(r.size, SIZE);
    assert_true(digest_eq(&got, &t.desc.digest));
    cas_arrival_free(r.arrival);
    hasher_free(r.hasher);
    finish(&t);
}

/* Nobody waits for parts that are held back. */
static void test_a_reader_who_wants_no_more_ends_it(void **state)
{
    struct fixture *f = *state;
    struct test t = {0};

    begin(&t, WAY_RIGHT);
    struct cas_arrival *arrival = cas_arrival_new(f->store, &t.desc.digest);
    cas_arrival_leave(arrival, true);
    assert_int_equal(fetch(&t, f, arrival), -1);
    assert_true(error_is(&f->err, ERROR_CANCELLED));
    assert_int_equal(count_blobs(f->store), 0);
    cas_arrival_free(arrival);
    finish(&t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_ranges),
        TEST(test_parts_come_at_once),
        TEST(test_one_connection_means_one_stream),
        TEST(test_small_blobs_are_one_stream),
        TEST(test_parts_that_break_off_are_resumed),
        TEST(test_no_ranges),
        TEST(test_ranges_that_end),
        TEST(test_parts_of_another_place),
        TEST(test_parts_of_another_size),
        TEST(test_parts_that_are_too_short),
        TEST(test_parts_that_are_too_long),
        TEST(test_parts_of_other_versions),
        TEST(test_parts_that_are_forbidden),
        TEST(test_too_many_at_once),
        TEST(test_206_that_nobody_asked_for),
        TEST(test_wrong_bytes_are_not_stored),
        TEST(test_what_came_is_read_before_the_rest_is_there),
        TEST(test_a_reader_who_wants_no_more_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
