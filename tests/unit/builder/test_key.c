/* For each part of a key: changing it changes the key; and what does not count. */
#include "builder/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct build_variant plain = {.epoch = -1};

static bool same_operation(const struct build_node *a, const struct build_node *b)
{
    const struct digest x = build_key_operation(a, &plain);
    const struct digest y = build_key_operation(b, &plain);

    return digest_eq(&x, &y);
}

static bool same_variant(const struct build_node *n,
                         const struct build_variant *a,
                         const struct build_variant *b)
{
    const struct digest x = build_key_operation(n, a);
    const struct digest y = build_key_operation(n, b);

    return digest_eq(&x, &y);
}

static char command[] = "make", other_command[] = "test", one[] = "A=1", two[] = "B=2",
            dir[] = "/d", user[] = "bob", proxy[] = "HTTP_PROXY=x", title[] = "RUN x";
static char *argv[] = {command}, *other_argv[] = {other_command}, *env[] = {one, two},
            *swapped[] = {two, one}, *proxies[] = {proxy};

#define RUN(...) ((struct build_node){.op = BUILD_OP_RUN, .run = {__VA_ARGS__}})
#define BASE_RUN .argv = argv, .argc = 1, .env = env, .env_count = 2

static void test_what_a_run_says_counts(void **state)
{
    struct build_mount mount = {.type = DOCKERFILE_MOUNT_CACHE, .target = dir, .id = dir};
    struct build_mount locked = mount;
    const struct build_node run = RUN(BASE_RUN);
    const struct build_node others[] = {
        RUN(.argv = other_argv, .argc = 1, .env = env, .env_count = 2),
        RUN(.argv = argv, .argc = 1, .env = env, .env_count = 1),
        RUN(BASE_RUN, .workdir = dir),
        RUN(BASE_RUN, .user = user),
        RUN(BASE_RUN, .script = command),
        RUN(BASE_RUN, .network = DOCKERFILE_NETWORK_NONE),
        RUN(BASE_RUN, .insecure = true),
        RUN(BASE_RUN, .mounts = &mount, .mount_count = 1),
        RUN(BASE_RUN, .mounts = &locked, .mount_count = 1),
    };

    (void)state;
    locked.sharing = DOCKERFILE_SHARING_LOCKED;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_false(same_operation(&run, &others[i]));
        for (size_t k = 0; k < i; k++)
            assert_false(same_operation(&others[k], &others[i]));
    }
}

static void test_order_of_variables_proxies_and_titles_do_not(void **state)
{
    const struct build_node run = RUN(BASE_RUN);
    struct build_node other = RUN(.argv = argv, .argc = 1, .env = swapped, .env_count = 2,
                                  .proxy_env = proxies, .proxy_env_count = 1);

    (void)state;
    other.title = title;
    other.pos.line = 7;
    other.index = 3;
    other.no_cache = true;
    assert_true(same_operation(&run, &other));
}

static void test_hosts_count_for_a_run_and_the_epoch_for_nothing(void **state)
{
    const struct build_pair host = {"a", "10.0.0.1"};
    const struct build_pair moved = {"a", "10.0.0.2"};
    const struct build_node run = RUN(BASE_RUN);
    const struct build_node copy = {.op = BUILD_OP_COPY, .copy = {.dest = dir}};
    const struct build_variant variants[] = {
        {.epoch = -1},
        {.epoch = -1, .hosts = &host, .host_count = 1},
        {.epoch = -1, .hosts = &moved, .host_count = 1},
    };
    const struct build_variant dated = {.epoch = 0};

    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(same_variant(&run, &variants[i], &variants[k]));
    /* Files that are copied do not see the hosts. */
    assert_true(same_variant(&copy, &variants[0], &variants[1]));
    /* A record has its variants. */
    assert_true(same_variant(&run, &variants[0], &dated));
}

