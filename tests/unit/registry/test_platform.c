#include "fixture.h"

#include "registry/platform.h"

#include <string.h>

static struct registry_platform parse(const char *text)
{
    struct registry_platform p = {0};
    struct error err = ERROR_INIT;

    OK(registry_platform_parse(view_of(text), &p, &err), &err);
    return p;
}

static void test_platforms_are_normalised_as_containerd_does(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"linux/amd64", "linux/amd64"},       {"linux/x86_64", "linux/amd64"},
        {"Linux/AMD64", "linux/amd64"},       {"linux/amd64/v1", "linux/amd64"},
        {"linux/amd64/v3", "linux/amd64/v3"}, {"linux/aarch64", "linux/arm64"},
        {"linux/arm64/v8", "linux/arm64"},    {"linux/arm64/8", "linux/arm64"},
        {"linux/arm64/v9", "linux/arm64/v9"}, {"linux/arm", "linux/arm/v7"},
        {"linux/arm/6", "linux/arm/v6"},      {"linux/armhf", "linux/arm/v7"},
        {"linux/armel", "linux/arm/v6"},      {"linux/i386", "linux/386"},
        {"macos/arm64", "darwin/arm64"},      {"windows/amd64", "windows/amd64"},
        {"linux/riscv64", "linux/riscv64"},   {"linux/s390x", "linux/s390x"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct registry_platform p = parse(cases[i].text);

        assert_string_equal(registry_platform_format(&p).text, cases[i].want);
    }
}

static void test_one_word_is_an_os_or_an_architecture_of_this_machine(void **state)
{
    const struct registry_platform host = registry_platform_host();
    const struct registry_platform os = parse("linux"), architecture = parse("s390x");

    (void)state;
    assert_string_equal(registry_platform_format(&os).text,
                        registry_platform_format(&host).text);
    assert_string_equal(registry_platform_format(&architecture).text, "linux/s390x");
}

static void test_malformed_platforms_are_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "/",
        "linux/",
        "/amd64",
        "linux//v7",
        "linux/arm/v7/x",
        "linux/am d64",
        "linux/\x1b[31m",
        "linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct registry_platform p;
        struct error err = ERROR_INIT;

        assert_int_equal(registry_platform_parse(view_of(cases[i]), &p, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID);
        error_clear(&err);
    }
}

static int rank(const char *want, const char *have)
{
    const struct registry_platform w = parse(want), h = parse(have);

    return registry_platform_rank(&w, &h);
}

static void test_machines_run_smaller_variants_but_prefer_their_own(void **state)
{
    (void)state;
    assert_int_equal(rank("linux/amd64", "linux/amd64"), 0);
    assert_int_equal(rank("linux/arm/v7", "linux/arm/v7"), 0);
    assert_true(rank("linux/arm/v7", "linux/arm/v6") > 0);
    assert_true(rank("linux/arm/v7", "linux/arm/v5") >
                rank("linux/arm/v7", "linux/arm/v6"));
    assert_true(rank("linux/arm64", "linux/arm/v7") > 0);
    assert_true(rank("linux/arm64", "linux/arm/v8") < rank("linux/arm64", "linux/arm/v7"));
    assert_true(rank("linux/amd64", "linux/386") > 0);
    assert_true(rank("linux/amd64/v3", "linux/amd64/v2") <
                rank("linux/amd64/v3", "linux/amd64"));
    assert_true(rank("linux/amd64/v3", "linux/amd64") <
                rank("linux/amd64/v3", "linux/386"));
    assert_true(rank("linux/arm64/v9", "linux/arm64") > 0);
    assert_true(rank("linux/arm64/v9", "linux/arm64/v8.5") <
                rank("linux/arm64/v9", "linux/arm64"));
    assert_true(rank("linux/arm64/v8.3", "linux/arm64/v8.2") > 0);
}

static void test_what_does_not_run_has_no_rank(void **state)
{
    (void)state;
    assert_true(rank("linux/amd64", "linux/arm64") < 0);
    assert_true(rank("linux/386", "linux/amd64") < 0);
    assert_true(rank("linux/amd64", "windows/amd64") < 0);
    assert_true(rank("linux/amd64", "linux/amd64/v2") < 0);
    assert_true(rank("linux/arm/v6", "linux/arm/v7") < 0);
    assert_true(rank("linux/arm/v7", "linux/arm64") < 0);
    assert_true(rank("linux/arm64", "linux/arm64/v9") < 0);
    assert_true(rank("linux/arm64/v9", "linux/arm64/v8.6") < 0);
    assert_true(rank("linux/s390x", "linux/ppc64le") < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_platforms_are_normalised_as_containerd_does),
        cmocka_unit_test(test_one_word_is_an_os_or_an_architecture_of_this_machine),
        cmocka_unit_test(test_malformed_platforms_are_refused),
        cmocka_unit_test(test_machines_run_smaller_variants_but_prefer_their_own),
        cmocka_unit_test(test_what_does_not_run_has_no_rank),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
