#include "release/claim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LOW  "1111111111111111"
#define HIGH "eeeeeeeeeeeeeeee"

/* The claims to 1.4.2 in a list of tags that ends with NULL. */
static struct release_claims claims(const char *const *tags)
{
    CLEANUP(release_names_release) struct release_names names = {0};
    CLEANUP(release_version_release) struct release_version v = {0};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct release_claims out = {0};

    for (; *tags; tags++)
        release_names_add(&names, *tags);
    assert_int_equal(release_version_parse(RELEASE_SEMVER, VIEW_LIT("1.4.2"), &v, &err), 0);
    release_claims_read(&v, &names, &out);
    return out;
}

static const char *winner(const char *const *tags)
{
    CLEANUP(release_claims_release) struct release_claims c = claims(tags);
    const struct release_claim *const first = release_claims_winner(&c);

    return !first ? "none" : strcmp(first->digest, LOW) == 0 ? "low" : "high";
}

static bool is_decided(const char *const *tags)
{
    CLEANUP(release_claims_release) struct release_claims c = claims(tags);

    return release_claims_undecided(&c) == NULL;
}

#define TAGS(...)    ((const char *const[]){__VA_ARGS__, NULL})
#define LOW_(level)  "cooper-claim-1.4.2." LOW ".00000001." level
#define HIGH_(level) "cooper-claim-1.4.2." HIGH ".00000002." level

static void test_of_upheld_claims_the_lowest_digest_wins(void **state)
{
    (void)state;
    assert_string_equal(winner(TAGS("latest")), "none");
    assert_string_equal(winner(TAGS(HIGH_("1"), LOW_("1"))), "none");
    assert_string_equal(winner(TAGS(HIGH_("1"), HIGH_("2"), LOW_("1"))), "high");
    assert_string_equal(winner(TAGS(HIGH_("2"), LOW_("2"), LOW_("1"))), "low");
    assert_string_equal(winner(TAGS(HIGH_("2"), LOW_("1"), LOW_("0"))), "high");
}

static void test_an_undecided_claim_is_waited_for_only_if_it_could_win(void **state)
{
    (void)state;
    assert_true(is_decided(TAGS(HIGH_("1"), HIGH_("2"))));
    assert_false(is_decided(TAGS(HIGH_("1"))));
    assert_false(is_decided(TAGS(HIGH_("2"), LOW_("1"))));
    assert_true(is_decided(TAGS(HIGH_("2"), LOW_("1"), LOW_("0"))));
    assert_true(is_decided(TAGS(HIGH_("1"), LOW_("2"))));
    /* Another run for the same digest. */
    assert_true(is_decided(TAGS(LOW_("2"), "cooper-claim-1.4.2." LOW ".00000000.1")));
}

static void test_only_claims_to_the_version_count(void **state)
{
    CLEANUP(release_claims_release)
    struct release_claims c = claims(TAGS("cooper-claim-1.4.20." LOW ".00000001.2",
                                          "cooper-claim-1.4.2-rc." LOW ".00000001.2",
                                          "cooper-claim-1.4.2." LOW ".0000001.2",
                                          "cooper-claim-1.4.2." LOW ".00000001.3",
                                          "cooper-claim-1.4.2.", "1.4.2", LOW_("1")));

    (void)state;
    assert_int_equal(c.count, 1);
    assert_int_equal(c.items[0].level, RELEASE_CLAIM_RAISED);
}

static void test_the_tag_of_a_claim_is_read_back(void **state)
{
    CLEANUP(release_version_release) struct release_version v = {0};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(release_claims_release) struct release_claims c = claims(TAGS(HIGH_("2")));

    (void)state;
    assert_int_equal(release_version_parse(RELEASE_SEMVER, VIEW_LIT("1.4.2"), &v, &err), 0);
    char *tag = release_claim_tag(&v, &c.items[0], RELEASE_CLAIM_UPHELD);
    assert_string_equal(tag, HIGH_("2"));
    free(tag);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_upheld_claims_the_lowest_digest_wins),
        cmocka_unit_test(test_an_undecided_claim_is_waited_for_only_if_it_could_win),
        cmocka_unit_test(test_only_claims_to_the_version_count),
        cmocka_unit_test(test_the_tag_of_a_claim_is_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