static void test_what_a_copy_says_counts(void **state)
{
    struct build_copy_source from_a = {.from = BUILD_FROM_CONTEXT, .path = dir};
    struct build_copy_source from_b = {.from = BUILD_FROM_CONTEXT, .path = command};
    struct build_copy_source node = {.from = BUILD_FROM_NODE, .path = dir};
    struct build_copy_source unpacked = {
        .from = BUILD_FROM_CONTEXT, .path = dir, .unpack = true};
    struct build_copy_source text = {
        .from = BUILD_FROM_TEXT, .path = dir, .text = VIEW_LIT("x")};
    struct build_copy_source text2 = {
        .from = BUILD_FROM_TEXT, .path = dir, .text = VIEW_LIT("y")};
    struct view exclude = VIEW_LIT("*.o");
#define COPY(source_, ...)                                                                 \
    {                                                                                      \
        .op = BUILD_OP_COPY, .copy = {                                                     \
            .sources = &(source_),                                                         \
            .source_count = 1,                                                             \
            __VA_ARGS__                                                                    \
        }                                                                                  \
    }
    const struct build_node copies[] = {
        COPY(from_a, .dest = dir),
        COPY(from_b, .dest = dir),
        COPY(node, .dest = dir),
        COPY(unpacked, .dest = dir),
        COPY(text, .dest = dir),
        COPY(text2, .dest = dir),
        COPY(from_a, .dest = command),
        COPY(from_a, .dest = dir, .chown = user),
        COPY(from_a, .dest = dir, .chmod = user),
        COPY(from_a, .dest = dir, .link = true),
        COPY(from_a, .dest = dir, .excludes = &exclude, .exclude_count = 1),
        {.op = BUILD_OP_MKDIR, .mkdir = {.path = dir}},
        {.op = BUILD_OP_MKDIR, .mkdir = {.path = dir, .user = user}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(same_operation(&copies[i], &copies[k]));
}

static struct digest entries_key(const struct cas_entry *e, size_t count)
{
    return build_key_entries(e, count);
}

static void test_entries_count_without_their_times(void **state)
{
    const struct cas_xattr xattr = {VIEW_LIT("user.a"), VIEW_LIT("1")};
    const struct cas_entry e = {
        .path = VIEW_LIT("f"), .type = CAS_ENTRY_FILE, .mode = 0644, .mtime_s = 1};
    const struct digest key = entries_key(&e, 1);
    struct cas_entry changed[9];
    struct digest other;

    (void)state;
    for (size_t i = 0; i < 9; i++)
        changed[i] = e;
    changed[0].path = VIEW_LIT("g");
    changed[1].type = CAS_ENTRY_FIFO;
    changed[2].mode = 0600;
    changed[3].uid = 1;
    changed[4].gid = 1;
    changed[5].size = 1;
    changed[6].target = VIEW_LIT("t");
    changed[7].xattrs = &xattr;
    changed[7].xattr_count = 1;
    changed[8].content = digest_of(DIGEST_SHA256, VIEW_LIT("x"));
    for (size_t i = 0; i < 9; i++) {
        other = entries_key(&changed[i], 1);
        assert_false(digest_eq(&key, &other));
    }
    changed[0] = e;
    changed[0].mtime_s = 2;
    changed[0].mtime_ns = 3;
    other = entries_key(&changed[0], 1);
    assert_true(digest_eq(&key, &other));
    other = entries_key(&e, 0);
    assert_false(digest_eq(&key, &other));
}

static void test_kinds_of_keys_and_orders_of_inputs_differ(void **state)
{
    const struct digest a = digest_of(DIGEST_SHA256, VIEW_LIT("a"));
    const struct digest b = digest_of(DIGEST_SHA256, VIEW_LIT("b"));
    const struct digest ab[] = {a, b};
    const struct digest ba[] = {b, a};
    const struct digest keys[] = {
        build_key_definition(&a, ab, 2, NULL),
        build_key_definition(&a, ba, 2, NULL),
        build_key_definition(&a, ab, 1, NULL),
        build_key_definition(&a, ab, 1, &b),
        build_key_definition(&b, ab, 2, NULL),
        build_key_content(&a, ab, 2, NULL),
        build_key_result(&a, &a),
        build_key_inputs(ab, 2),
        build_key_inputs(ba, 2),
    };

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(digest_eq(&keys[i], &keys[k]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_run_says_counts),
        cmocka_unit_test(test_order_of_variables_proxies_and_titles_do_not),
        cmocka_unit_test(test_hosts_count_for_a_run_and_the_epoch_for_nothing),
        cmocka_unit_test(test_what_a_copy_says_counts),
        cmocka_unit_test(test_entries_count_without_their_times),
        cmocka_unit_test(test_kinds_of_keys_and_orders_of_inputs_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
