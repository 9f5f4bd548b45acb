/* Secrets in what steps print. */
#include "builder/mask.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void emit(void *context, const char *data, size_t size)
{
    buf_append(context, data, size);
}

/* Writes the text in pieces of `step` bytes. */
static void expect_in_pieces(const struct build_mask *m,
                             const char *text,
                             size_t step,
                             const char *want)
{
    struct buf out = BUF_INIT(65536);
    struct build_mask_stream *s = build_mask_stream_new(m, emit, &out);
    const size_t size = strlen(text);

    for (size_t i = 0; i < size; i += step)
        build_mask_stream_write(s, text + i, i + step < size ? step : size - i);
    build_mask_stream_end(s);
    assert_string_equal(buf_text(&out), want);
    buf_release(&out);
}

static void expect(const struct build_mask *m, const char *text, const char *want)
{
    for (size_t step = 1; step <= strlen(text) + 1; step++)
        expect_in_pieces(m, text, step, want);
}

static void test_a_secret_is_masked_however_it_arrives(void **state)
{
    struct build_mask *m = build_mask_new();

    (void)state;
    build_mask_add(m, view_of("hunter2"));
    expect(m, "the password is hunter2, really hunter2hunter2.\n",
           "the password is ***, really ******.\n");
    expect(m, "hunter", "hunter");
    expect(m, "hunterhunter2", "hunter***");
    expect(m, "nothing of it\n", "nothing of it\n");
    build_mask_free(m);
}

static void test_a_longer_secret_wins(void **state)
{
    struct build_mask *m = build_mask_new();

    (void)state;
    build_mask_add(m, view_of("abcd"));
    build_mask_add(m, view_of("abcdefgh"));
    expect(m, "-abcdefgh-abcdefg-abcd", "-***-***efg-***");
    build_mask_free(m);
}

static void test_white_space_around_a_value_does_not_hide_it(void **state)
{
    struct build_mask *m = build_mask_new();

    (void)state;
    build_mask_add(m, view_of("  s3cret-value\n"));
    expect(m, "s3cret-value", "***");
    build_mask_free(m);
}

static void test_each_long_line_of_a_value_counts(void **state)
{
    struct build_mask *m = build_mask_new();

    (void)state;
    build_mask_add(m, view_of("{\n  first-long-line\n  second-long-line\n}\n"));
    expect(m, "x first-long-line y {} z\n", "x *** y {} z\n");
    build_mask_free(m);
}

static void test_short_values_tear_no_words_apart(void **state)
{
    struct build_mask *m = build_mask_new();

    (void)state;
    build_mask_add(m, view_of("abc"));
    build_mask_add(m, view_of(""));
    expect(m, "abcabc", "abcabc");
    build_mask_free(m);
}

static void test_without_secrets_everything_passes(void **state)
{
    (void)state;
    expect(NULL, "anything\n", "anything\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_secret_is_masked_however_it_arrives),
        cmocka_unit_test(test_a_longer_secret_wins),
        cmocka_unit_test(test_white_space_around_a_value_does_not_hide_it),
        cmocka_unit_test(test_each_long_line_of_a_value_counts),
        cmocka_unit_test(test_short_values_tear_no_words_apart),
        cmocka_unit_test(test_without_secrets_everything_passes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
