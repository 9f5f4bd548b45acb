/* Texts of strangers in pages. */
#include "base/limits.h"
#include "registry/serve/html.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void becomes(struct view text, const char *want)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    html_text(&out, text);
    assert_string_equal(buf_text(&out), want);
}

static void test_what_means_something_in_html_is_escaped(void **state)
{
    (void)state;
    becomes(view_of(""), "");
    becomes(view_of("plain text\n\tand more"), "plain text\n\tand more");
    becomes(view_of("<a href=\"x\">'&amp;"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;amp;");
    becomes(view_of("\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80"),
            "\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80");
}

#define BAD "\xef\xbf\xbd"

static void test_what_is_no_text_is_replaced(void **state)
{
    (void)state;
    becomes(VIEW_LIT("a\0b"), "a" BAD "b");
    becomes(view_of("\x1b[31m\x7f"), BAD "[31m" BAD);
    becomes(view_of("\xc2\x9b"), BAD);                     /* a C1 control */
    becomes(view_of("\xc0\xbc"), BAD BAD);                 /* overlong "<" */
    becomes(view_of("\xe0\x80\xbc"), BAD BAD BAD);         /* likewise */
    becomes(view_of("\xed\xa0\x80"), BAD BAD BAD);         /* a surrogate */
    becomes(view_of("\xf4\x90\x80\x80"), BAD BAD BAD BAD); /* past Unicode */
    becomes(view_of("\xe4\xb8"), BAD BAD);                 /* cut off */
    becomes(view_of("\xe4<"), BAD "&lt;");                 /* nothing is swallowed */
}

static void test_marks_that_turn_text_are_written_out(void **state)
{
    (void)state;
    becomes(view_of("a\xe2\x80\xae"
                    "b"),
            "a\\u{202e}b");
    becomes(view_of("\xe2\x81\xa6\xd8\x9c\xe2\x80\x8f"), "\\u{2066}\\u{61c}\\u{200f}");
}

static void test_long_texts_end_in_an_ellipsis(void **state)
{
    CLEANUP(buf_release) struct buf long_text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    for (size_t i = 0; i < SERVE_HTML_TEXT_MAX; i++)
        buf_append_char(&long_text, 'x');
    html_text(&out, buf_view(&long_text));
    assert_int_equal(out.size, SERVE_HTML_TEXT_MAX);
    buf_append_text(&long_text, "yy");
    buf_clear(&out);
    html_text(&out, buf_view(&long_text));
    assert_int_equal(out.size, SERVE_HTML_TEXT_MAX + 3);
    assert_string_equal(out.data + SERVE_HTML_TEXT_MAX, "\xe2\x80\xa6");
}

static void test_markup_takes_texts_and_nothing_else(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    html_put(&out, "<p title=\"%s\">%s</p>", "%s\"", "<%s>");
    assert_string_equal(buf_text(&out), "<p title=\"%s&quot;\">&lt;%s&gt;</p>");
}

static void test_values(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);
    const struct digest d = digest_of(DIGEST_SHA256, view_of(""));
    const struct digest none = {.alg = DIGEST_NONE};

    (void)state;
    html_size(&out, 0);
    html_size(&out, 999999);
    html_size(&out, UINT64_MAX);
    assert_non_null(strstr(buf_text(&out), ">0 B<"));
    assert_non_null(strstr(buf_text(&out), "\"999999 bytes\">1 MB<"));
    assert_non_null(strstr(buf_text(&out), ">18.4 EB<"));
    buf_clear(&out);
    html_time(&out, 1700000000);
    html_time(&out, INT64_MAX); /* no such year */
    assert_non_null(strstr(buf_text(&out), "2023-11-14 22:13:20 UTC"));
    buf_clear(&out);
    html_digest(&out, &d);
    assert_non_null(strstr(buf_text(&out), ">e3b0c44298fc<"));
    html_digest(&out, &none);
    assert_true(view_ends(buf_view(&out), "-"));
    buf_clear(&out);
    html_link(&out, "a/b", "x&y\"", NULL);
    assert_string_equal(buf_text(&out), "<a href=\"/?repository=a%2Fb&amp;tag=x%26y%22\">");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_means_something_in_html_is_escaped),
        cmocka_unit_test(test_what_is_no_text_is_replaced),
        cmocka_unit_test(test_marks_that_turn_text_are_written_out),
        cmocka_unit_test(test_long_texts_end_in_an_ellipsis),
        cmocka_unit_test(test_markup_takes_texts_and_nothing_else),
        cmocka_unit_test(test_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
