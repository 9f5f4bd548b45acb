#include "base/buf.h"
#include "base/limits.h"
#include "parser/dockerfile.h"
#include "parser/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *text, const char *want)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf got = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(view_of(text), "Dockerfile", NULL, &err);

    if (!file)
        fail_msg("%s", error_text(&err));
    dockerfile_format(file, &got);
    if (strcmp(buf_text(&got), want) != 0)
        fail_msg("--- of\n%s--- got\n%s--- wanted\n%s", text, buf_text(&got), want);
}

static void test_layout_becomes_canonical(void **state)
{
    (void)state;
    check("\xef\xbb\xbf# escape=`\r\n\r\n\r\n\n  from \t a as b  \r\nrun x   y `  \r\n\r\n "
          " z\t\r\n",
          "# escape=`\n\nFROM a as b\nRUN x   y `\n  z\n");
    check("FROM a\n\n\n# kept  \n  # indented too\nCOPY  --from=b   x y", /* no newline */
          "FROM a\n\n# kept\n  # indented too\nCOPY --from=b   x y\n");
    check("FROM a\nCMD\n", "FROM a\nCMD\n");
}

static void test_what_has_a_meaning_stays(void **state)
{
    static const char heredoc[] =
        "FROM a\nRUN <<E  cat  \r\n\ttabs  \r\n\n\n  \nE\nUSER x\n";
    static const char continued[] = "FROM a\nRUN a \\\n# comment\n   b\n";
    static const char trigger[] = "FROM a\nONBUILD RUN x  \n";
    static const char broken_name[] = "FROM a\nru\\\nn x\n";

    (void)state;
    check(heredoc, "FROM a\nRUN <<E  cat\n\ttabs  \r\n\n\n  \nE\nUSER x\n");
    check(continued, continued);
    check(trigger, trigger);
    check(broken_name, broken_name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_becomes_canonical),
        cmocka_unit_test(test_what_has_a_meaning_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
