/* What RUN's options mean: limits, resolvers, agents' messages, certificates. */
#include "builder/cgroup.h"
#include "builder/resolver.h"
#include "builder/resources.h"
#include "builder/ssh.h"
#include "builder/trust.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

static void test_ulimits_are_read_as_docker_reads_them(void **state)
{
    struct error err = ERROR_INIT;
    struct build_ulimit u;

    (void)state;
    assert_int_equal(build_ulimit_parse("nofile=100:200", &u, &err), 0);
    assert_int_equal(u.resource, RLIMIT_NOFILE);
    assert_int_equal(u.soft, 100);
    assert_int_equal(u.hard, 200);
    assert_int_equal(build_ulimit_parse("core=-1", &u, &err), 0);
    assert_true(u.soft == RLIM_INFINITY && u.hard == RLIM_INFINITY);
    assert_int_equal(build_ulimit_parse("stack=5:unlimited", &u, &err), 0);
    assert_true(u.soft == 5 && u.hard == RLIM_INFINITY);
}

static void test_wrong_ulimits_are_refused(void **state)
{
    static const char *const wrong[] = {
        "", "nofile", "nofile=", "nosuch=1", "nofile=2:1", "nofile=1:2:3", "nofile=-2"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct error err = ERROR_INIT;
        struct build_ulimit u;

        assert_int_equal(build_ulimit_parse(wrong[i], &u, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID);
        error_clear(&err);
    }
}

/* "file=value " of all settings of a controller. */
static void expect_settings(const struct build_resources *r,
                            enum build_cgroup_controller c,
                            int version,
                            const char *expected)
{
    struct build_cgroup_setting s[BUILD_CGROUP_SETTINGS_MAX];
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    const size_t count = build_cgroup_settings(r, c, version, s);

    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%s=%s ", s[i].file, s[i].text ? s[i].text : s[i].value);
    assert_string_equal(buf_text(&text), expected);
}

static void test_memory_in_both_versions(void **state)
{
    struct build_resources r = {.memory = 1000};

    (void)state;
    expect_settings(&r, BUILD_CGROUP_MEMORY, 1,
                    "memory.limit_in_bytes=1000 memory.memsw.limit_in_bytes=2000 ");
    expect_settings(&r, BUILD_CGROUP_MEMORY, 2, "memory.max=1000 memory.swap.max=1000 ");
    r.memory_swap = 1500;
    expect_settings(&r, BUILD_CGROUP_MEMORY, 2, "memory.max=1000 memory.swap.max=500 ");
    r.memory_swap = -1;
    expect_settings(&r, BUILD_CGROUP_MEMORY, 1,
                    "memory.limit_in_bytes=1000 memory.memsw.limit_in_bytes=-1 ");
    expect_settings(&r, BUILD_CGROUP_MEMORY, 2, "memory.max=1000 memory.swap.max=max ");
    expect_settings(&r, BUILD_CGROUP_PIDS, 2, "");
}

static void test_processors_in_both_versions(void **state)
{
    const struct build_resources r = {.cpu_shares = 1024, .cpu_quota_us = 50000};
    const struct build_resources sets = {.cpuset_cpus = "0-1", .cpuset_mems = "0"};
    const struct build_resources least = {.cpu_shares = 2};
    const struct build_resources most = {.cpu_shares = 262144};

    (void)state;
    expect_settings(&r, BUILD_CGROUP_CPU, 1,
                    "cpu.shares=1024 cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000 ");
    expect_settings(&r, BUILD_CGROUP_CPU, 2, "cpu.weight=39 cpu.max=50000 100000 ");
    expect_settings(&least, BUILD_CGROUP_CPU, 2, "cpu.weight=1 ");
    expect_settings(&most, BUILD_CGROUP_CPU, 2, "cpu.weight=10000 ");
    expect_settings(&sets, BUILD_CGROUP_CPUSET, 2, "cpuset.cpus=0-1 cpuset.mems=0 ");
}

static void test_groups_are_found_in_v1_v2_and_both(void **state)
{
    struct build_cgroup_places p;

    (void)state;
    /* A hybrid machine. */
    build_cgroup_places_read(
        VIEW_LIT(
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
            "35 31 0:32 / /sys/fs/cgroup/memory rw shared:5 - cgroup cgroup rw,memory\n"
            "36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
            "37 31 0:34 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"),
        VIEW_LIT("4:memory:/a/b\n3:cpu,cpuacct:/\n0::/c\n"), VIEW_LIT("pids hugetlb\n"),
        &p);
    assert_int_equal(p.of[BUILD_CGROUP_MEMORY].version, 1);
    assert_string_equal(p.of[BUILD_CGROUP_MEMORY].own, "/sys/fs/cgroup/memory/a/b");
    assert_string_equal(p.of[BUILD_CGROUP_CPU].own, "/sys/fs/cgroup/cpu,cpuacct");
    assert_int_equal(p.of[BUILD_CGROUP_PIDS].version, 2);
    assert_string_equal(p.of[BUILD_CGROUP_PIDS].own, "/sys/fs/cgroup/unified/c");
    assert_int_equal(p.of[BUILD_CGROUP_CPUSET].version, 0);
    build_cgroup_places_release(&p);
    /* v2, in a container that sees its own part of the tree. */
    build_cgroup_places_read(VIEW_LIT("30 23 0:26 /box /sys/fs/cgroup rw - cgroup2 c rw\n"),
                             VIEW_LIT("0::/box/in\n"), VIEW_LIT("cpu memory\n"), &p);
    assert_string_equal(p.of[BUILD_CGROUP_MEMORY].own, "/sys/fs/cgroup/in");
    assert_string_equal(p.of[BUILD_CGROUP_MEMORY].root, "/sys/fs/cgroup");
    build_cgroup_places_release(&p);
    /* A group outside of what is mounted cannot be used. */
    build_cgroup_places_read(VIEW_LIT("30 23 0:26 /box /sys/fs/cgroup rw - cgroup2 c rw\n"),
                             VIEW_LIT("0::/boxes\n"), VIEW_LIT("cpu memory\n"), &p);
    assert_int_equal(p.of[BUILD_CGROUP_MEMORY].version, 0);
    build_cgroup_places_release(&p);
}

static void test_parents_are_paths_or_slices(void **state)
{
    static const char *const pairs[][2] = {
        {"name", "/name"},
        {"/a/../b", "/b"},
        {"../../x", "/x"},
        {"user.slice", "/user.slice"},
        {"a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        char *path = build_cgroup_parent_path(pairs[i][0]);

        assert_string_equal(path, pairs[i][1]);
        free(path);
    }
}

static void test_resolvers_on_loopback_are_replaced_once(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    assert_true(
        build_resolver_translate(VIEW_LIT("# text\nnameserver 127.0.0.53\nnameserver ::1\n"
                                          "nameserver 9.9.9.9\nsearch a.test\n"),
                                 "169.254.1.1", &out));
    assert_string_equal(buf_text(&out), "# text\nnameserver 169.254.1.1\n"
                                        "nameserver 9.9.9.9\nsearch a.test\n");
}

/* Answers would come from the address that stands for another resolver. */
static void test_resolvers_that_others_reach_are_asked_themselves(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    assert_false(build_resolver_translate(
        VIEW_LIT("nameserver 9.9.9.9\nnameserver 127.0.0.1\n"), "169.254.1.1", &out));
    assert_string_equal(buf_text(&out), "nameserver 9.9.9.9\n");
}

static void test_gateway_is_that_of_the_default_route(void **state)
{
    char *found = build_resolver_gateway_of(
        VIEW_LIT("Iface\tDestination\tGateway \tFlags\n"
                 "eth0\t000200C0\t00000000\t0001\neth0\t00000000\t010200C0\t0003\n"));

    (void)state;
    assert_string_equal(found, "192.0.2.1");
    free(found);
    assert_null(build_resolver_gateway_of(VIEW_LIT("Iface\tDestination\tGateway\n")));
}

static void test_an_agent_is_asked_for_lists_and_signatures_only(void **state)
{
    unsigned allowed = 0;

    (void)state;
    for (unsigned type = 0; type < 256; type++)
        allowed += build_ssh_may_ask((uint8_t)type);
    assert_int_equal(allowed, 2);
    assert_true(build_ssh_may_ask(11) && build_ssh_may_ask(13));
}

static void test_certificates_without_keys(void **state)
{
    static const char cert[] =
        "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n";
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf both = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    assert_int_equal(build_trust_check(view_of(cert), &err), 0);
    assert_int_equal(build_trust_check(VIEW_LIT("text"), &err), -1);
    buf_printf(&both, "%s-----BEGIN RSA PRIVATE KEY-----\n", cert);
    assert_int_equal(build_trust_check(buf_view(&both), &err), -1);
    buf_clear(&both);
    build_trust_join(VIEW_LIT("a"), VIEW_LIT("b\n"), &both);
    assert_string_equal(buf_text(&both), "a\nb\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ulimits_are_read_as_docker_reads_them),
        cmocka_unit_test(test_wrong_ulimits_are_refused),
        cmocka_unit_test(test_memory_in_both_versions),
        cmocka_unit_test(test_processors_in_both_versions),
        cmocka_unit_test(test_groups_are_found_in_v1_v2_and_both),
        cmocka_unit_test(test_parents_are_paths_or_slices),
        cmocka_unit_test(test_resolvers_on_loopback_are_replaced_once),
        cmocka_unit_test(test_resolvers_that_others_reach_are_asked_themselves),
        cmocka_unit_test(test_gateway_is_that_of_the_default_route),
        cmocka_unit_test(test_an_agent_is_asked_for_lists_and_signatures_only),
        cmocka_unit_test(test_certificates_without_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
